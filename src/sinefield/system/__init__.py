"""What a run needs of the operating system: files, locks, signals, output streams."""
