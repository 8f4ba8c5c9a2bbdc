"""The books of cleaning: every row that was taken out, corrected or noticed, by reason."""

from collections import Counter
from collections.abc import Sequence

import polars as pl

from polyscene.dataset.readers import ROW
from polyscene.dataset.tables import TableReport


class Ledger:
    """The account of one table while it is being cleaned."""

    def __init__(self, source: str, rows_in: int) -> None:
        self.source = source
        self.rows_in = rows_in
        self.removed: dict[str, list[pl.Series]] = {}
        self.changed: Counter[str] = Counter()
        self.noticed: Counter[str] = Counter()
        self.notes: list[str] = []

    def drop(self, frame: pl.DataFrame, causes: Sequence[tuple[str, pl.Expr]]) -> pl.DataFrame:
        """`frame` without the rows where an expression holds; the first cause that applies is booked."""
        if not causes:
            return frame
        bad = pl.any_horizontal([faulty.fill_null(value=False) for _, faulty in causes])
        split = frame.with_columns(bad.alias("__bad"))
        rest = split.filter(pl.col("__bad")).drop("__bad")
        if not len(rest):
            return frame
        for cause, faulty in causes:
            mask = rest.select(faulty.fill_null(value=False)).to_series()
            self._book(cause, rest[ROW].filter(mask))
            rest = rest.filter(~mask)
        return split.filter(~pl.col("__bad")).drop("__bad")

    def drop_rows(self, frame: pl.DataFrame, rows: pl.Series, cause: str) -> pl.DataFrame:
        """`frame` without the rows of the given numbers."""
        if not len(rows):
            return frame
        self._book(cause, rows)
        return frame.filter(~pl.col(ROW).is_in(rows.implode()))

    def _book(self, cause: str, rows: pl.Series) -> None:
        if len(rows):
            self.removed.setdefault(cause, []).append(rows)

    def change(self, what: str, count: int) -> None:
        """Books `count` corrected rows."""
        if count:
            self.changed[what] += count

    def notice(self, what: str, count: int) -> None:
        """Books `count` rows that are odd but stay."""
        if count:
            self.noticed[what] += count

    def report(self, rows_out: int, broken: int = 0) -> TableReport:
        """The account, closed; `broken`: lines that were no rows at all."""
        removed = {cause: sum(len(part) for part in parts) for cause, parts in self.removed.items()}
        if broken:
            removed["line can't be read"] = broken
        return TableReport(
            self.source, self.rows_in + broken, rows_out, removed, dict(self.changed), dict(self.noticed)
        )
