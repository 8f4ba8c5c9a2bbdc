"""How well a model ranks items that it never saw in training, beside three measures of what is possible.

    python -m bench.cold                                        content neighbours, ML-1M's validation part
    python -m bench.cold --model foundation --set 'content={}' --without content=null --on test --seeds 3

Every user's newest event is put aside as a warm question. Of the rest a tenth of the items is unseen in
training (protocol ``cold``), and each user's last event on one of them is a cold question. Three ratios:

1. the model on the cold questions over the better content neighbours (TF-IDF, vectors): at least 2;
2. the same over its twin that learned from these items too (protocol ``cold_trained``): at least 0.30;
3. the warm questions with content over those with ``--without``, among the items that both trained on: at
   least 0.98. What the warm questions lose when the new items are ranked too is printed beside it.
"""

import argparse
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import cast

import numpy as np

from polyscene.core.arrays import Array
from polyscene.core.config import Config, find, with_settings
from polyscene.core.contracts import Data, Holdout, Run, StillView
from polyscene.core.queries import Eligible
from polyscene.dataset.encode import Encoded, encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import split
from polyscene.evaluate.intervals import compare
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.jobs.exam import Learner
from polyscene.models.content_knn import ContentKnn
from polyscene.models.table import KINDS
from polyscene.observe.bars import progress

NEIGHBOURS = {"TF-IDF neighbours": ContentKnn(), "vector neighbours": ContentKnn(space="vectors")}


@dataclass(frozen=True)
class Questions:
    """What is learned from and asked: `twin` is `data` with the cold items left in.

    `warm` ranks all items, `trained` asks the same among those that the model was trained on.
    """

    data: Data
    twin: Data
    cold: Holdout
    warm: Holdout
    trained: Holdout
    digest: str


def questions(encoded: Encoded, on: str, seed: int) -> Questions:
    newest = split(encoded.data, "loo", seed=seed, ids=encoded)
    base, warm = (newest.fit_all, newest.test) if on == "test" else (newest.train, newest.valid)
    cold = split(base, "cold", seed=seed, ids=encoded)
    twin = split(base, "cold_trained", seed=seed, ids=encoded)
    data, asked = (cold.fit_all, cold.test) if on == "test" else (cold.train, cold.valid)
    learned = np.isin(np.arange(encoded.data.size), data.histories["item"])
    rows = np.flatnonzero(learned[warm.targets.values])
    everything, trained = (
        Holdout(
            replace(warm.queries.take(rows), allowed=Eligible(masks, np.zeros(len(rows), np.int64))),
            warm.targets.take(rows),
            warm.values.take(rows),
        )
        for masks in (asked.queries.allowed.masks, learned[None])
    )
    left_in = twin.fit_all if on == "test" else twin.train
    return Questions(data, left_in, asked, everything, trained, cold.digest)


def ask(config: Config, data: Data, seed: int, holdouts: Sequence[Holdout]) -> list[Array]:
    """A row of ndcg@10 per query for each holdout, from one fit."""
    began = time.process_time()
    run = Run(seed=seed, view=StillView.of(data), progress=progress(False))
    part = cast("Learner", config).fit(data, run)
    print(f"  fitted in {time.process_time() - began:.0f} CPU s", *run.warnings, sep="\n  ")
    return [accuracy_at(rank(part, each, k=10), 10)["ndcg@10"] for each in holdouts]


def measure(model: Config, without: Config | None, asked: Questions, seed: int) -> dict[str, Array]:
    """Per-query ndcg@10 of everything that is compared."""
    holdouts = (asked.cold, asked.warm, asked.trained)
    found = dict(
        zip(("cold", "warm", "warm, old items"), ask(model, asked.data, seed, holdouts), strict=True)
    )
    found["cold, learned from"] = ask(model, asked.twin, seed, (asked.cold,))[0]
    if without is not None:
        found["warm, old items, without"] = ask(without, asked.data, seed, (asked.trained,))[0]
    return found


def show(found: Mapping[str, Array], neighbours: Mapping[str, Array]) -> None:
    """The figures as a table, and the three ratios."""
    print("\n| | ndcg@10 |\n| --- | ---: |")
    for name, values in {**neighbours, **found}.items():
        print(f"| {name} | {values.mean():.4f} |")
    cold, old = found["cold"].mean(), found["warm, old items"]
    best = max(values.mean() for values in neighbours.values())
    print(f"\n1. cold over the better neighbours: {cold / max(best, 1e-9):.2f} (target 2)")
    share = cold / found["cold, learned from"].mean()
    print(f"2. cold over the twin that learned from these items: {share:.2f} (target 0.30)")
    if "warm, old items, without" in found:
        without = found["warm, old items, without"]
        gap = compare(old, without)
        ends = f"difference {gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
        print(f"3. warm with content over without: {old.mean() / without.mean():.3f} (target 0.98), {ends}")
    kept = found["warm"].mean() / old.mean()
    print(f"   warm when new items are ranked too, over among old items alone: {kept:.3f}")


def settings(texts: Sequence[str]) -> dict[str, str]:
    return dict(text.split("=", 1) for text in texts)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--model", default="content_knn", choices=sorted(KINDS))
    parser.add_argument("--set", dest="settings", action="append", default=[], metavar="KEY=VALUE")
    parser.add_argument(
        "--without", action="append", default=[], metavar="KEY=VALUE", help="what takes the content away"
    )
    parser.add_argument("--on", choices=("valid", "test"), default="valid")
    parser.add_argument("--seeds", type=int, default=1)
    asked = parser.parse_args()
    plain = find(KINDS, asked.model, "--model")()
    model = with_settings(plain, settings(asked.settings), "--set")
    without = with_settings(model, settings(asked.without), "--without") if asked.without else None
    tables = load_tables(asked.data)
    parts = questions(encode(tables, only_touched=True), asked.on, 0)
    print(
        f"{asked.data}, {asked.on} part, digest {parts.digest[:16]}: {len(parts.cold.queries)} cold and "
        f"{len(parts.warm.queries)} warm questions"
    )
    neighbours = {name: ask(config, parts.data, 0, (parts.cold,))[0] for name, config in NEIGHBOURS.items()}
    each = [measure(model, without, parts, seed) for seed in range(asked.seeds)]
    show({name: np.mean([found[name] for found in each], axis=0) for name in each[0]}, neighbours)


if __name__ == "__main__":
    main()
