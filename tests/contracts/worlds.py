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
    "recent_popular": ("popularity", "recency"),
    "covisit": ("checkerboard", "chain", "popularity"),
    "content_knn": (),
    "content_vectors": (),
    "item_knn": ("checkerboard",),
    "bm25_knn": ("checkerboard",),
    "rp3beta": ("checkerboard",),
    "user_knn": ("checkerboard",),
    "slim": ("checkerboard",),
    "ease": ("checkerboard",),
    "bpr": ("checkerboard",),
    "svd": (),
    "neumf": ("checkerboard", "popularity"),
    "ials": ("checkerboard",),
    "autoencoder": ("checkerboard", "popularity"),
    "denoising": ("checkerboard", "popularity"),
    "mult_vae": ("checkerboard", "popularity"),
    "recvae": ("checkerboard", "popularity"),
    "lightgcn": ("checkerboard", "popularity"),
    "xsimgcl": ("checkerboard", "popularity"),
    "kg": ("checkerboard", "popularity"),
    "social": ("checkerboard", "popularity"),
    "sasrec": ("checkerboard", "chain", "popularity"),
    "gru4rec": ("checkerboard", "chain", "popularity"),
    "bert4rec": ("checkerboard", "chain", "popularity"),
    "hstu": ("checkerboard", "chain", "popularity"),
    "two_tower": ("checkerboard", "chain", "popularity"),
    "vsknn": ("checkerboard",),
    "caser": ("checkerboard", "chain", "popularity"),
    "nextitnet": ("checkerboard", "chain", "popularity"),
    "lstm": ("checkerboard", "chain", "popularity"),
    "foundation": ("checkerboard", "chain", "popularity"),
    "generative": ("checkerboard", "chain", "popularity"),
    "adapted": ("checkerboard", "chain", "popularity"),
    "compressed": ("checkerboard", "chain", "popularity"),
    "average": ("checkerboard", "chain", "popularity"),
    "blend": ("checkerboard", "chain", "popularity"),
    "rrf": ("checkerboard",),
    "stack": ("checkerboard", "chain"),
    "switch": ("chain",),
}

SMALL = {
    "dim": 16,
    "layers": 1,
    "epochs": 30,
    "max_len": 16,
    "batch_size": 128,
    "dropout": 0.0,
    "learning_rate": 0.02,
}
"""A network that learns the tiny worlds in a second."""

NARROW = {"dim": 8, "hidden": 16, "epochs": 40, "batch_size": 40, "learning_rate": 0.02}
"""An autoencoder that does."""

PAIRED = {"dim": 8, "epochs": 30, "batch_size": 64, "learning_rate": 0.05}
"""A graph model that does."""

SETTINGS: dict[str, dict[str, object]] = {
    "slim": {"l1": 0.5, "l2": 5.0},
    "ease": {"l2": 5.0},
    "content_vectors": {"dim": 8, "epochs": 3},
    "bpr": {"dim": 8, "epochs": 40, "batch_size": 10, "negatives": 4},
    "svd": {"dim": 4, "epochs": 20, "implicit": True},
    "neumf": {"dim": 8, "hidden": (16, 8), "epochs": 40, "batch_size": 10, "learning_rate": 0.02},
    "ials": {"dim": 8, "l2": 0.5},
    "autoencoder": {**NARROW, "dropout": 0.0},
    "denoising": {name: value for name, value in NARROW.items() if name != "hidden"},
    "mult_vae": NARROW,
    "recvae": {**NARROW, "epochs": 12},
    "lightgcn": PAIRED,
    "xsimgcl": {**PAIRED, "noise": 0.05},
    "kg": PAIRED,
    "social": PAIRED,
    "sasrec": SMALL,
    "gru4rec": {**SMALL, "hidden": 16},
    "bert4rec": {**SMALL, "hide": 0.2},
    "hstu": SMALL,
    "two_tower": {name: value for name, value in SMALL.items() if name != "layers"},
    "caser": {name: value for name, value in SMALL.items() if name != "layers"},
    "nextitnet": {name: value for name, value in SMALL.items() if name != "layers"} | {"dilations": (1,)},
    "lstm": {name: value for name, value in SMALL.items() if name != "layers"} | {"hidden": 16},
    "foundation": SMALL,
    "generative": {**SMALL, "decoder_dropout": 0.0, "levels": 2, "codes": 6, "beam": 16, "smoothing": 0.0},
    "adapted": {"base": {"kind": "foundation", **SMALL}, "rank": 2, "least": 50},
    "compressed": {"of": {"kind": "foundation", **SMALL}, "methods": [{"kind": "int8"}]},
    "average": {"of": [{"kind": "sasrec", **SMALL}, {"kind": "covisit"}]},
    "blend": {"of": [{"kind": "sasrec", **SMALL}, {"kind": "covisit"}, {"kind": "ease", "l2": 5.0}]},
    "rrf": {"of": [{"kind": "item_knn"}, {"kind": "ease", "l2": 5.0}]},
    "stack": {"of": [{"kind": "covisit"}, {"kind": "ease", "l2": 5.0}]},
    "switch": {"of": [{"kind": "popular"}, {"kind": "covisit"}], "least": 5},
}
"""Settings that make a kind quick or small enough for the tiny worlds; defaults elsewhere."""

KNOWN_FAILURES: dict[tuple[str, str], str] = {}
"""(kind, check) -> reason; strict, so a repaired failure must leave this list."""
