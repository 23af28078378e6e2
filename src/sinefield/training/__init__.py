"""What fits a field: batches, gradients, checkpoints, on Lightning."""
