"""Ids that mean one thing but are written in several ways, brought to one form: the rules `mend_...`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import polars as pl

from polyscene.dataset.ledger import Ledger

Mend = Literal["spaces", "case", "zeros", "decimals", "prefix", "marks"]
MENDS: Mapping[Mend, Callable[[pl.Expr], pl.Expr]] = {
    "spaces": lambda ids: ids.str.replace_all(r"\s+", ""),
    "case": lambda ids: ids.str.to_lowercase(),
    "decimals": lambda ids: ids.str.replace(r"^(\d+)\.0+$", "$1"),
    "marks": lambda ids: ids.str.replace_all(r"[-_./\s]", ""),
    "prefix": lambda ids: ids.str.replace(r"^\D+(\d+)$", "$1"),
    "zeros": lambda ids: ids.str.replace(r"^0+(.)", "$1"),
}
"""What each mend does: ``A B`` = ``AB``, ``AB`` = ``ab``, ``7.0`` = ``7``, ``0-306`` = ``0306``, ``u7`` =
``7``, ``007`` = ``7``. They are applied in this order."""


def mended(texts: pl.Expr, mends: Sequence[Mend]) -> pl.Expr:
    """An expression of ids as text, with the given mends applied in the order of `MENDS`."""
    for name, mend in MENDS.items():
        if name in mends:
            texts = mend(texts)
    return texts


def mend_column(frame: pl.DataFrame, name: str, mends: Sequence[Mend], ledger: Ledger) -> pl.DataFrame:
    """`frame` with a column of ids mended, its type kept; changed rows are booked."""
    if not mends:
        return frame
    distinct = frame.select(pl.col(name).unique()).with_columns(old=pl.col(name).cast(pl.String))
    distinct = distinct.with_columns(new=mended(pl.col("old"), mends)).filter(
        pl.col("old") != pl.col("new")
    )
    if not len(distinct):
        return frame
    rows = int(frame[name].cast(pl.String).is_in(distinct["old"].implode()).sum())
    ledger.change(f"{name}: mended ({', '.join(mends)})", rows)
    new = pl.col(name).cast(pl.String).replace(distinct["old"], distinct["new"])
    return frame.with_columns(new.cast(frame[name].dtype).alias(name))
