"""The mathematics: jets, and nothing but torch."""
