"""Language rankers beside those that read ids: one slate of candidates each, in the order of each kind.

    python -m bench.language
    python -m bench.language --row bert --row unread --seeds 3
    python -m bench.language --row din --row bst --asked 2000 --keep    any ranker; to docs/models.md too
    python -m bench.language --row bert --on valid --set learning_rate=3e-5

MovieLens 1M, newest event out, films told by title and genres. The candidates are the best 50 of EASE,
fitted on the training part; rankers learn from the slates of the validation part that hold what came next,
and are asked those of the test part that do, `--asked` of them by chance: no other can be ordered well or
badly. On ``valid``, one half of the validation part teaches and the other asks. nDCG@10 with 95 % intervals
over questions; gaps are paired. With several seeds a question's figure is the mean over them. CPU ms are of
a request of 50 candidates.
"""

import argparse
import time
from dataclasses import replace

import numpy as np

from bench.models import keep_slates
from polyscene.core.arrays import Array
from polyscene.core.config import Config, find, with_settings
from polyscene.core.contracts import Data, Examples, Holdout, Run, StillView
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import split
from polyscene.evaluate.intervals import compare
from polyscene.models.ease import Ease
from polyscene.rank.members import trainable
from polyscene.rank.table import KINDS

DEPTH = 50
USUAL = ("linear_ranker", "dcn", "lm_ranker", "unread", "bert", "cross_encoder")
ROWS: dict[str, tuple[str, dict[str, str]]] = {
    **{kind: (kind, {}) for kind in KINDS if kind != "score"},
    "unread": ("bert", {"reading": "0"}),
}
GAPS = (
    ("bert", "unread"),
    ("bert", "order"),
    ("cross_encoder", "order"),
    ("lm_ranker", "order"),
    ("dcn", "bert"),
)


def candidates(part: object, holdout: Holdout) -> Examples:
    """The best 50 of the retriever for each question whose answer is among them."""
    asked = holdout.queries.wanting(DEPTH)
    found: Slates = part(asked, Slates.empty(len(asked)))  # type: ignore[operator]
    found = found.with_column("rank:ease", found.ranks().astype(np.float32))
    found = found.with_column("score:ease", found.scores)
    wide = int(holdout.queries.allowed.size)
    answers = holdout.targets.rows() * wide + holdout.targets.values
    labels = np.isin(found.rows() * wide + found.items, answers).astype(np.float32)
    rows = np.flatnonzero(np.bincount(found.rows(), labels, len(found)))
    kept = np.isin(found.rows(), rows)
    return Examples(holdout.queries.take(rows), found.take(rows), labels[kept])


def some(examples: Examples, rows: Array) -> Examples:
    """The slates of some rows."""
    kept = np.repeat(np.isin(np.arange(len(examples.queries)), rows), examples.slates.lengths)
    return Examples(examples.queries.take(rows), examples.slates.take(rows), examples.labels[kept])


def ndcg(slates: Slates, asked: Examples) -> Array:
    """(B,) nDCG@10 of the one answer of each slate."""
    answers = asked.slates.items[asked.labels > 0]
    place = slates.ranks()[slates.items == answers[slates.rows()]]
    return np.where(place < 10, 1 / np.log2(2 + place), 0.0)


def fitted(config: Config, data: Data, seed: int, asked: Examples) -> tuple[Array, float, float]:
    """(B,) nDCG@10, CPU seconds of the fit, CPU ms of a request alone."""
    began = time.process_time()
    run = Run(seed=seed, view=StillView.of(data), threads=1)
    part = trainable(config).fit(data, run)
    took = time.process_time() - began
    for line in run.warnings:
        print("warning:", line)
    first = np.arange(min(20, len(asked.queries)))
    blank = replace(asked.slates, scores=np.zeros_like(asked.slates.scores))
    began = time.process_time()
    for row in first:
        part(asked.queries.take(row[None]), blank.take(row[None]))
    alone = (time.process_time() - began) / len(first) * 1e3
    queries: Queries = asked.queries
    return ndcg(part(queries, blank), asked), took, alone


def questions(name: str, on: str, most: int) -> tuple[Examples, Examples, Data]:
    """Slates to learn from, slates that ask, and the training part."""
    encoded = encode(load_tables(name), only_touched=True)
    parts = split(encoded.data, "loo", ids=encoded)
    retriever = Ease().fit(parts.train, Run())
    taught = candidates(retriever, parts.valid)
    rng = np.random.default_rng(0)
    if on == "test":
        asked = candidates(retriever, parts.test)
    else:
        mixed = rng.permutation(len(taught.queries))
        half = len(mixed) // 2
        taught, asked = some(taught, np.sort(mixed[:half])), some(taught, np.sort(mixed[half:]))
    asked = some(asked, np.sort(rng.permutation(len(asked.queries))[:most]))
    print(f"{name} {on}, split {parts.digest[:12]}: {len(asked.queries)} questions,", end=" ")
    print(f"{len(taught.queries)} slates to learn from\n")
    return taught, asked, parts.train


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument(
        "--row", action="append", choices=sorted(ROWS), help=f"by default {', '.join(USUAL)}"
    )
    options.add_argument("--data", default="ml-1m")
    options.add_argument("--on", choices=("test", "valid"), default="test")
    options.add_argument("--asked", type=int, default=300)
    options.add_argument("--seeds", type=int, default=1)
    options.add_argument(
        "--set", action="append", default=[], help="KEY=VALUE, for rows that have such a key"
    )
    options.add_argument("--keep", action="store_true", help="in docs/models.md: defaults, test part")
    told = options.parse_args()
    taught, asked, train = questions(told.data, told.on, told.asked)
    data = replace(train, examples=taught)
    found = {"order": ndcg(asked.slates, asked)}
    print("| row | nDCG@10 | beside the candidates' order | fit, CPU s | request, CPU ms |")
    print("| --- | ---: | --- | ---: | ---: |")
    print(f"| order (EASE) | {found['order'].mean():.4f} | | | |", flush=True)
    for row in told.row or USUAL:
        kind, settings = ROWS[row]
        more = dict(each.split("=", 1) for each in told.set)
        plain = find(KINDS, kind, row)()
        fit_for = {name: value for name, value in more.items() if hasattr(plain, name)}
        config = with_settings(plain, {**fit_for, **settings}, row)
        runs = [fitted(config, data, seed, asked) for seed in range(told.seeds)]
        found[row] = np.mean([each[0] for each in runs], axis=0)
        gap = compare(found[row], found["order"])
        seconds, alone = (np.mean([each[at] for each in runs]) for at in (1, 2))
        said = f"{gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}]"
        print(f"| {row} | {found[row].mean():.4f} | {said} | {seconds:.0f} | {alone:.1f} |", flush=True)
        if told.keep and row == kind and (told.data, told.on, told.set) == ("ml-1m", "test", []):
            figures = {"ndcg@10": round(float(found[row].mean()), 4), "questions": len(found[row])}
            ends = [round(each, 4) for each in (gap.difference, gap.low, gap.high)]
            costs = {"fit_cpu_s": round(float(seconds), 2), "request_ms": round(float(alone), 2)}
            keep_slates(kind, {**figures, **costs, "gap": ends, "seeds": told.seeds})
    print()
    for ours, theirs in GAPS:
        if ours in found and theirs in found:
            gap = compare(found[ours], found[theirs])
            print(
                f"{ours} - {theirs}: {gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p {gap.p:.3f}"
            )


if __name__ == "__main__":
    main()
