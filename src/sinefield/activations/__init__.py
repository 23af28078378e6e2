"""Activations, one per file: s, s', s'' and the initialisation that belongs to them."""
