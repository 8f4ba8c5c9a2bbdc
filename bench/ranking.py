"""What rankers make of the same candidates: those of the home scenario's union, reordered by each kind.

    python -m bench.ranking --data ml-1m
    python -m bench.ranking --data ml-100k --on valid --kind lambdamart --set lambdamart.leaves=31

Protocol loo. As a scenario is fitted: sources learn without each user's last event, their candidates are
labelled by it, rankers learn from that; sources then go on with everything and bring the candidates that
all rankers order. On ``valid`` nothing knows the validation part. A figure is the mean over the seeds of
the rankers; intervals are paired bootstraps over users, 95 %. What no source brought is a miss for all.
"""

import argparse
import time
from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np

from polyscene.core.config import find, with_settings
from polyscene.core.contracts import Examples, Holdout, Run, StillView
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, concat
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import split
from polyscene.evaluate.intervals import compare, intervals
from polyscene.rank.members import trainable
from polyscene.rank.table import KINDS
from polyscene.scenario.file import load_scenario
from polyscene.scenario.fit import Past, hold_back, labelled
from polyscene.scenario.run import fold

HOME = Path(__file__).parents[1] / "scenarios" / "home.toml"
RANKERS = (
    "linear_ranker",
    "lambdamart",
    "mlp",
    "fm",
    "dcn",
    "shared_bottom",
    "mmoe",
    "ple",
    "star",
    "pepnet",
)
BLOCK = 256


def candidates(told: argparse.Namespace) -> tuple[Past, Examples, Holdout, Queries, Slates]:
    """What rankers learn from, the questions, and the candidates that they are to order."""
    encoded = encode(load_tables(told.data), only_touched=True)
    parts = split(encoded.data, "loo", ids=encoded)
    valid = told.on == "valid"
    data, holdout = (parts.train, parts.valid) if valid else (parts.fit_all, parts.test)
    scenario = load_scenario(told.scenario)
    union, prepare = (
        scenario.steps[0],
        partial(scenario.adapt, catalogue=data.catalogue, actions=data.actions),
    )
    run = Run(view=StillView.of(data), threads=1)
    began = time.process_time()
    past = hold_back(data, prepare, run)
    first = union.fit(past.data, run)
    examples = labelled((first,), past)
    sources = union.fit(data, run, first)
    queries = prepare(holdout.queries)
    blocks = [np.arange(at, min(at + BLOCK, len(queries))) for at in range(0, len(queries), BLOCK)]
    slates = concat([fold((sources,), queries.take(rows)) for rows in blocks])
    print(
        f"{told.data}, split {parts.digest[:12]}, {told.on}: {len(queries):,} users,"
        f" {len(slates.items) / len(queries):.0f} candidates each; {examples.labels.sum():,.0f} labelled"
        f" slates; sources in {time.process_time() - began:.0f} CPU s\n"
    )
    return past, examples, holdout, queries, slates


def gains(ordered: Slates, holdout: Holdout) -> np.ndarray:
    """(B,) nDCG@10: with one target, 1 / log2(place + 2) where it is among the first ten."""
    hit = (ordered.items == holdout.targets.values[ordered.rows()]) & (ordered.ranks() < 10)
    return np.bincount(ordered.rows()[hit], 1 / np.log2(ordered.ranks()[hit] + 2.0), len(ordered))


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--data", default="ml-1m")
    options.add_argument(
        "--scenario", type=Path, default=HOME, help="a file whose first stage brings candidates"
    )
    options.add_argument("--on", choices=("valid", "test"), default="test")
    options.add_argument("--kind", action="append", help=f"default: {', '.join(RANKERS)}")
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument("--set", action="append", default=[], metavar="KIND.KEY=VALUE")
    told = options.parse_args()
    past, examples, holdout, queries, slates = candidates(told)
    known = replace(past.data, examples=examples)
    kinds = told.kind or RANKERS
    print(f"| ranker | nDCG@10 | 95 % | minus {kinds[0]} | CPU s |\n| --- | ---: | --- | --- | ---: |")
    first = None
    for kind in kinds:
        settings = dict(text.split("=", 1) for text in told.set)
        own = {
            key.partition(".")[2]: value for key, value in settings.items() if key.startswith(f"{kind}.")
        }
        config = with_settings(find(KINDS, kind, "--kind")(), own, kind)
        began = time.process_time()
        each = []
        for seed in range(told.seeds):
            run = Run(seed=seed, view=StillView(known.catalogue), threads=1)
            each.append(gains(trainable(config).fit(known, run)(queries, slates), holdout))
        took = (time.process_time() - began) / told.seeds
        found = np.mean(each, axis=0)
        show(kind, found, first, took)
        first = found if first is None else first
    show("union alone", gains(slates, holdout), first, 0.0)


def show(name: str, found: np.ndarray, first: np.ndarray | None, took: float) -> None:
    low, high = intervals({"it": found})["it"]
    said = ""
    if first is not None:
        gap = compare(found, first)
        said = f"{gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p {gap.p:.3f}"
    print(f"| {name} | {found.mean():.4f} | [{low:.4f}, {high:.4f}] | {said} | {took:.0f} |", flush=True)


if __name__ == "__main__":
    main()
