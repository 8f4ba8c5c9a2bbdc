"""Hypothesis strategies for the core shapes; needs the `hypothesis` package."""

from dataclasses import replace

import numpy as np
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.slates import Slates

SCORES = st.floats(-1e6, 1e6, width=32)


def lists(
    size: int, *, count: int | None = None, unique: bool = False
) -> st.SearchStrategy[list[list[int]]]:
    """Up to 5 (or exactly `count`) lists of codes below `size`."""
    codes = st.integers(0, size - 1) if size else st.nothing()
    row = st.lists(codes, max_size=8, unique=unique)
    return st.lists(row, min_size=count or 0, max_size=5 if count is None else count)


def ragged(size: int = 9, *, count: int | None = None) -> st.SearchStrategy[Ragged]:
    """Lists of codes below `size`, packed."""
    return lists(size, count=count).map(Ragged.of)


@st.composite
def data(draw: st.DrawFn, size: int = 9) -> Data:
    """Up to 5 histories over `size` items, at rising times that may tie."""
    items = draw(lists(size))
    times = [
        np.sort(draw(st.lists(st.integers(0, 50), min_size=len(row), max_size=len(row)))) for row in items
    ]
    histories = history_of(items, [row.astype(np.int64).tolist() for row in times])
    return Data(np.arange(len(items), dtype=np.int32), histories, Catalogue.bare(size), at=51)


@st.composite
def queries(draw: st.DrawFn, size: int = 9, *, count: int | None = None) -> Queries:
    """Queries over `size` items with rules, exclusions and unknown codes."""
    histories = draw(lists(size + 2, count=count))
    rows = len(histories)
    masks = draw(st.lists(st.lists(st.booleans(), min_size=size, max_size=size), min_size=1, max_size=2))
    groups = draw(st.lists(st.integers(0, len(masks) - 1), min_size=rows, max_size=rows))
    wanted = draw(st.lists(st.integers(0, size + 2), min_size=rows, max_size=rows))
    plain = Queries.of_histories(history_of(histories), size)
    return replace(
        plain,
        at=np.full(rows, 51, np.int64),
        wanted=np.array(wanted, np.int32),
        exclude=draw(ragged(size + 2, count=rows)) if rows else Ragged.empty(0),
        allowed=Eligible(np.array(masks, bool), np.array(groups, np.int64)),
    )


@st.composite
def slates(draw: st.DrawFn, size: int = 9, *, count: int | None = None) -> Slates:
    """Slates of distinct items below `size`, best first."""
    items = Ragged.of(draw(lists(size, count=count, unique=True)))
    number = len(items.values)
    scores = np.array(draw(st.lists(SCORES, min_size=number, max_size=number)), np.float32)
    return Slates(items.offsets, items.values, scores).ordered()
