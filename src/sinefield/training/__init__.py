"""What fits a field: batches, gradients, checkpoints, on Lightning."""

from sinefield.training import quick_import as quick_import  # before anything imports Lightning
