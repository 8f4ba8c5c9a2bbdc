"""Evidence: counted facts that a network adds to its logits, each weighed by what it read.

Three kinds: how popular an item is, how often it came `lag` events after the lag-newest event, and what a
linear model (EASE) makes of the whole history. A Transformer learns the last two badly from few events;
counted, they cost a fit of seconds. While a network trains, a user's own events are left out of what is
counted for that user, so that the weights are learned on evidence as it will be for the next event.

Legend: N positions, R item rows, F features, C positions of one chunk, M counted cells, V folds.
"""

from dataclasses import dataclass

import numpy as np
import torch
from scipy import linalg, sparse
from torch import Tensor

from polyscene.core.arrays import Array, Floats, Ragged, spans

SMOOTHING = 20.0
"""Prior events, spread by popularity, that every row of transitions starts from."""


@dataclass(frozen=True, slots=True)
class Lag:
    """Counts of what came `lag` events after each item, as rows of sorted columns.

    Shapes: `offsets` (R+1,), `columns` (M,) int32, `counts` (M,) float32.
    """

    lag: int
    offsets: Array
    columns: Array
    counts: Floats

    @classmethod
    def of(cls, sequences: Ragged, count: int, lag: int) -> "Lag":
        """Counted within each sequence."""
        owner, values = sequences.rows(), sequences.values
        same = owner[lag:] == owner[:-lag]
        source, after = values[:-lag][same], values[lag:][same]
        ones = np.ones(len(source), np.float32)
        matrix = sparse.csr_matrix((ones, (source, after)), (count, count))
        matrix.sort_indices()
        return cls(lag, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data)


@dataclass(frozen=True, slots=True)
class Cells:
    """Feature values that are not zero, of N positions.

    Shapes: `offsets` (N+1,); `rows`, `columns`, `features` (M,) int64; `values` (M,) float32.
    """

    offsets: Tensor
    rows: Tensor
    columns: Tensor
    features: Tensor
    values: Tensor

    def between(self, start: int, stop: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Row in the stretch, column, feature and value of the cells of positions ``start .. stop``."""
        part = slice(int(self.offsets[start]), int(self.offsets[stop]))
        return self.rows[part] - start, self.columns[part], self.features[part], self.values[part]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was counted in the training events.

    Shapes: `prior` (R,) log popularity share; `ease` (R, R) weights of the linear model on all users, None
    without it.
    """

    prior: Floats
    lags: tuple[Lag, ...]
    ease: Floats | None

    @classmethod
    def of(cls, sequences: Ragged, count: int, lags: int, ease_l2: float | None) -> "Evidence":
        """Counted from `sequences` of rows; `ease_l2` None leaves the linear model out."""
        shares = np.bincount(sequences.values, minlength=count) + 0.1
        prior = np.log(shares / shares.sum()).astype(np.float32)
        counted = tuple(Lag.of(sequences, count, lag) for lag in range(1, lags + 1))
        ease = None if ease_l2 is None else ease_weights(_gram(sequences, count), ease_l2)
        return cls(prior, counted, ease)

    @property
    def features(self) -> int:
        """How many there are (F): popularity, each lag, and the linear model."""
        return 1 + len(self.lags) + (self.ease is not None)

    def cells(self, rows: Array, places: Array, firsts: Array, targets: Array | None = None) -> Cells:
        """The transitions that speak at N places of the flat event rows `rows`.

        `firsts` (N,) is where each place's history begins. With `targets` (N,), one event is taken off the
        count of the target: the very one that is to be predicted.
        """
        parts = []
        for feature, lag in enumerate(self.lags, 1):
            known = np.flatnonzero(places - lag.lag + 1 >= firsts)
            source = rows[places[known] - lag.lag + 1]
            lengths = lag.offsets[source + 1] - lag.offsets[source]
            cells = spans(lag.offsets[source], lengths)
            row, column, counts = np.repeat(known, lengths), lag.columns[cells], lag.counts[cells]
            if targets is not None:
                counts = counts - (column == targets[row])
            value = np.log1p(counts / (SMOOTHING * np.exp(self.prior[column])))
            parts.append((row, column, np.full(len(row), feature), value.astype(np.float32)))
        row, column, feature, value = (
            np.concatenate([part[number] for part in parts]) if parts else np.zeros(0, np.int64)
            for number in range(4)
        )
        order = np.argsort(row, kind="stable")
        offsets = np.searchsorted(row[order], np.arange(len(places) + 1))
        whole = (torch.from_numpy(each[order].astype(np.int64)) for each in (row, column, feature))
        return Cells(torch.from_numpy(offsets), *whole, torch.from_numpy(value[order].astype(np.float32)))


class Folds:
    """The linear model fitted V times, each time without one V-th of the users.

    Shapes: `weights` (V * R, R), row ``fold * R + item``.
    """

    def __init__(self, sequences: Ragged, count: int, l2: float, folds: int) -> None:
        self.fold_U = np.arange(len(sequences)) % folds
        self.count = count
        whole = _gram(sequences, count)
        self.weights = torch.empty(folds * count, count)
        for fold in range(folds):
            held = sequences.take(np.flatnonzero(self.fold_U == fold))
            weights = ease_weights(whole - _gram(held, count), l2)
            self.weights[fold * count : (fold + 1) * count] = torch.from_numpy(weights)


@dataclass(frozen=True, slots=True)
class Clues:
    """The evidence at the N positions of a batch, to be added to logits chunk by chunk.

    Shapes: `prior` (R,); `own` (N,) int64 row of `weights` for the newest item of each position; `opens` (N,) row
    of `before` where a position is the first of its sequence in the batch, else -1; `before` (S, R) what the
    linear model makes of events older than the batch's window.
    """

    prior: Tensor
    cells: Cells
    weights: Tensor | None = None
    own: Tensor | None = None
    opens: Array | None = None
    before: Tensor | None = None

    def chunks(self, R: int, step: int) -> "Reading":
        """A reader of chunks of at most `step` positions; they must be read in order."""
        return Reading(self, torch.zeros(R), torch.empty(step, R))


class Reading:
    """One pass over the chunks of a batch; holds what runs on from one chunk into the next."""

    def __init__(self, clues: Clues, carry_R: Tensor, scratch_CR: Tensor) -> None:
        self.clues, self.carry, self.scratch = clues, carry_R, scratch_CR
        self.at = (0, 0)

    def fill(self, start: int, gates_CF: Tensor, out_CR: Tensor) -> None:
        """Writes the weighed evidence of positions from `start` on into `out_CR`."""
        clues, stop = self.clues, start + len(gates_CF)
        self.at = (start, stop)
        torch.mul(gates_CF[:, :1], clues.prior, out=out_CR)
        row, column, feature, value = clues.cells.between(start, stop)
        flat = row * out_CR.shape[1] + column
        out_CR.view(-1).index_add_(0, flat, value * gates_CF[row, feature])
        if clues.weights is not None:
            self._run(start, stop)
            ease_CR = self.scratch[: stop - start]
            out_CR.addcmul_(ease_CR, gates_CF[:, -1:])

    def slopes(self, grad_CR: Tensor, features: int) -> Tensor:
        """(C, F) the gradient of each gate, from that of the logits of the chunk last filled."""
        clues, (start, stop) = self.clues, self.at
        slopes_CF = grad_CR.new_zeros(len(grad_CR), features)
        slopes_CF[:, 0] = grad_CR @ clues.prior
        row, column, feature, value = clues.cells.between(start, stop)
        pull = grad_CR.view(-1)[row * grad_CR.shape[1] + column] * value
        slopes_CF.view(-1).index_add_(0, row * features + feature, pull)
        if clues.weights is not None:
            slopes_CF[:, -1] = (grad_CR * self.scratch[: stop - start]).sum(1)
        return slopes_CF

    def _run(self, start: int, stop: int) -> None:
        """The linear model's scores of every prefix, in units of their own spread over the items."""
        clues = self.clues
        assert clues.weights is not None and clues.own is not None and clues.opens is not None
        ease_CR = self.scratch[: stop - start]
        torch.index_select(clues.weights, 0, clues.own[start:stop], out=ease_CR)
        rows, before = ease_CR.numpy(), None if clues.before is None else clues.before.numpy()
        carry = self.carry.numpy()
        # Long adds in a plain loop: three times faster than torch's or numpy's running sum along this axis.
        for number, opens in enumerate(clues.opens[start:stop].tolist()):
            if opens < 0:
                rows[number] += carry
            elif before is not None:
                rows[number] += before[opens]
            carry = rows[number]
        self.carry = torch.from_numpy(carry.copy())
        ease_CR.div_(spread(ease_CR))


def spread(scores_BR: Tensor) -> Tensor:
    """(B, 1) standard deviation of each row, 1 where it is nothing."""
    mean_B1 = scores_BR.mean(1, keepdim=True)
    square_B1 = torch.linalg.vector_norm(scores_BR, dim=1, keepdim=True).square_() / scores_BR.shape[1]
    spread_B1 = (square_B1 - mean_B1.square()).clamp_(min=0).sqrt_()
    return torch.where(spread_B1 > 1e-6, spread_B1, torch.ones_like(spread_B1))


def ease_weights(gram: Array, l2: float) -> Floats:
    """(R, R) weights of EASE, zero on the diagonal, from the co-occurrence counts.

    Source: Steck 2019.
    """
    lifted = gram.astype(np.float32)
    lifted[np.diag_indices_from(lifted)] += l2
    inverse = linalg.inv(lifted, overwrite_a=True, check_finite=False)
    weights: Floats = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def _gram(sequences: Ragged, count: int) -> Array:
    """(R, R) how many sequences hold both items."""
    ones = np.ones(len(sequences.values), np.float32)
    seen = sparse.csr_matrix((ones, sequences.values, sequences.offsets), (len(sequences), count))
    seen.sum_duplicates()
    seen.data[:] = 1
    return np.asarray((seen.T @ seen).toarray(), np.float32)
