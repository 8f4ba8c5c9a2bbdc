"""Interaction models on labelled rows: AUC and log loss of each kind, and which is above which.

    python -m bench.ctr --data frappe
    python -m bench.ctr --data movielens --seeds 1 --kind fm --kind dcn
    python -m bench.ctr --data frappe --on valid --kind dcn --set l2=1e-4

**frappe**: `frappe_context` of the research data, one row per user, app and context, 17,421 in all. As
in He and Chua 2017 each is paired with two apps that the user has not used in that context, and parts
are 7:2:1. An app's cost is its own: copied from the positive row it would tell the pair apart. The rows
of a log stay in one part. **movielens**: MovieLens 1M, whether a rating is 4 or 5 (1 or 2: not; 3 is
left out): 739,012 rows, 8:1:1 by chance, with what is known of user and film.

A kind is fitted with `SETTINGS`, tuned on the validation part, with several seeds. A figure is the mean
over the seeds; it and the differences are resampled over test rows, all kinds by the same draws.
"""

import argparse
import os
import time
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import polars as pl

from polyscene.core.config import with_settings
from polyscene.core.contracts import Run
from polyscene.dataset.fields import fields_of
from polyscene.dataset.known import ensure
from polyscene.evaluate.intervals import compare_draws, ends
from polyscene.evaluate.pointwise import classifier, resampled_classifier
from polyscene.rank.classifier import Table, classifier_config, fit_classifier

KINDS = ("logistic", "fm", "mlp", "wide_deep", "deepfm", "dcn", "finalmlp")
SETTINGS: Mapping[str, Mapping[str, Mapping[str, str]]] = {
    "frappe": {
        "logistic": {"learning_rate": "0.03", "l2": "5e-5", "batch_size": "256"},
        "fm": {"learning_rate": "0.02", "l2": "5e-5", "dim": "64", "batch_size": "256"},
        "mlp": {
            "learning_rate": "0.005", "l2": "5e-5", "codes_l2": "1e-3", "dropout": "0.0", "dim": "64",
            "batch_size": "256", "average": "0.99", "hidden": "[128]", "layer_norm": "true",
        },
        "wide_deep": {
            "learning_rate": "0.02", "l2": "0", "codes_l2": "2e-4", "dropout": "0.0", "dim": "32",
            "batch_size": "512", "hidden": "[256]", "layer_norm": "true",
        },
        "deepfm": {"learning_rate": "0.03", "l2": "5e-5", "dropout": "0.3", "batch_size": "256"},
        "dcn": {
            "learning_rate": "0.03", "l2": "0", "codes_l2": "5e-4", "dropout": "0.0", "dim": "64",
            "batch_size": "256", "hidden": "[128]",
        },
        "finalmlp": {
            "learning_rate": "0.01", "l2": "0", "codes_l2": "1e-4", "dropout": "0.0", "dim": "64",
            "batch_size": "256", "heads": "8", "hidden": "[256]", "other": "[256]", "layer_norm": "true",
        },
    },
    "movielens": {},
}  # fmt: skip
ORDER = (("fm", "logistic"), ("deepfm", "fm"), ("dcn", "fm"), ("finalmlp", "fm"))
"""Pairs whose difference is shown: the first is expected above the second."""
NEGATIVES = 2


def frappe() -> pl.DataFrame:
    home = Path(os.environ.get("POLYSCENE_SHARED_DATA", Path(__file__).parents[2] / "shared" / "data"))
    logs = pl.read_parquet(home / "frappe_context" / "usage.parquet")
    context = [name for name in logs.columns if name not in ("item_id", "count", "cost")]
    rng = np.random.default_rng(0)
    part = rng.choice(3, len(logs), p=[0.7, 0.2, 0.1])
    apps = int(logs["item_id"].max()) + 1
    group = logs.select(pl.struct(context).rank("dense").cast(pl.Int64)).to_series().to_numpy()
    used = np.unique(group * apps + logs["item_id"].to_numpy())
    log = np.repeat(np.arange(len(logs)), NEGATIVES)
    drawn = rng.integers(0, apps, len(log))
    while (taken := np.isin(group[log] * apps + drawn, used)).any():
        drawn[taken] = rng.integers(0, apps, int(taken.sum()))
    rows = np.concatenate([np.arange(len(logs)), log])
    items = np.concatenate([logs["item_id"].to_numpy(), drawn])
    cost = dict(logs.select("item_id", "cost").unique().iter_rows())
    return logs[rows].select(
        *context,
        pl.Series("item_id", items),
        pl.Series("cost", [cost[item] for item in items.tolist()]),
        pl.Series("label", (np.arange(len(rows)) < len(logs)).astype(np.int64)),
        pl.Series("split", np.array(["train", "valid", "test"])[part[rows]]),
    )


def movielens() -> pl.DataFrame:
    home = ensure("ml-1m")
    events, users, items = (
        pl.read_parquet(home / f"{name}.parquet") for name in ("events", "users", "items")
    )
    rated = events.filter(pl.col("rating") != 3).with_columns(pl.col("user", "item").cast(pl.String))
    part = np.random.default_rng(0).choice(3, len(rated), p=[0.8, 0.1, 0.1])
    known = rated.join(users, on="user", maintain_order="left").join(
        items, on="item", maintain_order="left"
    )
    return known.select(
        pl.col("user").alias("user_id"),
        pl.col("item").alias("item_id"),
        pl.col("age", "year").cast(pl.String),
        "gender",
        "occupation",
        pl.col("genres").list.join(" "),
        pl.Series("label", (rated["rating"] > 3).cast(pl.Int64)),
        pl.Series("split", np.array(["train", "valid", "test"])[part]),
    )


DATA = {"frappe": frappe, "movielens": movielens}
Figures = dict[str, list[np.ndarray]]


def fitted(kind: str, settings: Mapping[str, str], frame: pl.DataFrame, on: str, seed: int) -> np.ndarray:
    """(n,) chances of the rows of a part."""
    labels = frame["label"].cast(pl.Float32).to_numpy()
    inputs = frame.drop("label", "split")
    parts = frame["split"].to_numpy()
    fields = fields_of(inputs, dict.fromkeys(inputs.columns, "words"))
    config = with_settings(classifier_config(kind), settings, kind)
    table = Table(inputs, labels, "bench")
    part = fit_classifier(config, fields, table, (parts == "train", parts == "valid"), Run(seed=seed))
    return part.chances(inputs.filter(parts == on), "bench")


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--data", choices=sorted(DATA), default="frappe")
    options.add_argument("--kind", action="append", help="all of them by default")
    options.add_argument("--seeds", type=int, default=3)
    options.add_argument("--on", choices=("test", "valid"), default="test")
    options.add_argument(
        "--set", action="append", default=[], help="KEY=VALUE, on top of the tuned settings"
    )
    told = options.parse_args()
    frame = DATA[told.data]()
    labels = frame.filter(pl.col("split") == told.on)["label"].to_numpy()
    print(
        f"{told.data}: {len(frame):,} rows, {len(labels):,} of them {told.on}, {labels.mean():.3f} positive"
    )
    draws: dict[str, dict[str, np.ndarray]] = {}
    means: dict[str, dict[str, float]] = {}
    for kind in told.kind or KINDS:
        more = dict(each.split("=", 1) for each in told.set)
        settings = {**SETTINGS[told.data].get(kind, {}), **more}
        began = time.process_time()
        found = [fitted(kind, settings, frame, told.on, seed) for seed in range(told.seeds)]
        seconds = (time.process_time() - began) / told.seeds
        figures = [classifier(labels, each) for each in found]
        sampled = [resampled_classifier(labels, each) for each in found]
        means[kind] = {name: float(np.mean([each[name] for each in figures])) for name in figures[0]}
        draws[kind] = {name: np.mean([each[name] for each in sampled], axis=0) for name in figures[0]}
        shown = "  ".join(
            f"{name} {means[kind][name]:.4f} [{low:.4f}, {high:.4f}]"
            for name, (low, high) in ((name, ends(draws[kind][name])) for name in ("auc", "log_loss"))
        )
        spread = np.std([each["auc"] for each in figures])
        print(f"{kind:10s} {shown}  seeds' auc +- {spread:.4f}  {seconds:.1f} CPU s a fit", flush=True)
    for ours, theirs in ORDER:
        if ours not in draws or theirs not in draws:
            continue
        for name in ("auc", "log_loss"):
            mean = means[ours][name] - means[theirs][name]
            gap = compare_draws(mean, draws[ours][name] - draws[theirs][name])
            interval = f"[{gap.low:+.4f}, {gap.high:+.4f}] p {gap.p:.3f}"
            print(f"{ours} - {theirs}: {name} {gap.difference:+.4f} {interval}")


if __name__ == "__main__":
    main()
