"""Many runs: what their folders are called, what became of them, and how they end together."""
