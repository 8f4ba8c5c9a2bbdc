"""The lean form of a sequence model: what answers requests, in NumPy alone. Nothing here loads torch."""
