"""Methods that make a fitted model smaller or quicker, on its tensors. Nothing here loads torch."""
