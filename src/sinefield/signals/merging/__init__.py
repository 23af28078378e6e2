"""What merging pictures by their gradients needs."""
