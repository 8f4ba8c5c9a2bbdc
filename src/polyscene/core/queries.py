"""Queries: B requests with their data resolved; serving is B = 1, evaluation B = thousands."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np

from polyscene.core.arrays import (
    Array,
    Bools,
    Codes,
    Counts,
    Ragged,
    RaggedTable,
    Seeds,
    Times,
    offsets_of,
)

HISTORY_COLUMNS: Mapping[str, type] = {
    "item": np.int32,
    "action": np.int16,
    "value": np.float32,
    "time": np.int64,
    "scenario": np.int16,
}
"""Columns of every history, with their types; rows run from the oldest to the newest."""


@dataclass(frozen=True, slots=True)
class Eligible:
    """What the rules let through: G rule sets over I item codes, each query pointing at one.

    Shapes: masks (G, I) bool; groups (B,) row of `masks` that holds for each query.
    """

    masks: Bools
    groups: Array

    @classmethod
    def all(cls, count: int, size: int) -> "Eligible":
        """Everything allowed, for `count` queries over `size` codes."""
        return cls(np.ones((1, size), bool), np.zeros(count, np.int64))

    @property
    def size(self) -> int:
        """Number of item codes the rules know (I)."""
        return int(self.masks.shape[1])

    def block(self, rows: Array | slice = slice(None)) -> Bools:
        """(b, I) mask of the chosen queries."""
        return self.masks[self.groups[rows]]

    def of(self, row: int) -> Bools:
        """(I,) mask of one query."""
        mask: Bools = self.masks[self.groups[row]]
        return mask

    def take(self, rows: Array) -> "Eligible":
        """The same rules for the chosen queries."""
        return Eligible(self.masks, self.groups[rows])


@dataclass(frozen=True, slots=True)
class Queries:
    """B requests, each with everything a stage may look at.

    Shapes: all (B,) or B lists. `at` UTC ms, the only clock a stage may read. `users` codes, -1 for
    anonymous, read only by parts that hold users. `history` has `HISTORY_COLUMNS`. `exclude`: items
    that must not be shown (seen, blocked, already on the page). `seeds`: chance is hash(seed, item).
    `context`: anchor items (``"anchors"``, a Ragged), query text, device, place.
    """

    at: Times
    users: Codes
    scenario: Codes
    history: RaggedTable
    wanted: Counts
    exclude: Ragged
    allowed: Eligible
    seeds: Seeds
    context: Mapping[str, Array | Ragged] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.at)

    @classmethod
    def of_histories(cls, history: RaggedTable, size: int, *, wanted: int = 10) -> "Queries":
        """Plain queries over `size` item codes: anonymous, everything allowed, nothing excluded."""
        count = len(history)
        return cls(
            at=np.zeros(count, np.int64),
            users=np.full(count, -1, np.int32),
            scenario=np.zeros(count, np.int32),
            history=history,
            wanted=np.full(count, wanted, np.int32),
            exclude=Ragged.empty(count),
            allowed=Eligible.all(count, size),
            seeds=np.arange(count, dtype=np.uint64),
        )

    def take(self, rows: Array) -> "Queries":
        """The chosen queries, in the order asked."""
        return Queries(
            at=self.at[rows],
            users=self.users[rows],
            scenario=self.scenario[rows],
            history=self.history.take(rows),
            wanted=self.wanted[rows],
            exclude=self.exclude.take(rows),
            allowed=self.allowed.take(rows),
            seeds=self.seeds[rows],
            context={
                name: value.take(rows) if isinstance(value, Ragged) else value[rows]
                for name, value in self.context.items()
            },
        )

    def wanting(self, count: int) -> "Queries":
        """The same queries asking for `count` items each."""
        return replace(self, wanted=np.full(len(self), count, np.int32))


def stack(queries: Sequence[Queries]) -> Queries:
    """Several queries over the same items as one batch; equal rule sets become one."""
    rules: dict[bytes, int] = {}
    masks: list[Bools] = []
    groups: list[int] = []
    for each in queries:
        for row in range(len(each)):
            mask = each.allowed.of(row)
            key = np.packbits(mask).tobytes()
            if key not in rules:
                rules[key] = len(masks)
                masks.append(mask)
            groups.append(rules[key])
    return Queries(
        at=np.concatenate([each.at for each in queries]),
        users=np.concatenate([each.users for each in queries]),
        scenario=np.concatenate([each.scenario for each in queries]),
        history=RaggedTable(
            offsets_of(np.concatenate([each.history.lengths for each in queries])),
            {name: np.concatenate([each.history[name] for each in queries]) for name in HISTORY_COLUMNS},
        ),
        wanted=np.concatenate([each.wanted for each in queries]),
        exclude=_joined([each.exclude for each in queries]),
        allowed=Eligible(np.array(masks), np.array(groups, np.int64)),
        seeds=np.concatenate([each.seeds for each in queries]),
        context={
            name: _joined([each.context[name] for each in queries])
            for name in queries[0].context
            if all(name in each.context for each in queries)
        },
    )


def _joined(parts: Sequence[Any]) -> Any:
    """Arrays, or ragged lists, one after another."""
    if not isinstance(parts[0], Ragged):
        return np.concatenate(parts)
    lengths = np.concatenate([each.lengths for each in parts])
    return Ragged(offsets_of(lengths), np.concatenate([each.values for each in parts]))


def history_of(lists: list[list[int]], times: list[list[int]] | None = None) -> RaggedTable:
    """A history table from plain item codes, oldest first; times default to the position."""
    items = Ragged.of(lists)
    position = np.arange(len(items.values)) - np.repeat(items.offsets[:-1], items.lengths)
    when = position if times is None else Ragged.of(times, np.int64).values
    count = len(items.values)
    return RaggedTable(
        items.offsets,
        {
            "item": items.values,
            "action": np.zeros(count, np.int16),
            "value": np.ones(count, np.float32),
            "time": when.astype(np.int64),
            "scenario": np.zeros(count, np.int16),
        },
    )
