"""Generative retrieval on one data set: how good ids are, what a search costs, that it keeps to rules.

    python -m bench.generative --data FOLDER                    ids of both quantisers, seconds
    python -m bench.generative --data FOLDER --fit              also fits (minutes) and searches
    python -m bench.generative --data FOLDER --fit --on test    for the figure; choose settings on valid

Protocol loo, fitted on the training part alone. Rules are drawn: a tenth of the items is allowed, another
tenth for every second query. The exact search is the same one with a beam as wide as the catalogue.
"""

import argparse
import statistics
import time

import numpy as np

from polyscene.core.config import with_settings
from polyscene.core.contracts import Run, StillView
from polyscene.core.queries import Eligible, Queries
from polyscene.core.slates import Slates
from polyscene.dataset.clean import EVALUATION
from polyscene.dataset.encode import encode
from polyscene.dataset.reading import Reading
from polyscene.dataset.split import Split, split
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.jobs.infer import load_or_propose
from polyscene.models.generative import Generative, GenerativePart
from polyscene.observe.bars import progress

BEAMS = (10, 20, 50, 100, 200)


def read(source: str) -> Split:
    encoded = encode(load_or_propose(source, Reading({}, {}), base=EVALUATION), only_touched=True)
    return split(encoded.data, "loo", ids=encoded)


def fitted(parts: Split, config: Generative, seed: int) -> tuple[GenerativePart, float]:
    began = time.process_time()
    run = Run(seed=seed, threads=1, view=StillView(parts.train.catalogue), progress=progress(quiet=False))
    return config.fit(parts.train, run), time.process_time() - began


def describe_ids(parts: Split, seed: int) -> None:
    print("| quantiser | CPU s | share of codes used | perplexity | collisions | relative error |")
    print("| --- | ---: | --- | --- | ---: | --- |")
    for quantizer in ("rkmeans", "rqvae"):
        part, seconds = fitted(parts, Generative(quantizer=quantizer, epochs=0), seed)
        told = part.quality
        usage, error = ([f"{each:.3f}" for each in values] for values in (told.usage, told.error))
        codes = ", ".join(f"{each:.0f}" for each in told.perplexity)
        print(
            f"| {quantizer} | {seconds:.1f} | {', '.join(usage)} | {codes} | {told.collisions:.3f}"
            f" | {', '.join(error)} |"
        )


def beam(part: GenerativePart, width: int) -> GenerativePart:
    return GenerativePart(part.given, part.network, part.prior, width, part.view)


def ruled(queries: Queries) -> Queries:
    masks = np.random.default_rng(0).random((2, queries.allowed.size)) < 0.1
    allowed = Eligible(masks, np.arange(len(queries)) % 2)
    return Queries(**{name: getattr(queries, name) for name in queries.__slots__} | {"allowed": allowed})


def breaches(queries: Queries, slates: Slates) -> tuple[int, int]:
    """Items shown that are not eligible, and slates shorter than they could be."""
    shown = queries.allowed.masks[queries.allowed.groups[slates.rows()], slates.items]
    bad, short = int((~shown).sum()), 0
    for row in range(len(queries)):
        barred = queries.exclude[row]
        bad += int(np.isin(slates.of(row), barred).sum())
        free = queries.allowed.of(row).copy()
        free[barred[(barred >= 0) & (barred < len(free))]] = False
        short += len(slates.of(row)) < min(int(queries.wanted[row]), int(free.sum()))
    return bad, short


def search_table(part: GenerativePart, queries: Queries) -> None:
    few = queries.take(np.linspace(0, len(queries) - 1, 100).astype(np.int64)).wanting(10)
    exact = beam(part, few.allowed.size)(few, Slates.empty(len(few)))
    print("\n| beam | of the exact ten, found | CPU ms a query, alone | ineligible | short |")
    print("| ---: | ---: | ---: | ---: | ---: |")
    for width in BEAMS:
        narrow, times = beam(part, width), []
        found = narrow(few, Slates.empty(len(few)))
        for row in range(0, len(few), 4):
            one = few.take(np.array([row]))
            began = time.process_time()
            narrow(one, Slates.empty(1))
            times.append(time.process_time() - began)
        same = np.mean([np.isin(exact.of(row), found.of(row)).mean() for row in range(len(few))])
        asked = ruled(queries.wanting(10))
        bad, short = breaches(asked, narrow(asked, Slates.empty(len(asked))))
        print(f"| {width} | {same:.3f} | {statistics.median(times) * 1e3:.1f} | {bad} | {short} |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", required=True)
    parser.add_argument("--fit", action="store_true")
    parser.add_argument("--on", choices=("valid", "test"), default="valid")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    parts = read(asked.data)
    print(f"split {parts.digest[:12]}, {len(parts.test.queries)} users, {parts.train.size} items\n")
    describe_ids(parts, asked.seed)
    if not asked.fit:
        return
    settings = dict(each.split("=", 1) for each in asked.set)
    part, seconds = fitted(parts, with_settings(Generative(), settings, "--set"), asked.seed)
    holdout = parts.test if asked.on == "test" else parts.valid
    found = accuracy_at(rank(part, holdout, k=10), 10)
    ndcg, hr = found["ndcg@10"].mean(), found["hr@10"].mean()
    print(f"\n{seconds:.0f} CPU s; on {asked.on} ndcg@10 {ndcg:.4f}, hr@10 {hr:.4f}")
    search_table(
        part, holdout.queries.take(np.linspace(0, len(holdout.queries) - 1, 1000).astype(np.int64))
    )


if __name__ == "__main__":
    main()
