"""What is scored of a field, and what is drawn."""
