"""Signals, one per file: the truth a field is fitted to, answering with its jet at any coordinate."""
