"""What it is worth, to users without a history, that they say something of themselves.

    python -m bench.strangers                          ML-1M's age, gender and occupation, validation part
    python -m bench.strangers --on test --seeds 3      the figures of bench/README.md

A seeded tenth of the users is unseen in training. Each is asked for without a history; right is all that
they touched. Rows are models that learned from the others; gaps are paired bootstraps over the users, 95 %.
The validation part is one tenth, the test part another; for the latter a model learns from the former too.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from polyscene.core.arrays import Array, Ragged
from polyscene.core.config import find, with_settings
from polyscene.core.contracts import Data, Holdout, Run, StillView
from polyscene.core.queries import Queries, history_of
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.evaluate.intervals import compare
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.models.table import KINDS
from polyscene.observe.bars import progress

SAID = '{"kind": "content", "text": []}'
ROWS: dict[str, tuple[str, dict[str, str]]] = {
    "popular": ("popular", {}),
    "ials, told": ("ials", {"people": SAID}),
    "two_tower, untold": ("two_tower", {"people": "null"}),
    "two_tower, told": ("two_tower", {}),
}
PARTS = 10


def asked_of(data: Data, rows: Array) -> Holdout:
    """Questions of the chosen users without their histories."""
    nothing = Queries.of_histories(history_of([[] for _ in rows]), data.size)
    queries = replace(nothing, users=data.users[rows], at=np.full(len(rows), data.at, np.int64))
    items = data.histories.take(rows).ragged("item")
    return Holdout(queries, items, Ragged(items.offsets, np.ones(len(items.values), np.float32)))


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--on", choices=("valid", "test"), default="valid")
    parser.add_argument("--row", dest="rows", action="append", choices=ROWS)
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument("--seeds", type=int, default=1)
    given = parser.parse_args()
    data = encode(load_tables(given.data), only_touched=True).data
    lot = np.random.default_rng(0).permutation(len(data.users)) % PARTS
    unseen = lot == 0 if given.on == "test" else lot < 2
    rows = np.flatnonzero(~unseen)
    learned = replace(data, users=data.users[rows], histories=data.histories.take(rows))
    asked = asked_of(data, np.flatnonzero(lot == (0 if given.on == "test" else 1)))
    print(f"{given.data}, {given.on} part: {len(asked.queries)} users without a history\n")
    print("| model | nDCG@10 | HR@10 | minus popular | CPU s |\n| --- | ---: | ---: | --- | ---: |")
    found: dict[str, Array] = {}
    for name in given.rows or ROWS:
        kind, own = ROWS[name]
        settings = {**own, **dict(text.split("=", 1) for text in given.settings)}
        config = with_settings(
            find(KINDS, kind, name)(), settings if kind != "popular" else own, name, KINDS
        )
        began, each = time.process_time(), list[dict[str, Array]]()
        for seed in range(given.seeds):
            run = Run(seed=seed, view=StillView.of(data), progress=progress(False))
            each.append(accuracy_at(rank(config.fit(learned, run), asked, k=10), 10))  # type: ignore[attr-defined]
        took = (time.process_time() - began) / given.seeds
        found[name] = np.mean([one["ndcg@10"] for one in each], axis=0)
        hits = np.mean([one["hr@10"] for one in each])
        gap = ""
        if "popular" in found and name != "popular":
            apart = compare(found[name], found["popular"])
            gap = f"{apart.difference:+.4f} [{apart.low:+.4f}, {apart.high:+.4f}]"
        print(f"| {name} | {found[name].mean():.4f} | {hits:.4f} | {gap} | {took:.0f} |", flush=True)


if __name__ == "__main__":
    main()
