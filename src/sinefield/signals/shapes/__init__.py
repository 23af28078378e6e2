"""What `sinefield.signals.shape` is made of: files of meshes and clouds, their cleaning, and an exact shape."""
