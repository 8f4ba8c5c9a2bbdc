"""Polyscene: one recommender for every scene of a product.

import polyscene
model = polyscene.train(events, items, model="sasrec")
model.recommend("user 7", k=10)
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from polyscene.api import Recommender, ingest, load, train

__version__ = "0.1.0"
__all__ = ["Recommender", "__version__", "ingest", "load", "train"]


def __getattr__(name: str) -> Any:
    """Brings the names of `api` in on first use, so that importing costs nothing."""
    if name in __all__:
        from polyscene import api

        return getattr(api, name)
    raise AttributeError(f"module 'polyscene' has no attribute {name!r}")
