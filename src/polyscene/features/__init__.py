"""Values that models and rankers learn from: one definition for training and for serving."""
