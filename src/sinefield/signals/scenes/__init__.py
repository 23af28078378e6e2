"""Views of a scene: cameras, and a scene of the program's own that is known exactly."""
