"""What a blend gains over its members and over every pair of them, on the same questions.

    python -m bench.blend                  bench/blends/cheap.toml on ML-1M's validation items
    python -m bench.blend --on test --model bench/blends/pair.toml

Members learn from the training part. On ``valid``, weights are tuned on every other question and read on
those between, both ways round, so no question is answered with weights that have seen it; on ``test``,
weights are tuned on all validation questions. Gaps are paired bootstraps over users.
"""

import argparse
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import combinations
from pathlib import Path

import msgspec
import numpy as np

from polyscene.core.arrays import Array
from polyscene.core.config import kind_of, load_config
from polyscene.core.contracts import Holdout, Run, StillView
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import Split, split
from polyscene.evaluate.intervals import compare, intervals
from polyscene.models.table import KINDS
from polyscene.observe.bars import progress
from polyscene.rank.blend import Blend, BlendPart
from polyscene.rank.tune import Evidence, gather, search

HERE = Path(__file__).parent
TAKE = 500
"""Best items of each member that are looked at, so deep that what lies below can't matter."""


@dataclass(frozen=True)
class Reading:
    """Per-query figures of one choice of members, and the weights they had."""

    name: str
    weights: list[str]
    ndcg: Array
    hr: Array


def read(name: str, members: Sequence[int], pairs: Sequence[tuple[Evidence, Evidence]]) -> Reading:
    """Tunes some of the members on the first of each pair, ranks the second."""
    ndcg, hr, weights = [], [], []
    for tuned_on, asked in pairs:
        found, _ = search(replace(tuned_on, values=tuned_on.values[:, members]))
        weights.append(" ".join(f"{weight:g}" for weight in found))
        figures = asked.accuracy(asked.values[:, members] @ found)
        ndcg.append(figures["ndcg@10"])
        hr.append(figures["hr@10"])
    return Reading(name, weights, np.concatenate(ndcg), np.concatenate(hr))


def questions(parts: Split, on: str) -> list[tuple[Holdout, Holdout]]:
    """Pairs of what to tune on and what to ask."""
    if on == "test":
        return [(parts.valid, parts.test)]
    rows = np.arange(len(parts.valid.queries))
    even, odd = (take(parts.valid, rows[start::2]) for start in (0, 1))
    return [(even, odd), (odd, even)]


def take(holdout: Holdout, rows: Array) -> Holdout:
    return Holdout(holdout.queries.take(rows), holdout.targets.take(rows), holdout.values.take(rows))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--model", type=Path, default=HERE / "blends" / "cheap.toml")
    parser.add_argument("--on", choices=("valid", "test"), default="valid")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    encoded = encode(load_tables(asked.data), only_touched=True)
    parts = split(encoded.data, "loo", ids=encoded)
    config = load_config(asked.model, KINDS)
    if not isinstance(config, Blend):
        parser.error(f"{asked.model}: kind is {kind_of(config)!r}, expected 'blend'")
    began = time.process_time()
    plain = msgspec.structs.replace(config, weights=(1.0,) * len(config.of))
    run = Run(seed=asked.seed, view=StillView(parts.train.catalogue), threads=1, progress=progress())
    part = plain.fit(parts.train, run)
    print(f"{asked.data} loo, split {parts.digest[:12]}, {asked.on}; members fitted on train in", end=" ")
    print(f"{time.process_time() - began:.0f} CPU s\n")
    show(part, questions(parts, asked.on), asked.seed)


def show(part: BlendPart, holdouts: Sequence[tuple[Holdout, Holdout]], seed: int) -> None:
    """Prints every choice of members, tuned on the first of each pair and asked the second."""
    distinct = {id(each): each for pair in holdouts for each in pair}
    known = {key: gather(part.voices, each, take=TAKE) for key, each in distinct.items()}
    pairs = [(known[id(first)], known[id(second)]) for first, second in holdouts]
    names = [kind_of(each) for each in part.config.of]
    choices = [each for many in range(1, len(names) + 1) for each in combinations(range(len(names)), many)]
    readings = [read(" + ".join(names[at] for at in each), list(each), pairs) for each in choices]
    whole = readings[-1]
    print("| members | weights | nDCG@10 | HR@10 | blend of all minus this |")
    print("| --- | --- | ---: | ---: | ---: |")
    for each in readings:
        low, high = intervals({"ndcg": each.ndcg}, seed=seed)["ndcg"]
        gap = compare(whole.ndcg, each.ndcg, seed=seed)
        said = f"{gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p {gap.p:.3f}"
        ndcg = f"{each.ndcg.mean():.4f} [{low:.4f}, {high:.4f}]"
        beside = "" if each is whole else said
        print(f"| {each.name} | {' / '.join(each.weights)} | {ndcg} | {each.hr.mean():.4f} | {beside} |")


if __name__ == "__main__":
    main()
