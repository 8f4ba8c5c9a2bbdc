"""Every figure that the docs quote, each beside its target; the results go to bench/README.md.

    python -m bench.figures                  all of them; SASRec takes about ten minutes
    python -m bench.figures --only ease-A    one
    python -m bench.figures --list

MovieLens 1M must be in the data cache: `polyscene data fetch ml-1m`. CPU seconds count all threads; what is
compared takes turns in one process, and the median counts.
"""

import argparse
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial

import numpy as np
from implicit.cpu.als import AlternatingLeastSquares

from bench.board import Figure, keep
from bench.serving import under_load
from polyscene.core.config import find
from polyscene.core.contracts import Part, Run
from polyscene.core.rows import Rows
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.matrix import interactions
from polyscene.dataset.split import Split, split
from polyscene.evaluate.ranking import rank
from polyscene.jobs.evaluate import EvaluateRequest, evaluate
from polyscene.models.table import KINDS
from polyscene.observe.bars import progress

ROUNDS = 5
PEER_EASE_S, PEER_ALS_S = 2.4, 3.9
"""CPU seconds of the fastest peers: skrecsys 0.9.0 (EASE), implicit 0.7.3 (ALS with 128 factors)."""


@dataclass(frozen=True)
class Entry:
    """A command and what it should show."""

    command: str
    measure: Callable[[], Sequence[Figure]]


def quality(
    protocol: str,
    model: str,
    least: Mapping[str, float],
    fit_s: float | None = None,
    settings: Mapping[str, str] | None = None,
) -> Entry:
    """Figures of one model as `polyscene evaluate` prints them, with its time to fit."""
    settings = settings or {}

    def measure() -> list[Figure]:
        beside = protocol == "time"
        request = EvaluateRequest(
            data="ml-1m", protocol=protocol, model=model, settings=settings, baselines=beside
        )
        found = evaluate(request, progress())
        figures = []
        for name in ("hr@10", "ndcg@10", *(["recall@10"] if beside else []), "hr@50", "coverage@10"):
            low, high = found["intervals"].get(name, (None, None))
            note = f"[{low:.4f}, {high:.4f}]" if low is not None else ""
            figures.append(Figure(name, found["metrics"][name], at_least=least.get(name), note=note))
        for name, gaps in found["comparison"].items():
            gap = gaps["ndcg@10"]
            note = f"paired [{gap['low']:+.4f}, {gap['high']:+.4f}], p {gap['p']:.3f}"
            figures.append(Figure(f"ndcg@10 minus that of {name}", gap["difference"], note=note))
        note = f"{found['fit_cpu_seconds']:.1f} s of CPU; split {found['split']['digest'][:12]}"
        return [*figures, Figure("seconds to fit", found["fit_seconds"], at_most=fit_s, note=note)]

    said = "".join(f" --set {name}={value}" for name, value in settings.items())
    return Entry(f"polyscene evaluate --data ml-1m --protocol {protocol} --model {model}{said}", measure)


def fit_speed() -> list[Figure]:
    """CPU seconds to fit EASE and iALS, beside the peers' work in the same process."""
    parts = movielens()
    seen = interactions(parts.fit_all.histories, Rows(np.arange(parts.fit_all.size, dtype=np.int32)))
    cost = in_turns(
        {
            "ease": partial(fitted, "ease", parts),
            "ials": partial(fitted, "ials", parts),
            "plain": lambda: plain_ease(seen),
            "implicit": lambda: implicit_als(seen),
        }
    )
    return [
        Figure("EASE fit, CPU s", cost["ease"], at_most=1.1 * PEER_EASE_S, note="the inverse is LAPACK's"),
        Figure("EASE fit over plain NumPy's", cost["ease"] / cost["plain"], note="six lines, float64"),
        Figure("iALS fit, CPU s", cost["ials"], at_most=1.1 * PEER_ALS_S, note="128 factors"),
        Figure("iALS fit over implicit's", cost["ials"] / cost["implicit"], at_most=1.1, note="same run"),
    ]


def rank_speed() -> list[Figure]:
    """CPU seconds to rank all 6,040 users over all items: scores, exact ranks and the top 50."""
    parts = movielens()
    fits = {kind: fitted(kind, parts) for kind in ("popular", "covisit", "ease", "ials")}
    cost = in_turns({kind: partial(rank, part, parts.test) for kind, part in fits.items()})
    most = {"ials": 0.5}
    return [Figure(f"rank all users, {kind}, CPU s", cost[kind], at_most=most.get(kind)) for kind in fits]


ENTRIES = {
    "popular-A": quality("loo", "popular", {}),
    "recent_popular-A": quality("loo", "recent_popular", {}),
    "transitions-A": quality(
        "loo", "covisit", {"hr@10": 0.215, "ndcg@10": 0.126}, settings={"window": "1", "last": "1"}
    ),
    "covisit-A": quality("loo", "covisit", {}),
    "item_knn-A": quality("loo", "item_knn", {}),
    "user_knn-A": quality("loo", "user_knn", {}),
    "ease-A": quality("loo", "ease", {"hr@10": 0.110, "ndcg@10": 0.0545}),
    "ials-A": quality("loo", "ials", {"hr@10": 0.10, "ndcg@10": 0.051}),
    "ease-B": quality("time", "ease", {"ndcg@10": 0.261}),
    "fit-speed": Entry("python -m bench.figures --only fit-speed", fit_speed),
    "rank-speed": Entry("python -m bench.figures --only rank-speed", rank_speed),
    "serving": Entry("python -m bench.figures --only serving", under_load),
    "sasrec-A": quality("loo", "sasrec", {"hr@10": 0.30, "ndcg@10": 0.172}, fit_s=600),
}


def movielens() -> Split:
    """Protocol A on MovieLens 1M."""
    encoded = encode(load_tables("ml-1m"), only_touched=True)
    return split(encoded.data, "loo", ids=encoded)


def fitted(kind: str, parts: Split) -> Part:
    return find(KINDS, kind, "bench")().fit(parts.fit_all, Run())


def plain_ease(seen, l2: float = 500.0) -> np.ndarray:
    """EASE as the paper writes it."""
    gram = (seen.T @ seen).toarray().astype(np.float64)
    gram[np.diag_indices_from(gram)] += l2
    inverse = np.linalg.inv(gram)
    weights = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def implicit_als(seen) -> AlternatingLeastSquares:
    """The fastest peer's ALS with as many factors and its own defaults."""
    model = AlternatingLeastSquares(factors=128, random_state=0)
    model.fit(seen, show_progress=False)
    return model


def in_turns(jobs: Mapping[str, Callable[[], object]]) -> dict[str, float]:
    """Median CPU seconds of each job; the jobs take turns, so that a busy machine slows them alike."""
    costs: dict[str, list[float]] = {name: [] for name in jobs}
    for turn in range(ROUNDS):
        for name, job in jobs.items():
            before = time.process_time()
            job()
            costs[name].append(time.process_time() - before)
        print(f"turn {turn + 1} of {ROUNDS}", file=sys.stderr)
    return {name: statistics.median(each) for name, each in costs.items()}


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", choices=list(ENTRIES), action="append", help="run this entry; repeatable")
    parser.add_argument("--list", action="store_true", help="print the entries and stop")
    options = parser.parse_args()
    if options.list:
        print("\n".join(f"{name:18} {entry.command}" for name, entry in ENTRIES.items()))
        return 0
    missed = 0
    for name in options.only or ENTRIES:
        figures = ENTRIES[name].measure()
        keep(name, ENTRIES[name].command, figures)
        for each in figures:
            target = f"{each.target:10} {each.verdict:8}"
            print(f"{name:18} {each.what:34} {each.value:>10.4g}  {target} {each.note}")
        missed += sum(each.verdict == "MISSED" for each in figures)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
