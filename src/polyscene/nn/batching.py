"""Batches of next-item examples from ragged histories, without Python per user.

Legend: B sequences, L positions, N targets.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from polyscene.core.arrays import Array, Ragged


@dataclass(frozen=True, slots=True)
class Padded:
    """Sequences side by side, padded on the right with row 0 up to the longest.

    Shapes: `rows` (B, L) int64 item rows; `ages` (B, L) int64, positions counted from the end, 0 at the
    newest event; `real` (B, L) bool, False where padded; `last` (B,) int64 place of the newest event.
    `times`, where they are read: (B, L) int64 seconds of the events, and of what each takes for now.
    `people`, where that is read: (B, C) what the users say of themselves.
    """

    rows: Tensor
    ages: Tensor
    real: Tensor
    last: Tensor
    times: tuple[Tensor, Tensor] | None = None
    people: Tensor | None = None

    @classmethod
    def of(cls, values: Array, starts: Array, lengths: Array, device: torch.device) -> "Padded":
        """The stretches ``values[start : start + length]``; every length is at least 1."""
        place_L = np.arange(int(lengths.max()))
        last_B = lengths.astype(np.int64) - 1
        age_BL = last_B[:, None] - place_L
        real_BL = age_BL >= 0
        rows_BL = np.where(real_BL, values[np.where(real_BL, starts[:, None] + place_L, 0)], 0)
        arrays = rows_BL.astype(np.int64), np.maximum(age_BL, 0), real_BL, last_B
        rows, ages, real, last = (torch.from_numpy(array).to(device) for array in arrays)
        return cls(rows, ages, real, last)

    def timed(self, seconds: Array, sights: Array, starts: Array) -> "Padded":
        """The same with times: `seconds` and `sights` of all events, (N,) each, as `values` were."""
        places_BL = torch.from_numpy(starts)[:, None].to(self.rows.device) + torch.where(
            self.real, self.last[:, None] - self.ages, 0
        )
        then, now = (torch.from_numpy(each).to(self.rows.device)[places_BL] for each in (seconds, sights))
        return replace(self, times=(then, now))

    def told(self, people_BC: Array) -> "Padded":
        """The same with what the users say of themselves."""
        return replace(self, people=torch.from_numpy(people_BC).to(self.rows.device))

    def picked(self, x_BLD: Tensor, *, newest: bool) -> Tensor:
        """(B, D) the vectors of the newest events if `newest`, else all (B, L, D)."""
        return x_BLD[torch.arange(x_BLD.shape[0], device=x_BLD.device), self.last] if newest else x_BLD

    def between(self, some: slice) -> "Padded":
        """The sequences of a slice."""
        times = None if self.times is None else (self.times[0][some], self.times[1][some])
        people = None if self.people is None else self.people[some]
        return Padded(self.rows[some], self.ages[some], self.real[some], self.last[some], times, people)


@dataclass(frozen=True, slots=True)
class Batch:
    """Padded input sequences and, for each real position, the row of the item that came next.

    Shapes: `targets` (N,) int64, in the order of ``inputs.real``.
    """

    inputs: Padded
    targets: Tensor

    def split(self, parts: int) -> "list[tuple[Batch, float]]":
        """About equal pieces, fewer if it has fewer sequences, each with its share of the targets."""
        return [
            (Batch(self.inputs.between(rows), self.targets[flat]), share)
            for rows, flat, share in pieces(self.inputs.real, parts)
        ]


class NextItem:
    """Every user's newest `max_len` + 1 events as next-item examples, in a new order each epoch.

    Sequences of like length share a batch of about `batch_size` events, so little is padding; a sequence
    of one event has nothing to predict and is left out. `times`, if set: (N,) seconds of all events, and of
    what each takes for now; `people`, if set: (U, C) beside the sequences; see `Padded`.
    """

    def __init__(
        self, sequences: Ragged, *, max_len: int, batch_size: int, seed: int, device: torch.device
    ) -> None:
        lengths = np.minimum(sequences.lengths - 1, max_len)
        chosen = np.flatnonzero(lengths >= 1)
        self._values, self._chosen = sequences.values, chosen
        self._lengths = lengths[chosen]
        self._starts = sequences.offsets[1:][chosen] - self._lengths - 1
        self._seed, self._device = seed, device
        self.times: tuple[Array, Array] | None = None
        self.people: Array | None = None
        edges = bucket_edges(max_len)
        bucket = np.searchsorted(edges, self._lengths)
        self._buckets = [
            (np.flatnonzero(bucket == number), max(1, batch_size // int(edge)))
            for number, edge in enumerate(edges)
        ]

    @property
    def steps(self) -> int:
        """Batches in one epoch; 0 when no sequence has two events."""
        return sum(-(-len(members) // size) for members, size in self._buckets)

    def epoch(self, number: int) -> Iterator[Batch]:
        """The batches of one epoch; the order depends on seed and number only."""
        rng = np.random.default_rng([self._seed, number])
        groups = []
        for members, size in self._buckets:
            mixed = rng.permutation(members)
            groups += [mixed[start : start + size] for start in range(0, len(mixed), size)]
        for place in rng.permutation(len(groups)):
            yield self._batch(groups[place])

    def _batch(self, group: NDArray[np.int64]) -> Batch:
        starts, lengths = self._starts[group], self._lengths[group]
        inputs = Padded.of(self._values, starts, lengths, self._device)
        if self.times is not None:
            inputs = inputs.timed(*self.times, starts)
        if self.people is not None:
            inputs = inputs.told(self.people[self._chosen[group]])
        following = Padded.of(self._values, starts + 1, lengths, self._device)
        return Batch(inputs, following.rows[following.real])


def pieces(real_BL: Tensor, parts: int) -> list[tuple[slice, slice, float]]:
    """Where to cut a batch: sequences, real positions and share of these, for at most `parts` pieces."""
    count = len(real_BL)
    edges = np.unique(np.linspace(0, count, min(parts, count) + 1).astype(np.int64)).tolist()
    ends = [0, *real_BL.sum(1).cumsum(0).tolist()]
    return [
        (slice(start, stop), slice(ends[start], ends[stop]), (ends[stop] - ends[start]) / ends[-1])
        for start, stop in pairwise(edges)
    ]


def bucket_edges(max_len: int) -> NDArray[np.int64]:
    """Upper lengths of the buckets: doubling up to 64, then by 32, so that at most a third is padding."""
    steps = [8, 16, 32, *range(64, max_len, 32)]
    return np.array([edge for edge in steps if edge < max_len] + [max_len])
