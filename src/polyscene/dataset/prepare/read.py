"""The first pass: rows are typed, cleaned one by one, coded and kept; the source is read once."""

from collections.abc import Iterator
from dataclasses import dataclass
from uuid import uuid4

import numpy as np
import polars as pl

from polyscene.core.arrays import Array
from polyscene.core.contracts import ProgressBar
from polyscene.core.errors import DataError
from polyscene.dataset.clean import CleaningRules, clean_rows, match_items
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.prepare.pieces import Mark, Piece, pieces
from polyscene.dataset.prepare.work import IDS, RECORD, REMOVED, WORDS, Books, Plan, Unit, Work
from polyscene.dataset.readers import ROW, Raw
from polyscene.dataset.scales import ValueFacts, survey_values, value_plan
from polyscene.dataset.typed import EventColumns, RawFacts

MOST_WORDS = 32_767


@dataclass(frozen=True, slots=True)
class EventSource:
    """A raw events table with all that is known about how to read it.

    `items`: ids of the items table, None without one. `size`: bytes of a piece.
    """

    raw: Raw
    columns: EventColumns
    rules: CleaningRules
    items: pl.Series | None
    size: int

    def pieces(self, start: Mark = Mark()) -> Iterator[Piece]:  # noqa: B008 - a Mark is frozen
        """The columns that fields need, piece by piece."""
        wanted = list(dict.fromkeys(self.columns.fields.values()))
        return pieces(self.raw, wanted, self.size, start)

    def plan(self, raw: RawFacts, values: ValueFacts) -> Plan:
        """How to read rows of which these are the facts. Raises DataError where their times are none."""
        rated = self.columns.fields.get("value", "")
        return Plan(self.columns.form(raw), value_plan(values, rated, self.rules.scale))


def read(source: EventSource, work: Work, bar: ProgressBar) -> Plan:
    """Brings the units of `work` up to the end of the source; gives the plan by which they were read.

    The plan is guessed from the first piece and held against the facts of all pieces at the end; in the
    rare case that the guess was wrong everything is read again.

    Raises:
        DataError: The source can't be read or used.
        StoreError: The disk is full.
    """
    plan = work.plan
    if plan is None:
        plan = _guess(source)
        work.begin(plan)
    while True:
        _Pass(source, work, plan).run(bar)
        units = work.units
        if not sum(unit.rows for unit in units):
            raise DataError(f"{source.raw.label}: the events table has no rows. Export it again")
        raw = sum((unit.raw for unit in units), RawFacts())
        truth = source.plan(raw, sum((unit.values for unit in units), ValueFacts()))
        if truth == plan:
            return plan
        plan = truth
        work.begin(plan)


def _guess(source: EventSource) -> Plan:
    raw = RawFacts()
    for piece in source.pieces():
        raw += source.columns.survey(piece.frame)
        try:
            form = source.columns.form(raw)
        except DataError:
            continue  # a beginning without times tells nothing yet
        typed = source.columns.typed(piece.frame, form, Ledger("", 0))
        return source.plan(raw, survey_values(typed))
    return source.plan(raw, ValueFacts())


class _Pass:
    """One reading of the source; codes are given in the order of arrival."""

    def __init__(self, source: EventSource, work: Work, plan: Plan) -> None:
        self._source, self._work, self._plan = source, work, plan
        kinds = {name: pl.Categorical(pl.Categories(f"{name}-{uuid4().hex}")) for name in IDS}
        self._ids = {name: _Coder(kind, work.ids(name)) for name, kind in kinds.items()}
        self._words = {
            name: _Coder(pl.Categorical(), [pl.Series(work.words(name), dtype=pl.String)]) for name in WORDS
        }

    def run(self, bar: ProgressBar) -> None:
        bar.advance(len(self._work.units))
        for piece in self._source.pieces(self._work.end):
            self._keep(piece)
            bar.advance()

    def _keep(self, piece: Piece) -> None:
        source, plan, frame = self._source, self._plan, piece.frame
        ledger = Ledger(source.raw.label, len(frame))
        raw = source.columns.survey(frame)
        source.columns.book(raw, plan.form, ledger)
        kinds = {name: coder.kind for name, coder in self._ids.items()}
        typed = source.columns.typed(frame, plan.form, ledger, kinds)
        values = survey_values(typed)
        events = clean_rows(typed, source.rules, ledger, plan.values, clock=plan.form.clock)
        events = match_items(events, source.items, source.rules, ledger)
        records, ids, words = self._coded(events)
        unit = Unit(
            end=piece.end,
            rows=len(frame),
            broken=len(piece.broken),
            raw=raw,
            values=values,
            books=Books.of(ledger.report(0)),
            words=words,
        )
        self._work.add(unit, records, ids, removed_rows(ledger))

    def _coded(self, events: pl.DataFrame) -> tuple[Array, dict[str, list[str]], dict[str, list[str]]]:
        records = np.empty(len(events), RECORD)
        ids, words = {}, {}
        for name in ("value", "time"):
            records[name] = events[name].to_numpy()
        records["row"] = events[ROW].to_numpy()
        for name, coder in self._ids.items():
            records[name], ids[name] = coder.codes(events[name])
        for name, coder in self._words.items():
            records[name], words[name] = coder.codes(events[name])
            if coder.size > MOST_WORDS:
                column = self._source.columns.fields[name]
                raise DataError(
                    f"{self._source.raw.label}, column {column!r}: more than {MOST_WORDS} different values "
                    f"can't be {name}s; map another column: --map {name}=COLUMN, or none: --map {name}="
                )
        return records, ids, words


def removed_rows(ledger: Ledger) -> pl.DataFrame:
    """Row and cause of what a ledger says was removed."""
    parts = [
        pl.DataFrame({ROW: rows.cast(pl.Int64), "cause": [cause] * len(rows)}, schema=REMOVED)
        for cause, each in ledger.removed.items()
        for rows in each
    ]
    return pl.concat([pl.DataFrame(schema=REMOVED), *parts])


class _Coder:
    """Codes of ids that come as Categorical of one `kind`: a look-up by what the category is numbered."""

    def __init__(self, kind: pl.Categorical, known: list[pl.Series]) -> None:
        self.kind, self.size = kind, 0
        self._held = pl.Series([""]).cast(kind)  # Polars forgets categories that no column uses
        self._code_of = np.full(1024, -1, np.int32)
        for ids in known:
            self.codes(ids)

    def codes(self, ids: pl.Series) -> tuple[Array, list[str]]:
        """(n,) int32 codes, and the ids that are new, in the order of their codes."""
        if ids.dtype != self.kind:
            ids = ids.cast(pl.String).cast(self.kind)
        numbers = ids.to_physical().to_numpy()
        top = int(numbers.max(initial=0)) + 1
        if top > len(self._code_of):
            more = np.full(max(top, 2 * len(self._code_of)), -1, np.int32)
            more[: len(self._code_of)] = self._code_of
            self._code_of = more
        codes = self._code_of[numbers]
        places = np.flatnonzero(codes < 0)
        if not len(places):
            return codes, []
        fresh, first = np.unique(numbers[places], return_index=True)
        fresh = fresh[np.argsort(first)]
        self._code_of[fresh] = np.arange(self.size, self.size + len(fresh), dtype=np.int32)
        self.size += len(fresh)
        new = ids.gather(places[np.sort(first)]).cast(pl.String).to_list()
        return self._code_of[numbers], new
