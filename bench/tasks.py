"""Rankers of several actions: AUC of each action, all kinds on the same rows.

    python -m bench.tasks --shared FOLDER
    python -m bench.tasks --shared FOLDER --on valid --kind mmoe --set mmoe.experts=2

`retailrocket_dense` of the research data: 79,595 pairs of a user and a product, each viewed, put into a
cart or bought, or several of these; without times. Of all pairs, by chance, 60 % are the histories that two
neighbour models learn from too, 20 % teach the rankers, 10 % are for tuning and 10 % for the test. Beside
the pairs of a part stand ten products that the user never touched, drawn as often as they were touched, so
popularity tells little. **one each**: a network of its own for every action (`shared_bottom` with one of
them). A figure is the mean over the seeds; behind it stands its 95 % interval, or in brackets the gain over
one each with its own, both by bootstraps over the test rows, the same draws for all.
"""

import argparse
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from polyscene.core.arrays import offsets_of
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import find, with_settings
from polyscene.core.contracts import Data, Examples, Run, ScoresAll, StillView
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.evaluate.intervals import compare_draws, ends
from polyscene.evaluate.pointwise import classifier, resampled_classifier
from polyscene.models.bm25_knn import Bm25Knn
from polyscene.models.item_knn import ItemKnn
from polyscene.rank.table import KINDS

ACTIONS = ("view", "addtocart", "transaction")
RANKERS = ("shared_bottom", "mmoe", "ple", "star", "pepnet")
NEGATIVES = 10
PARTS = {"history": 0.6, "taught": 0.2, "valid": 0.1, "test": 0.1}
ALONE = "one each"
SETTINGS = {"negatives": 1000, "dim": 8, "dropout": 0.3, "l2": 1e-4}
"""For all kinds: every row of a slate is taught; few rows want narrow vectors. Chosen on validation."""
CODES_L2 = {"shared_bottom": 1e-4, "star": 1e-2, "pepnet": 1e-4, "view": 1e-2}
"""`codes_l2` of kinds, and of an action's own network, where 0 was not the best on validation."""


@dataclass(frozen=True)
class Pairs:
    """Every pair once, by user. Shapes: (N,) each, `done` (N, 3) which actions, `part` as in `PARTS`."""

    user: np.ndarray
    item: np.ndarray
    done: np.ndarray
    part: np.ndarray


def pairs_of(folder: Path) -> Pairs:
    events = pl.read_parquet(folder / "retailrocket_dense" / "events.parquet")
    each = (
        events.group_by("user_id", "item_id")
        .agg([(pl.col("event") == name).any().alias(name) for name in ACTIONS])
        .sort("user_id", "item_id")
    )
    user, item = (each[name].rank("dense").to_numpy() - 1 for name in ("user_id", "item_id"))
    rng = np.random.default_rng(0)
    order = np.lexsort((rng.random(len(user)), user))
    done = each.select(ACTIONS).to_numpy()[order]
    part = rng.choice(len(PARTS), len(user), p=list(PARTS.values()))
    return Pairs(user[order].astype(np.int64), item[order].astype(np.int32), done, part)


def world(pairs: Pairs) -> Data:
    """The histories; an event's action is the last that was done."""
    kept = pairs.part == 0
    users = int(pairs.user.max()) + 1
    lengths = np.bincount(pairs.user[kept], minlength=users)
    plain = history_of([pairs.item[kept].tolist()])
    last = len(ACTIONS) - 1 - np.argmax(pairs.done[kept][:, ::-1], axis=1)
    columns = {**plain.columns, "action": last.astype(np.int16)}
    histories = replace(plain, offsets=offsets_of(lengths), columns=columns)
    catalogue = Catalogue.bare(int(pairs.item.max()) + 1)
    return Data(np.arange(users, dtype=np.int32), histories, catalogue, len(pairs.item), False, ACTIONS)


def examples_of(pairs: Pairs, data: Data, part: int) -> Examples:
    """A slate for every user: the pairs of the part, then products never touched."""
    rng = np.random.default_rng(part)
    users, size = len(data.users), data.size
    touched = np.unique(pairs.user * size + pairs.item)
    owner = np.repeat(np.arange(users), NEGATIVES)
    drawn = rng.choice(pairs.item, len(owner))
    while (bad := np.isin(owner * size + drawn, touched)).any():
        drawn[bad] = rng.choice(pairs.item, int(bad.sum()))
    here = pairs.part == part
    owner, items = np.append(pairs.user[here], owner), np.append(pairs.item[here], drawn)
    done = np.concatenate([pairs.done[here], np.zeros((len(drawn), len(ACTIONS)), bool)])
    order = np.lexsort((items, owner))
    slates = Slates(
        offsets_of(np.bincount(owner, minlength=users)),
        items[order].astype(np.int32),
        np.zeros(len(order), np.float32),
        {f"label:{name}": done[order, at].astype(np.float32) for at, name in enumerate(ACTIONS)},
    )
    queries = replace(Queries.of_histories(data.histories, size), at=np.full(users, data.at, np.int64))
    return Examples(queries, slates, done.any(1)[order].astype(np.float32))


def with_evidence(examples: Examples, name: str, model: ScoresAll) -> Examples:
    """The slates with what a model that knows the histories makes of each candidate."""
    slates = examples.slates
    scores = model.score_all(examples.queries)[slates.rows(), slates.items]
    order = np.lexsort((slates.items, -scores, slates.rows()))
    ranks = np.empty(len(order), np.float32)
    ranks[order] = slates.ranks()
    scores, ranks = (
        np.where(scores > -np.inf, each, np.nan).astype(np.float32) for each in (scores, ranks)
    )
    return replace(
        examples, slates=slates.with_column(f"score:{name}", scores).with_column(f"rank:{name}", ranks)
    )


def chances(config: object, data: Data, taught: Examples, asked: Examples, seed: int) -> np.ndarray:
    """(N, 3) what a ranker makes of every asked row, in their order."""
    part = config.fit(replace(data, examples=taught), Run(seed=seed, view=StillView.of(data), threads=1))
    place = asked.slates.with_column("place", np.arange(len(asked.slates.items)))
    found = part(asked.queries, place)
    every = np.zeros((len(found.items), len(ACTIONS)))
    for at, name in enumerate(ACTIONS):
        if f"chance:{name}" in found.columns:
            every[found.columns["place"], at] = found.columns[f"chance:{name}"]
    return every


def alone(config: object, data: Data, taught: Examples, asked: Examples, seed: int) -> np.ndarray:
    """The same by a network for each action."""
    return sum(
        chances(
            msgspec.structs.replace(config, codes_l2=CODES_L2.get(name, 0.0)),
            data,
            replace(taught, slates=slates),
            asked,
            seed,
        )
        for name, slates in zip(ACTIONS, _single(taught.slates), strict=True)
    )


def _single(slates: Slates) -> Iterator[Slates]:
    for name in ACTIONS:
        others = [f"label:{other}" for other in ACTIONS if other != name]
        yield replace(
            slates, columns={key: each for key, each in slates.columns.items() if key not in others}
        )


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--shared", type=Path, required=True, help="folder of the research data")
    options.add_argument("--on", choices=("valid", "test"), default="test")
    options.add_argument("--kind", action="append", help=f"default: {', '.join(RANKERS)}")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--set", action="append", default=[], metavar="KIND.KEY=VALUE")
    told = options.parse_args()
    pairs = pairs_of(told.shared)
    data = world(pairs)
    taught, asked = (examples_of(pairs, data, list(PARTS).index(part)) for part in ("taught", told.on))
    for name, config in (("item_knn", ItemKnn()), ("bm25_knn", Bm25Knn())):
        model = config.fit(data, Run(threads=1))
        taught, asked = with_evidence(taught, name, model), with_evidence(asked, name, model)
    labels = np.stack([asked.slates.columns[f"label:{name}"] for name in ACTIONS], 1)
    shares = ", ".join(f"{name} {share:.4f}" for name, share in zip(ACTIONS, labels.mean(0), strict=True))
    print(f"{told.on}: {len(labels):,} rows; {shares}\n")
    draws: dict[str, dict[str, np.ndarray]] = {}
    print(f"| kind | {' | '.join(ACTIONS)} | CPU s |\n| --- | {'--- | ' * len(ACTIONS)}---: |")
    for kind in (ALONE, *(told.kind or RANKERS)):
        name = "shared_bottom" if kind == ALONE else kind
        own = dict(
            text.removeprefix(f"{name}.").split("=", 1) for text in told.set if text.startswith(name)
        )
        config = with_settings(
            find(KINDS, name, "--kind")(**SETTINGS, codes_l2=CODES_L2.get(name, 0.0)), own, name
        )
        began = time.process_time()
        ask = alone if kind == ALONE else chances
        found = [ask(config, data, taught, asked, seed) for seed in range(told.seeds)]
        took = (time.process_time() - began) / told.seeds
        draws[kind] = figures(labels, found)
        print(
            f"| {kind} | {' | '.join(shown(draws, kind, name) for name in ACTIONS)} | {took:.0f} |",
            flush=True,
        )


def figures(labels: np.ndarray, found: list[np.ndarray]) -> dict[str, np.ndarray]:
    """By action: the mean AUC over the seeds, then that of each resample."""
    every = {}
    for at, name in enumerate(ACTIONS):
        means = [classifier(labels[:, at], each[:, at])["auc"] for each in found]
        sampled = [resampled_classifier(labels[:, at], each[:, at], samples=300)["auc"] for each in found]
        every[name] = np.append(np.mean(means), np.mean(sampled, axis=0))
    return every


def shown(draws: dict[str, dict[str, np.ndarray]], kind: str, name: str) -> str:
    """An AUC with its interval; for others than `ALONE` also what it gains over that."""
    mean, *sampled = draws[kind][name]
    if kind == ALONE:
        low, high = ends(np.array(sampled))
        return f"{mean:.4f} [{low:.4f}, {high:.4f}]"
    gap = draws[kind][name] - draws[ALONE][name]
    said = compare_draws(float(gap[0]), gap[1:])
    return f"{mean:.4f} ({said.difference:+.4f} [{said.low:+.4f}, {said.high:+.4f}])"


if __name__ == "__main__":
    main()
