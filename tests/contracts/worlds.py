"""Which tiny worlds each kind must solve, with which settings, and which checks it is known to fail."""

from polyscene.testing import worlds

WORLDS = {
    "checkerboard": worlds.checkerboard(),
    "chain": worlds.chain(),
    "popularity": worlds.popularity(),
    "recency": worlds.recency(),
}

SOLVES: dict[str, tuple[str, ...]] = {
    "random": (),
    "popular": ("popularity",),
}

SETTINGS: dict[str, dict[str, object]] = {}
"""Settings that make a kind quick or small enough for the tiny worlds; defaults elsewhere."""

KNOWN_FAILURES: dict[tuple[str, str], str] = {}
"""(kind, check) -> reason; strict, so a repaired failure must leave this list."""
