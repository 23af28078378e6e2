"""sinefield."""
