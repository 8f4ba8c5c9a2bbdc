"""Candidates out of the whole catalogue: exact and approximate indexes, sources and their union."""
