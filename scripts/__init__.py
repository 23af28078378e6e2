"""What is done with runs: `python scripts/NAME.py …`, or, installed, `python -m sinefield.scripts.NAME …`."""
