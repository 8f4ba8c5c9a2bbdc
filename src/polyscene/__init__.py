"""Polyscene: one recommender for every scene of a product."""

__version__ = "0.1.0"
