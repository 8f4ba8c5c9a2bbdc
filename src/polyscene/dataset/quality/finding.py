"""What a look at data answers with."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

Severity = Literal["bad", "warn", "note"]
Topic = Literal[
    "cleaning", "duplicates", "clock", "gaps", "machines", "cold", "ids", "texts", "missing", "values"
]
FEW = 0.001
"""A share below this is worth a note, not a warning."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One odd thing.

    `seen`: what, with numbers. `why`: what it does to recommendations. `mend`: the command, the rule or the
    deed that helps. `count` rows or ids are concerned, `share` of all of them (0 to 1).
    """

    severity: Severity
    topic: Topic
    title: str
    seen: str
    why: str
    mend: str
    count: int = 0
    share: float = 0.0


@dataclass(frozen=True, slots=True)
class Plot:
    """A series to draw: `columns` with a label and a value each, or a `curve` in the unit square.

    `name` is stable, for programs. Of a curve, `labels` are empty and `xs` the x of each value.
    """

    name: str
    kind: Literal["columns", "curve"]
    title: str
    hint: str
    x_title: str
    labels: tuple[str, ...]
    values: tuple[float, ...]
    xs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class ColumnFacts:
    """One column of a clean table: `missing` is a share, `distinct` counts values, `example` is a value."""

    table: str
    column: str
    type: str
    missing: float
    distinct: int
    low: float | None
    high: float | None
    example: str


@dataclass(frozen=True, slots=True)
class Quality:
    """What is in the data and what is odd about it.

    `made`: UTC ms. `facts`: name and value, for people. `findings`: worst first. `languages`: share of
    texts by language in a sample. `notes`: what was guessed or detected while reading.
    """

    source: str
    made: int
    facts: tuple[tuple[str, str], ...]
    findings: tuple[Finding, ...]
    plots: tuple[Plot, ...]
    columns: tuple[ColumnFacts, ...]
    languages: dict[str, float]
    notes: tuple[str, ...]

    def count(self, severity: str) -> int:
        """How many findings are of a severity."""
        return sum(each.severity == severity for each in self.findings)


Findings = Iterator[Finding]


def graded(share: float, warn: float = 0.01, bad: float = 0.1) -> Severity:
    """How severe a share is: a note below `warn`, bad from `bad` on."""
    return "bad" if share >= bad else "warn" if share >= warn else "note"


def of(count: int, total: int, what: str) -> str:
    """``120 of 4,000 events (3.0 %)``."""
    return f"{count:,} of {total:,} {what} ({share(count, total):.1%})"


def share(count: int, total: int) -> float:
    """A share that is 0 of nothing."""
    return count / total if total else 0.0
