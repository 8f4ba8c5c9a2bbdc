"""Ids that drift: the same thing written in two ways, within a table or between tables."""

from itertools import combinations

import polars as pl

from polyscene.dataset.mend import MENDS, Mend, mended
from polyscene.dataset.quality.finding import Finding, Findings, graded, of, share
from polyscene.dataset.tables import Tables

GAIN = 0.1
"""A mend is proposed when it joins at least this share of the ids that found no partner."""
SAMPLE = 5_000
"""Ids without a partner that are tried."""
_SMALL: tuple[Mend, ...] = ("case", "spaces", "decimals")
"""Mends that hardly ever join what is not the same."""


def look_at_ids(tables: Tables) -> Findings:
    """Ids that other tables write otherwise, and ids that differ only in case, spaces or ``.0``."""
    for name, table in (("item", tables.items), ("user", tables.users)):
        ids = tables.events[name].unique()
        yield from _within(name, ids)
        if table is not None:
            yield from _between(name, ids, table[name])


def _within(name: str, ids: pl.Series) -> Findings:
    frame = ids.to_frame("id").with_columns(one=mended(pl.col("id"), _SMALL))
    doubled = frame.filter(pl.col("one").is_duplicated()).sort("one", "id")
    if not len(doubled):
        return
    needed = [
        m
        for m in _SMALL
        if ids.to_frame("id").select(mended(pl.col("id"), [m]).n_unique()).item() < len(ids)
    ]
    pair = doubled["id"].head(2).to_list()
    part = share(len(doubled), len(ids))
    yield Finding(
        graded(part, warn=0.005, bad=0.1), "ids", f"{name.capitalize()} ids that differ only in writing",
        f"{of(len(doubled), len(ids), f'{name} ids')}, such as {pair[0]!r} and {pair[1]!r}",
        f"one {name} under two ids has half the evidence under each",
        f"--rule mend_{name}s={','.join(needed)}", len(doubled), part,
    )  # fmt: skip


def _between(name: str, ids: pl.Series, known: pl.Series) -> Findings:
    strangers = ids.filter(~ids.is_in(known.implode()))
    if not len(strangers):
        return
    part_found, mends = _best(strangers, known)
    part = share(len(strangers), len(ids))
    if part_found < GAIN:
        return
    written = strangers.to_frame("id").with_columns(one=mended(pl.col("id"), mends))
    there = known.to_frame("known").with_columns(one=mended(pl.col("known"), mends))
    joined = written.join(there, on="one")
    found, example = joined["id"].n_unique(), joined.sort("id").row(0, named=True)
    yield Finding(
        graded(part, warn=0.001, bad=0.05), "ids", f"Events and {name}s table write ids differently",
        f"{of(len(strangers), len(ids), f'{name} ids of the events')} are not in the {name}s "
        f"table; {found:,} are, "
        f"written otherwise: {example['id']!r} is {example['known']!r} there",
        f"events on such {name}s find no attributes: no titles, no filters, no content",
        f"--rule mend_{name}s={','.join(mends)}", len(strangers), part,
    )  # fmt: skip


def _best(strangers: pl.Series, known: pl.Series) -> tuple[float, tuple[Mend, ...]]:
    """The share of ids that the fewest best mends join, in a sample, and those mends."""
    best: tuple[float, tuple[Mend, ...]] = (0.0, ())
    strangers = strangers.sample(min(SAMPLE, len(strangers)), seed=0)
    for size in (1, 2):
        for mends in combinations(MENDS, size):
            one = strangers.to_frame("id").select(mended(pl.col("id"), mends)).to_series()
            there = known.to_frame("id").select(mended(pl.col("id"), mends)).to_series()
            joined = share(int(one.is_in(there.unique().implode()).sum()), len(one))
            if joined > best[0] * 1.02:
                best = (joined, mends)
        if best[0] >= 0.95:
            break
    return best
