"""A configuration in, a finished run folder out."""
