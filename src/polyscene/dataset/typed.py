"""Raw rows of events to typed ones. What only all rows tell is found first, so that pieces read alike."""

from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

import msgspec
import polars as pl

from polyscene.dataset.ledger import Ledger
from polyscene.dataset.readers import ROW
from polyscene.dataset.times import TimeFacts, TimeForm, order_of, survey_times
from polyscene.dataset.values import is_whole, read_ids, read_numbers, read_words

_SHARED: Mapping[str, pl.Categorical] = MappingProxyType(dict.fromkeys(("user", "item"), pl.Categorical()))


class EventForm(msgspec.Struct, frozen=True):
    """How to read the columns of all events.

    `times`: None where there are none and the order of the file counts. `fractions`: the fields of ids that
    hold numbers with fractions.
    """

    times: TimeForm | None = None
    fractions: frozenset[str] = frozenset()

    @property
    def clock(self) -> bool:
        """Whether times are times of day and not positions."""
        return self.times is not None and self.times.unit != "position"


class RawFacts(msgspec.Struct, frozen=True):
    """What raw rows tell about the form; facts of pieces add up."""

    times: TimeFacts = TimeFacts()
    fractions: frozenset[str] = frozenset()

    def __add__(self, other: "RawFacts") -> "RawFacts":
        return RawFacts(self.times + other.times, self.fractions | other.fractions)


@dataclass(frozen=True, slots=True)
class EventColumns:
    """Which column of a raw events table is which field; `label` names the source in messages."""

    label: str
    fields: Mapping[str, str]

    def survey(self, frame: pl.DataFrame) -> RawFacts:
        """The facts of raw rows.

        Raises:
            DataError: The column of times holds what can't be a time.
        """
        ids = {field for field in ("user", "item") if not is_whole(frame[self.fields[field]])}
        if "time" not in self.fields:
            return RawFacts(fractions=frozenset(ids))
        column = self.fields["time"]
        return RawFacts(survey_times(frame[column], self._where("time")), frozenset(ids))

    def form(self, facts: RawFacts) -> EventForm:
        """How to read the rows that these are all the facts of.

        Raises:
            DataError: Most of the times are none.
        """
        times = facts.times.form(self._where("time")) if "time" in self.fields else None
        return EventForm(times, facts.fractions)

    def book(self, facts: RawFacts, form: EventForm, ledger: Ledger) -> None:
        """Books what reading rows of these facts by `form` corrects."""
        if form.times is not None:
            corrected = facts.times.corrected(form.times)
            ledger.change(f"time: not in {form.times.unit} as most, converted", corrected)

    def notes(self, form: EventForm) -> list[str]:
        """What was detected, as sentences."""
        if form.times is None:
            return ["events: no column of times; the order of the file is the order, without a clock"]
        column = self.fields["time"]
        if form.clock:
            return [f"events: column {column!r} holds times in {form.times.unit}"]
        return [f"events: column {column!r} holds positions: an order, but no clock"]

    def typed(
        self,
        frame: pl.DataFrame,
        form: EventForm,
        ledger: Ledger,
        kinds: Mapping[str, pl.Categorical] = _SHARED,
    ) -> pl.DataFrame:
        """The rows with `ROW`, ids and words as Categorical (ids of the given `kinds`), numbers and times.

        Raises:
            DataError: A column holds what its field can't be; the text names it.
        """
        if form.times is None:
            times = order_of(frame[ROW]).ms
        else:
            raw = frame[self.fields["time"]]
            times = form.times.read(raw)
        return pl.DataFrame(
            {
                ROW: frame[ROW],
                "user": self._ids(frame, "user", form, ledger, kinds["user"]),
                "item": self._ids(frame, "item", form, ledger, kinds["item"]),
                "action": self._words(frame, "action", "interaction", ledger),
                "value": self._numbers(frame, "value"),
                "time": times.alias("time"),
                "scenario": self._words(frame, "scenario", "", ledger),
            }
        )

    def _where(self, field: str) -> str:
        return f"{self.label}, column {self.fields.get(field)!r}"

    def _ids(
        self, frame: pl.DataFrame, field: str, form: EventForm, ledger: Ledger, kind: pl.Categorical
    ) -> pl.Series:
        raw, whole = frame[self.fields[field]], field not in form.fractions
        return read_ids(raw, field, self._where(field), ledger, whole=whole, kind=kind)

    def _words(self, frame: pl.DataFrame, field: str, default: str, ledger: Ledger) -> pl.Series:
        if field in self.fields:
            return read_words(frame[self.fields[field]], field, default, ledger)
        return pl.Series(field, [default], dtype=pl.Categorical).new_from_index(0, len(frame))

    def _numbers(self, frame: pl.DataFrame, field: str) -> pl.Series:
        if field not in self.fields:
            return pl.Series(field, [1.0], dtype=pl.Float64).new_from_index(0, len(frame))
        return read_numbers(frame[self.fields[field]], field, self._where(field))
