"""Pairs of texts as rows of pieces: begin, first text, end, second text, end.

Legend: N pairs, L places, B first texts.
"""

from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import Array, Ragged


@dataclass(frozen=True, slots=True)
class Marks:
    """Codes of the pieces that are no words."""

    pad: int
    begin: int
    end: int
    mask: int


@dataclass(frozen=True, slots=True)
class Pairs:
    """Texts in pairs. Shapes: `firsts` B, `seconds` N lists of codes; `owner` (N,) the first of each."""

    firsts: Ragged
    seconds: Ragged
    owner: Array

    def __len__(self) -> int:
        return len(self.owner)

    def take(self, rows: Array) -> "Pairs":
        """The chosen pairs."""
        return Pairs(self.firsts, self.seconds.take(rows), self.owner[rows])


@dataclass(frozen=True, slots=True)
class Tokens:
    """Shapes: all (N, L): `pieces` and `segments` (1: second text) int64, `real` False where padded."""

    pieces: Tensor
    segments: Tensor
    real: Tensor

    def __len__(self) -> int:
        return len(self.pieces)


@dataclass(frozen=True, slots=True)
class Packer:
    """How pairs become rows of at most `max_len` pieces.

    Where a pair is too long, the second text keeps the beginning of what fits into one half, and the first
    its end: of a history, what is newest.
    """

    marks: Marks
    max_len: int

    def __call__(self, pairs: Pairs, device: torch.device) -> Tokens:
        """The pairs, padded to the longest."""
        marks, count = self.marks, len(pairs)
        lengths = self.lengths(pairs)
        pieces = np.full((count, int(lengths.max(initial=0))), marks.pad, np.int64)
        segments = np.zeros_like(pieces)
        for row, length in enumerate(lengths.tolist()):
            second = pairs.seconds[row][: self.max_len // 2 - 1]
            middle = length - len(second) - 2
            first = pairs.firsts[pairs.owner[row]]
            pieces[row, 0] = marks.begin
            pieces[row, 1:middle] = first[len(first) - (middle - 1) :]
            pieces[row, [middle, length - 1]] = marks.end
            pieces[row, middle + 1 : length - 1] = second
            segments[row, middle + 1 : length] = 1
        real = np.arange(pieces.shape[1]) < lengths[:, None]
        return Tokens(*(torch.from_numpy(each).to(device) for each in (pieces, segments, real)))

    def lengths(self, pairs: Pairs) -> Array:
        """(N,) pieces of each pair once packed."""
        seconds = np.minimum(pairs.seconds.lengths, self.max_len // 2 - 1)
        firsts = pairs.firsts.lengths[pairs.owner]
        lengths: Array = np.minimum(firsts + seconds + 3, self.max_len)
        return lengths
