"""Classical solvers of the same equations: what fields are compared with. NumPy, SciPy and torch; one per file."""
