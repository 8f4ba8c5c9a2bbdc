"""What language networks learn from: pairs of texts, in batches.

Legend: N pairs, S slates, L places, P masked places, E events.
"""

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from hashlib import sha256

import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import Array, Floats, Ragged, offsets_of, spans
from polyscene.nn.tokens import Packer, Pairs, Tokens

MASKED = 0.15
"""Share of the pieces that are to be guessed."""
HIDDEN, SWAPPED = 0.8, 0.1
"""Of these, how many are hidden and how many are replaced by another piece; the rest stand as they are."""


@dataclass(frozen=True, slots=True)
class Judged:
    """Pairs of some slates and which of them came. Shapes: `labels` (N,); `slate` (N,) counted from 0."""

    tokens: Tokens
    labels: Tensor
    slate: Tensor


def slate_loss(scores_N: Tensor, batch: Judged) -> Tensor:
    """Mean over slates of the cross-entropy between labels, shared out to 1, and the softmax of scores."""
    slates = int(batch.slate[-1]) + 1
    best_S = scores_N.detach().new_full((slates,), -torch.inf)
    best_S.scatter_reduce_(0, batch.slate, scores_N.detach(), "amax")
    shifted_N = scores_N - best_S[batch.slate]
    total_S = scores_N.new_zeros(slates).index_add(0, batch.slate, shifted_N.exp())
    labels_S = scores_N.new_zeros(slates).index_add(0, batch.slate, batch.labels)
    share_N = batch.labels / labels_S[batch.slate]
    return -(share_N * (shifted_N - total_S.log()[batch.slate])).sum() / slates


@dataclass(frozen=True, slots=True)
class Slated:
    """Labelled pairs, slate by slate. Shapes: `labels` (N,) float32; slates begin at `offsets` (B + 1,)."""

    pairs: Pairs
    labels: Floats
    offsets: Array

    def digest(self) -> str:
        """Sha256 (hex) of all of it."""
        firsts, seconds = self.pairs.firsts, self.pairs.seconds
        texts = firsts.offsets, firsts.values, seconds.offsets, seconds.values
        return _digest(*texts, self.pairs.owner, self.labels, self.offsets)


@dataclass(frozen=True, slots=True)
class Slates:
    """Whole slates in a new order each epoch, `batch_size` at a time."""

    known: Slated
    packer: Packer
    batch_size: int
    seed: int
    device: torch.device

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return math.ceil((len(self.known.offsets) - 1) / self.batch_size)

    def epoch(self, number: int) -> Iterator[Judged]:
        """The batches of one epoch; the order depends on seed and number only."""
        offsets = self.known.offsets
        order = np.random.default_rng([self.seed, number]).permutation(len(offsets) - 1)
        for start in range(0, len(order), self.batch_size):
            chosen = order[start : start + self.batch_size]
            lengths = np.diff(offsets)[chosen]
            rows = spans(offsets[chosen], lengths)
            yield Judged(
                self.packer(self.known.pairs.take(rows), self.device),
                torch.from_numpy(self.known.labels[rows]).to(self.device),
                torch.from_numpy(np.repeat(np.arange(len(chosen)), lengths)).to(self.device),
            )


@dataclass(frozen=True, slots=True)
class Masked:
    """Rows with holes, and as they were.

    Shapes: `places` (P,) of the flat (N L,), `wanted` (P,) what stood there; `follows` (N,) 1 where the
    second text is what came next.
    """

    tokens: Tokens
    plain: Tokens
    places: Tensor
    wanted: Tensor
    follows: Tensor


@dataclass(frozen=True, slots=True)
class Events:
    """Histories as texts.

    Shapes: `texts` rows of codes; `told` (E, T) the rows that tell of each event, in their order; `starts`
    (E,) the first event of the same history.
    """

    texts: Ragged
    told: Array
    starts: Array

    def told_before(self, places: Array, most: int) -> Ragged:
        """For each of the events at `places`, the text of the `most` events before it."""
        first = np.maximum(self.starts[places], places - most)
        events = self.told[spans(first, places - first)]
        return said(Ragged(offsets_of((places - first) * self.told.shape[1]), events.ravel()), self.texts)


def said(lists: Ragged, texts: Ragged) -> Ragged:
    """For each list of rows of `texts`, these texts one behind the other."""
    found = texts.take(lists.values)
    return Ragged(found.offsets[lists.offsets], found.values)


@dataclass(frozen=True, slots=True)
class Reading:
    """Histories and the item that came next, read for their language alone.

    `items` (E,) is the row of each event's item. Each epoch draws `rows` events with a past of at most
    `most` events anew. With `strangers`, every other second text is that of another event's item.
    """

    events: Events
    items: Array
    packer: Packer
    rows: int
    most: int
    batch_size: int
    seed: int
    device: torch.device
    strangers: bool

    @property
    def able(self) -> Array:
        """The events that have a past."""
        return np.flatnonzero(np.arange(len(self.items)) > self.events.starts)

    @property
    def steps(self) -> int:
        """Batches in one epoch; 0 when no event has a past."""
        return math.ceil(min(self.rows, len(self.able)) / self.batch_size)

    def digest(self) -> str:
        """Sha256 (hex) of all that is read."""
        texts = self.events.texts
        return _digest(texts.offsets, texts.values, self.events.told, self.events.starts, self.items)

    def epoch(self, number: int) -> Iterator[Masked]:
        """The batches of one epoch; they depend on seed and number only."""
        rng = np.random.default_rng([self.seed, number])
        drawn = rng.permutation(self.able)[: self.rows]
        for start in range(0, len(drawn), self.batch_size):
            yield self._batch(drawn[start : start + self.batch_size], rng)

    def _batch(self, places: Array, rng: np.random.Generator) -> Masked:
        follows = (rng.random(len(places)) < 0.5) | (not self.strangers)
        second = np.where(follows, self.items[places], rng.choice(self.items, len(places)))
        firsts, texts = self.events.told_before(places, self.most), self.events.texts
        tokens = self.packer(Pairs(firsts, texts.take(second), np.arange(len(places))), self.device)
        holed, where, wanted = self._holed(tokens, rng)
        return Masked(
            holed, tokens, where, wanted, torch.from_numpy(follows.astype(np.float32)).to(self.device)
        )

    def _holed(self, tokens: Tokens, rng: np.random.Generator) -> tuple[Tokens, Tensor, Tensor]:
        pieces = tokens.pieces.cpu().numpy().copy()
        marks = self.packer.marks
        words = ~np.isin(pieces, (marks.pad, marks.begin, marks.end))
        places = np.flatnonzero(words & (rng.random(pieces.shape) < MASKED))
        wanted = pieces.flat[places].copy()
        chance = rng.random(len(places))
        pieces.flat[places[chance < HIDDEN]] = marks.mask
        swapped = places[(chance >= HIDDEN) & (chance < HIDDEN + SWAPPED)]
        pieces.flat[swapped] = rng.choice(self.events.texts.values, len(swapped))
        found = (torch.from_numpy(each).to(self.device) for each in (pieces, places, wanted))
        holed, where, what = found
        return replace(tokens, pieces=holed), where, what


def _digest(*arrays: Array) -> str:
    found = sha256()
    for each in arrays:
        found.update(np.ascontiguousarray(each).tobytes())
    return found.hexdigest()
