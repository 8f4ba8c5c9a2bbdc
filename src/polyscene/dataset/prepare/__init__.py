"""Sources larger than memory: read in pieces, sorted on disk, opened as memory maps."""
