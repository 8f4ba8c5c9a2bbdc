"""Memory of a fit and of ranking everybody, beside the peer's: each in a process of its own.

    python -m bench.memory
    python -m bench.memory ials "implicit ALS"

MovieLens 1M, all but the last event of each user, 6,040 users. **above data**: how far the process's memory
peaks, while it fits and finds the top 10 of all, above what it held with modules and data loaded; what was
loaded before is given back first. **whole**: the peak with all that. Linux only.
"""

import ctypes
import gc
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from implicit.als import AlternatingLeastSquares
from implicit.nearest_neighbours import BM25Recommender

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.matrix import interactions
from polyscene.dataset.split import Split, split
from polyscene.jobs.exam import Learner
from polyscene.models.bm25_knn import Bm25Knn
from polyscene.models.ease import Ease
from polyscene.models.ials import Ials
from polyscene.models.slim import Slim

BLOCK = 256
"""Users that are asked about at once; the peers decide for themselves."""
SELF = Path("/proc/self")


def ours(config: Learner) -> Callable[[Split], Callable[[], None]]:
    def ready(parts: Split) -> Callable[[], None]:
        def work() -> None:
            part = config.fit(parts.fit_all, Run(threads=1))
            asked: Queries = parts.test.queries
            for start in range(0, len(asked), BLOCK):
                some = asked.take(np.arange(start, min(start + BLOCK, len(asked))))
                part(some.wanting(10), Slates.empty(len(some)))

        return work

    return ready


def implicit(model: Any) -> Callable[[Split], Callable[[], None]]:
    def ready(parts: Split) -> Callable[[], None]:
        whole = parts.fit_all
        seen = interactions(whole.histories, Rows(np.arange(whole.size, dtype=np.int32)))

        def work() -> None:
            model.fit(seen, show_progress=False)
            model.recommend(np.arange(seen.shape[0]), seen, N=10)

        return work

    return ready


JOBS = {
    "ials": ours(Ials()),
    "implicit ALS": implicit(AlternatingLeastSquares(factors=128, random_state=0)),
    "bm25_knn": ours(Bm25Knn()),
    "implicit BM25": implicit(BM25Recommender(K=200)),
    "ease": ours(Ease()),
    "slim": ours(Slim()),
}


def told(name: str) -> float:
    """10^6 bytes of a line of this process's status."""
    line = re.search(rf"{name}:\s+(\d+) kB", (SELF / "status").read_text(encoding="utf-8"))
    assert line is not None
    return int(line[1]) * 1024 / 1e6


def alone(name: str) -> None:
    """Runs one job in this process and prints both figures."""
    encoded = encode(load_tables("ml-1m"), only_touched=True)
    work = JOBS[name](split(encoded.data, "loo", ids=encoded))
    del encoded
    gc.collect()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    (SELF / "clear_refs").write_text("5", encoding="utf-8")
    before = told("VmRSS")
    work()
    print(f"| {name} | {told('VmHWM') - before:.0f} | {told('VmHWM'):.0f} |", flush=True)


def main() -> None:
    if sys.argv[1:2] == ["--alone"]:
        alone(sys.argv[2])
        return
    print("| model | above data, MB | whole, MB |\n| --- | ---: | ---: |", flush=True)
    for name in sys.argv[1:] or JOBS:
        subprocess.run([sys.executable, "-m", "bench.memory", "--alone", name], check=True)


if __name__ == "__main__":
    main()
