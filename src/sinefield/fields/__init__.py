"""Coordinate networks: one, several at once, watched or given other weights."""
