"""One file per resource, each with its table of operations."""
