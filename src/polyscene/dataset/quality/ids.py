"""Ids that drift: the same thing written in two ways, within a table or between tables."""

from itertools import combinations

import polars as pl

from polyscene.dataset.mend import MENDS, Mend, mended
from polyscene.dataset.quality.finding import Finding, Findings, graded, of, share
from polyscene.dataset.tables import Tables

GAIN = 0.1
"""A mend is proposed when it joins at least this share of the ids without a partner, here or there."""
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
    mends = _best(strangers, known)
    if not mends:
        return
    written = strangers.to_frame("id").with_columns(one=mended(pl.col("id"), mends))
    there = known.to_frame("known").with_columns(one=mended(pl.col("known"), mends))
    joined = written.join(there, on="one").sort("id")
    found, part = joined["id"].n_unique(), share(len(strangers), len(ids))
    idle = len(known) - int(known.is_in(ids.implode()).sum())
    if found < GAIN * min(len(strangers), max(1, idle)):
        return
    example = joined.row(0, named=True)
    yield Finding(
        graded(part, warn=0.001, bad=0.05), "ids", f"Events and {name}s table write ids differently",
        f"{of(len(strangers), len(ids), f'{name} ids of the events')} are not in the {name}s "
        f"table; {found:,} are, "
        f"written otherwise: {example['id']!r} is {example['known']!r} there",
        f"events on such {name}s find no attributes: no titles, no filters, no content",
        f"--rule mend_{name}s={','.join(mends)}", len(strangers), part,
    )  # fmt: skip


def _best(strangers: pl.Series, known: pl.Series) -> tuple[Mend, ...]:
    """The fewest mends that join the most ids of a sample; none where nothing joins any."""
    strangers = strangers.sample(min(SAMPLE, len(strangers)), seed=0)
    most = 0.0
    best: tuple[Mend, ...] = ()
    for size in (1, 2):
        for mends in combinations(MENDS, size):
            one = strangers.to_frame("id").select(mended(pl.col("id"), mends)).to_series()
            there = known.to_frame("id").select(mended(pl.col("id"), mends)).to_series()
            joined = share(int(one.is_in(there.unique().implode()).sum()), len(one))
            if joined > most * 1.02:
                most, best = joined, mends
        if most >= 0.95:
            break
    return best
