"""The table of search spaces: which settings `polyscene tune` may turn, and how far.

A new kind costs one entry. A space names plain fields of the kind's config, lies within their bounds and
holds the default of each, so that the search begins there. What trains by gradient takes `TRAINED` and what
it has besides.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Real:
    """Any number from `low` to `high`; with `log`, each tenfold step is as likely as the next."""

    low: float
    high: float
    log: bool = True

    def holds(self, value: object) -> bool:
        """Whether the value may be tried."""
        return isinstance(value, int | float) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Whole:
    """A whole number from `low` to `high`, both among them; `log` as in `Real`."""

    low: int
    high: int
    log: bool = True

    def holds(self, value: object) -> bool:
        """Whether the value may be tried."""
        return isinstance(value, int) and self.low <= value <= self.high


@dataclass(frozen=True, slots=True)
class Choice:
    """One of these."""

    values: tuple[str | int | float | bool, ...]

    def holds(self, value: object) -> bool:
        """Whether the value may be tried."""
        return value in self.values


Knob = Real | Whole | Choice
Space = Mapping[str, Knob]

WIDTH = Choice((16, 32, 64, 128, 200, 256))
DROPOUT = Real(0.0, 0.8, log=False)
TRAINED: Space = {
    "epochs": Whole(5, 80),
    "learning_rate": Real(1e-4, 5e-2),
    "l2": Choice((0.0, 0.001, 0.01, 0.1)),
    "dim": WIDTH,
}
BAGS: Space = {**TRAINED, "batch_size": Whole(32, 1024)}
"""A batch is so many users."""
CORRUPTED: Space = {**BAGS, "corrupt": DROPOUT}
PAIRS: Space = {**TRAINED, "batch_size": Whole(32, 16_384), "negatives": Whole(1, 16)}
"""A batch is so many events, each beside others that did not happen."""
GRAPHS: Space = {**PAIRS, "layers": Whole(1, 4, log=False)}
SEQUENCES: Space = {
    **TRAINED,
    "dropout": DROPOUT,
    "batch_size": Whole(400, 6400),
    "max_len": Choice((20, 50, 100, 200)),
}
"""A batch is so many events."""
LAYERS: Space = {**SEQUENCES, "layers": Whole(1, 3, log=False)}
HIDDEN = Choice((64, 128, 256))
FALL = Choice(("same", "div", "quadratic", "log"))
NEIGHBOURS = Whole(5, 500)

SPACES: Mapping[str, Space] = {
    "recent_popular": {"half_life_days": Real(0.5, 365)},
    "covisit": {
        "window": Whole(1, 20),
        "window_decay": Real(0.1, 1, log=False),
        "last": Whole(1, 50),
        "decay": Real(0.1, 1, log=False),
        "skip": Whole(0, 5, log=False),
        "smoothing": Real(1, 500),
        "direction": Choice(("forward", "both")),
    },
    "content_knn": {"decay": Real(0.1, 1, log=False), "last": Whole(1, 200)},
    "item_knn": {"neighbours": NEIGHBOURS, "shrink": Real(0, 200, log=False)},
    "bm25_knn": {"neighbours": NEIGHBOURS, "k1": Real(0.1, 10), "b": Real(0, 1, log=False)},
    "rp3beta": {
        "neighbours": NEIGHBOURS,
        "alpha": Real(0.2, 2, log=False),
        "beta": Real(0, 1, log=False),
    },
    "user_knn": {
        "similarity": Choice(("cosine", "bm25")),
        "neighbours": NEIGHBOURS,
        "shrink": Real(0, 100, log=False),
        "k1": Real(0.1, 10),
        "b": Real(0, 1, log=False),
    },
    "vsknn": {
        "neighbours": Whole(20, 1000),
        "last": Whole(1, 50),
        "weights": FALL,
        "decay": FALL,
        "rarity": Real(0, 5, log=False),
        "longest": Whole(5, 200),
    },
    "slim": {"l1": Real(0.1, 100), "l2": Real(1, 1_000)},
    "ease": {"l2": Real(10, 10_000)},
    "ials": {
        "dim": Choice((16, 32, 64, 128, 256)),
        "alpha": Real(1, 100),
        "l2": Real(0.01, 100),
        "epochs": Whole(5, 30),
    },
    "bpr": PAIRS,
    "neumf": {**BAGS, "negatives": Whole(1, 16), "dropout": DROPOUT},
    "svd": {
        **TRAINED,
        "batch_size": Whole(16, 1024),
        "implicit": Choice((False, True)),
        "ridge": Real(0.001, 10),
    },
    "autoencoder": {**BAGS, "dropout": DROPOUT, "loss": Choice(("mse", "cross_entropy"))},
    "denoising": CORRUPTED,
    "mult_vae": {**CORRUPTED, "beta": Real(0.01, 1), "anneal": Real(0, 1, log=False)},
    "recvae": {**CORRUPTED, "gamma": Real(0.0005, 0.05)},
    "lightgcn": GRAPHS,
    "xsimgcl": {**GRAPHS, "contrast": Real(0.01, 1), "noise": Real(0.02, 0.5)},
    "kg": {**GRAPHS, "dropout": DROPOUT},
    "social": GRAPHS,
    "sasrec": LAYERS,
    "gru4rec": {**LAYERS, "hidden": HIDDEN},
    "bert4rec": {**LAYERS, "hide": Real(0.05, 0.8)},
    "hstu": LAYERS,
    "two_tower": {**SEQUENCES, "temperature": Real(0.02, 0.5)},
    "lstm": {**SEQUENCES, "hidden": HIDDEN},
    "caser": {**SEQUENCES, "window": Whole(2, 20), "horizontal": Whole(4, 64), "vertical": Whole(1, 16)},
    "nextitnet": {**SEQUENCES, "width": Whole(2, 5, log=False)},
    "content_vectors": SEQUENCES,
    "foundation": LAYERS,
}
