"""From run folders to pictures and pages; imports no torch."""
