"""The whole list in view: diversity, limits, and exploration with its propensities."""
