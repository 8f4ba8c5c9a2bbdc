"""Other ways to read the same histories: which stretch of them, in what order, with which holes.

Legend: U histories, S stretches, B sequences, L positions, R item rows. All chance comes from a NumPy
generator, so an epoch repeats with its seed.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from polyscene.core.arrays import Bools, Offsets, Ragged, offsets_of, spans

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]
Windows = Literal["last", "sliding", "random"]
Ints = NDArray[np.int64]
WINDOW = 5
"""Two items of a history are near each other when at most so many places apart."""


class Augment(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How training histories are varied; the defaults vary nothing.

    `windows`: which stretch of a history longer than ``max_len + 1`` is read: the newest, all of them
    every epoch, or a random one each epoch. `crop`: chance that a sequence is cut to a random part.
    `reorder`: chance that a random part of it is shuffled. `mask`: chance of each event to be hidden from
    the input. `substitute`: chance of each event to be replaced in the input by a similar item.

    Source: crop, mask and reorder are CL4SRec's (Xie et al. 2022), substitution CoSeRec's (Liu et al.
    2021), here as plain augmentation without their contrastive loss.
    """

    windows: Windows = "last"
    crop: Share = 0.0
    reorder: Share = 0.0
    mask: Share = 0.0
    substitute: Share = 0.0


def stretches(kind: Windows, offsets: Offsets, max_len: int, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """Starts and lengths (S,) of what one epoch reads of U histories, in events.

    A stretch of n + 1 events gives n targets, n at most `max_len`. ``"sliding"`` makes every event but a
    history's first a target once; neighbouring stretches share one event. A history of fewer than two
    events gives none.
    """
    chosen = np.flatnonzero(np.diff(offsets) >= 2)
    first, end = offsets[:-1][chosen], offsets[1:][chosen]
    if kind == "sliding":
        counts = -((first + 1 - end) // max_len)
        # The newest is full; what is left over makes the oldest shorter.
        end = np.repeat(end, counts) - max_len * spans(np.zeros_like(counts), counts)
        first = np.repeat(first, counts)
    lengths = np.minimum(end - first, max_len + 1)
    starts = end - lengths
    if kind == "random":
        starts = rng.integers(first, starts + 1)
    return starts, lengths


def cropped(starts: Ints, lengths: Ints, share: float, rng: np.random.Generator) -> tuple[Ints, Ints]:
    """The stretches, a `share` of them cut to a random part of two events or more."""
    cut = (rng.random(len(starts)) < share) & (lengths > 2)
    kept = np.where(cut, rng.integers(np.minimum(2, lengths), lengths + 1), lengths)
    return starts + rng.integers(0, lengths - kept + 1), kept


def reordered(places_BL: Ints, real_BL: Bools, share: float, rng: np.random.Generator) -> Ints:
    """Event places (B, L) with, in a `share` of the rows, a random part shuffled.

    The part has from two events to half of the row's; padding on the right stays. Take inputs and targets
    from the result, so that targets follow.
    """
    B, L = places_BL.shape
    lengths_B = real_BL.sum(1)
    part_B = rng.integers(2, np.maximum(lengths_B // 2, 2) + 1)
    start_B = rng.integers(0, np.maximum(lengths_B - part_B, 0) + 1)
    part_B = np.where((rng.random(B) < share) & (lengths_B >= part_B), part_B, 0)
    place_L = np.arange(L)
    inside_BL = (place_L >= start_B[:, None]) & (place_L < (start_B + part_B)[:, None])
    # Inside, every key lies between those of the part's neighbours.
    key_BL = np.where(inside_BL, start_B[:, None] + rng.random((B, L)) * part_B[:, None], place_L)
    shuffled_BL: Ints = np.take_along_axis(places_BL, np.argsort(key_BL, 1, kind="stable"), 1)
    return shuffled_BL


def changed_rows(
    rows_BL: Ints,
    real_BL: Bools,
    augment: Augment,
    rng: np.random.Generator,
    similar_R: Ints,
    mask_row: int,
) -> Ints:
    """Input rows (B, L) with events hidden behind `mask_row` or replaced by ``similar_R[row]``.

    Hidden goes before replaced. Padding stays.
    """
    draw_BL = np.where(real_BL, rng.random(rows_BL.shape), np.inf)
    likened_BL = np.where(draw_BL < augment.mask + augment.substitute, similar_R[rows_BL], rows_BL)
    return np.where(draw_BL < augment.mask, mask_row, likened_BL)


def similar_items(histories: Ragged, count: int) -> Ints:
    """(R,) row of the item most often near each item, by cosine; the item itself where there is none.

    `histories` holds rows below `count`. Of equally similar items the lowest row is taken.

    Source: item co-occurrence cosine (Sarwar et al. 2001) within `WINDOW` places.
    """
    seen, owner = histories.values.astype(np.int64), histories.rows()
    near: sparse.csr_matrix = sparse.csr_matrix((count, count), dtype=np.float32)
    for gap in range(1, WINDOW + 1):
        same = (owner[gap:] == owner[:-gap]) & (seen[gap:] != seen[:-gap])
        pair = seen[:-gap][same], seen[gap:][same]
        near += sparse.csr_matrix((np.ones(same.sum(), np.float32), pair), shape=near.shape)
    near = (near + near.T).tocoo()
    often_R = np.maximum(np.bincount(seen, minlength=count), 1)
    cosine = near.data / np.sqrt(often_R[near.row] * often_R[near.col])
    order = np.lexsort((-near.col, cosine, near.row))
    best = offsets_of(np.bincount(near.row, minlength=count))[1:] - 1
    found = np.flatnonzero(np.bincount(near.row, minlength=count))
    similar_R = np.arange(count)
    similar_R[found] = near.col[order][best[found]]
    return similar_R
