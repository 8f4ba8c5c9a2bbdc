"""Evidence: counted facts that a network adds to its logits, each weighed by what it read.

Three kinds: how popular an item is, how often it came `lag` events after the lag-newest event, and what a
linear model (EASE) makes of the whole history. A Transformer learns the last two badly from few events;
counted, they cost a fit of seconds. While a network trains, a user's own events are left out of what is
counted for that user, so that the weights are learned on evidence as it will be for the next event.

Legend: N positions, R item rows, F features, C positions of one chunk, M counted cells, V folds, S sequences.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import msgspec
import numpy as np
import torch
from scipy import linalg, sparse
from torch import Tensor

from polyscene.core.arrays import Array, Floats, Ragged, offsets_of, spans

SMOOTHING = 20.0
"""Prior events, spread by popularity, that every row of transitions starts from."""
DENSE_CELLS = 30_000_000
"""Transitions of one lag are laid out in full up to this size (120 MB of float32); rows are then read, not built."""


class Lag:
    """How much an item speaks for each other to come `lag` events later.

    That is the logarithm of the other's chance over its popularity share, up to a constant of the row.

    Shapes: `offsets` (R+1,), `columns` (M,) int64 rising within a row, `counts` (M,) float32.
    """

    def __init__(self, lag: int, offsets: Array, columns: Array, counts: Floats, prior: Floats) -> None:
        self.lag, self.offsets, self.columns, self.counts, self._prior = (
            lag,
            offsets,
            columns,
            counts,
            prior,
        )
        self._values = _worth(counts, prior[columns])
        self._keys = np.repeat(np.arange(len(prior)), np.diff(offsets)) * len(prior) + columns
        self._dense: Tensor | None = None

    def lay_out(self) -> None:
        """Makes reading faster for as long as this lives, where the whole table is small enough."""
        R = len(self._prior)
        if (R + 1) * R <= DENSE_CELLS:
            self._dense = torch.zeros(R + 1, R)
            self._dense.view(-1)[torch.from_numpy(self._keys)] = torch.from_numpy(self._values)

    def put_away(self) -> None:
        """Frees what `lay_out` took."""
        self._dense = None

    @classmethod
    def of(cls, sequences: Ragged, lag: int, prior: Floats) -> "Lag":
        """Counted within each sequence; `prior` (R,) is the log popularity share."""
        owner, values = sequences.rows(), sequences.values
        same = owner[lag:] == owner[:-lag]
        source, after = values[:-lag][same], values[lag:][same]
        ones = np.ones(len(source), np.float32)
        matrix = sparse.csr_matrix((ones, (source, after)), (len(prior), len(prior)))
        matrix.sort_indices()
        return cls(lag, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int64), matrix.data, prior)

    def sources(self, rows: Array, places: Array, firsts: Array) -> Array:
        """(N,) the row that speaks at each place: the lag-newest of its history, -1 where that is too short."""
        before = places - self.lag + 1
        return np.where(before >= firsts, rows[np.maximum(before, 0)], -1)

    def without_own(self, sources: Array, targets: Array) -> Floats:
        """(N,) what each source says of its target, one count taken off: the very one to be predicted."""
        keys = np.where(sources < 0, -1, sources * len(self._prior) + targets)
        cell = np.searchsorted(self._keys, keys)
        found = np.append(self._keys, -2)[cell] == keys
        counts = np.where(found, np.append(self.counts, 0)[cell] - 1, 0)
        return _worth(counts, self._prior[targets])

    def fill(self, sources: Tensor, out_CR: Tensor) -> None:
        """Writes what each source says into `out_CR`; nothing where it is -1."""
        R = out_CR.shape[1]
        rows_C = torch.where(sources < 0, R, sources)
        if self._dense is not None:
            torch.index_select(self._dense, 0, rows_C, out=out_CR)
            return
        known = np.where(sources.numpy() < 0, 0, sources.numpy())
        lengths = np.where(sources.numpy() < 0, 0, np.diff(self.offsets)[known])
        cells = spans(self.offsets[known], lengths)
        flat = np.repeat(np.arange(len(known)) * R, lengths) + self.columns[cells]
        out_CR.zero_().view(-1)[torch.from_numpy(flat)] = torch.from_numpy(self._values[cells])


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
    def of(cls, sequences: Ragged, count: int, lags: int, ease: Floats | None) -> "Evidence":
        """Counted from `sequences` of rows; `ease` is a linear model fitted on them."""
        shares = np.bincount(sequences.values, minlength=count) + 0.1
        prior = np.log(shares / shares.sum()).astype(np.float32)
        return cls(prior, tuple(Lag.of(sequences, lag, prior) for lag in range(1, lags + 1)), ease)

    @property
    def features(self) -> int:
        """How many there are (F): popularity, each lag, and the linear model."""
        return 1 + len(self.lags) + (self.ease is not None)

    @contextmanager
    def laid_out(self) -> Iterator[None]:
        """While open, much is read: tables are laid out in full where that is not too large."""
        for lag in self.lags:
            lag.lay_out()
        try:
            yield
        finally:
            for lag in self.lags:
                lag.put_away()

    def tensors(self) -> dict[str, Array]:
        """Everything `load` needs, by name."""
        tensors: dict[str, Array] = {"evidence.prior": self.prior}
        for lag in self.lags:
            parts = {"offsets": lag.offsets, "columns": lag.columns.astype(np.int32), "counts": lag.counts}
            tensors |= {f"evidence.{lag.lag}.{name}": values for name, values in parts.items()}
        if self.ease is not None:
            tensors["evidence.ease"] = self.ease
        return tensors

    @classmethod
    def load(cls, tensors: Mapping[str, Array]) -> "Evidence | None":
        """What `tensors` gave; None where nothing was counted. Raises KeyError for half a lag."""
        if "evidence.prior" not in tensors:
            return None
        prior = tensors["evidence.prior"]
        lags: list[Lag] = []
        while f"evidence.{len(lags) + 1}.offsets" in tensors:
            name = f"evidence.{len(lags) + 1}"
            offsets, columns, counts = (
                tensors[f"{name}.{part}"] for part in ("offsets", "columns", "counts")
            )
            lags.append(Lag(len(lags) + 1, offsets, columns.astype(np.int64), counts, prior))
        return cls(prior, tuple(lags), tensors.get("evidence.ease"))


class Folds:
    """The linear model fitted V times, each time without one V-th of the users, and once with all.

    Shapes: `weights` (V * R, R), row ``fold * R + item``; `whole` (R, R).
    """

    def __init__(self, sequences: Ragged, count: int, l2: float, folds: int) -> None:
        self.fold_U = np.arange(len(sequences)) % folds
        self.count = count
        grams = [gram(sequences.take(np.flatnonzero(self.fold_U == fold)), count) for fold in range(folds)]
        total = np.sum(grams, axis=0)
        self.whole = ease_weights(total, l2)
        self.weights = torch.from_numpy(np.concatenate([ease_weights(total - each, l2) for each in grams]))

    def own(self, users: Array, rows: Array) -> Tensor:
        """(N,) row of `weights` for an item of a user's history."""
        return torch.from_numpy(self.fold_U[users] * self.count + rows)


class Counted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which facts are counted: transitions up to `lags` events apart, and a linear model (EASE) of l2 `ease_l2`.

    The linear model needs three dense squares of the items and is left out above `ease_items` items; it is
    fitted once for each of `folds` groups of users, without them.
    """

    lags: Annotated[int, msgspec.Meta(ge=0, le=9)] = 3
    ease_l2: Annotated[float, msgspec.Meta(gt=0)] = 500.0
    ease_items: Annotated[int, msgspec.Meta(ge=0)] = 6000
    folds: Annotated[int, msgspec.Meta(ge=2, le=64)] = 4

    def of(self, sequences: Ragged, count: int) -> tuple[Evidence, Folds | None]:
        """What `sequences` of `count` rows tell, and the linear model to train with."""
        folds = Folds(sequences, count, self.ease_l2, self.folds) if count <= self.ease_items else None
        whole = None if folds is None else folds.whole
        return Evidence.of(sequences, count, self.lags, whole), folds


@dataclass(frozen=True, slots=True)
class Voices:
    """One lag at the N positions of a batch: `sources` (N,) rows, and `own` (N,) what is said of the target."""

    lag: Lag
    sources: Tensor
    own: Tensor | None = None


@dataclass(frozen=True, slots=True)
class Sums:
    """The linear model at the N positions of a batch, as running sums of rows of its weights.

    Shapes: `weights` (V * R, R); `own` (N,) row of the newest item of each position; `opens` (N,) number of
    the sequence that begins at a position, else -1; `before` (S, R) what came before the batch's window.
    """

    weights: Tensor
    own: Tensor
    opens: Array
    before: Tensor


@dataclass(frozen=True, slots=True)
class Clues:
    """The evidence at the N positions of a batch, to be added to logits chunk by chunk.

    Shapes: `prior` (R,); `targets` (N,) what is to be predicted, None outside training.
    """

    prior: Tensor
    voices: Sequence[Voices]
    sums: Sums | None = None
    targets: Tensor | None = None

    @classmethod
    def of(
        cls,
        evidence: Evidence,
        rows: Array,
        places: Array,
        firsts: Array,
        targets: Tensor | None = None,
        sums: Sums | None = None,
    ) -> "Clues":
        """Those at N `places` of the flat event rows; `firsts` (N,) is where each place's history begins."""
        voices = []
        for lag in evidence.lags:
            sources = lag.sources(rows, places, firsts)
            own = None if targets is None else torch.from_numpy(lag.without_own(sources, targets.numpy()))
            voices.append(Voices(lag, torch.from_numpy(sources), own))
        return cls(torch.from_numpy(evidence.prior), voices, sums, targets)

    def reading(self, step: int) -> "Reading":
        """A reader of chunks of at most `step` positions; they must be read in order."""
        return Reading(self, step)


@dataclass(slots=True)
class Reading:
    """One pass over the chunks of a batch; holds the chunk's features, and what runs on into the next."""

    clues: Clues
    step: int
    carry: Array = field(init=False)
    features: list[Tensor] = field(init=False)

    def __post_init__(self) -> None:
        R, clues = len(self.clues.prior), self.clues
        self.carry = np.zeros(R, np.float32)
        count = len(clues.voices) + (clues.sums is not None)
        self.features = [torch.empty(self.step, R) for _ in range(count)]

    def fill(self, start: int, gates_CF: Tensor, out_CR: Tensor) -> None:
        """Writes the weighed evidence of positions from `start` on into `out_CR`."""
        clues, stop = self.clues, start + len(gates_CF)
        torch.mul(gates_CF[:, :1], clues.prior, out=out_CR)
        for number, voices in enumerate(clues.voices):
            feature_CR = self.features[number][: stop - start]
            voices.lag.fill(voices.sources[start:stop], feature_CR)
            if voices.own is not None and clues.targets is not None:
                feature_CR.scatter_(1, clues.targets[start:stop, None], voices.own[start:stop, None])
            out_CR.addcmul_(feature_CR, gates_CF[:, number + 1, None])
        if clues.sums is not None:
            feature_CR = self.features[-1][: stop - start]
            self._run(clues.sums, start, feature_CR)
            out_CR.addcmul_(feature_CR, gates_CF[:, -1:])

    def slopes(self, grad_CR: Tensor) -> Tensor:
        """(C, F) the gradient of each gate, from that of the logits of the chunk last filled."""
        slopes = [grad_CR @ self.clues.prior]
        for feature_CR in self.features:
            # Twice as fast as any of torch's ways to multiply and sum along rows.
            dots = np.einsum("cr,cr->c", grad_CR.numpy(), feature_CR[: len(grad_CR)].numpy())
            slopes.append(torch.from_numpy(dots))
        return torch.stack(slopes, 1)

    def _run(self, sums: Sums, start: int, out_CR: Tensor) -> None:
        """The linear model's scores of every prefix, in units of their own spread over the items."""
        stop = start + len(out_CR)
        torch.index_select(sums.weights, 0, sums.own[start:stop], out=out_CR)
        rows, before, carry = out_CR.numpy(), sums.before.numpy(), self.carry
        # Long adds in a plain loop: three times faster than torch's or numpy's running sum along this axis.
        for number, opens in enumerate(sums.opens[start:stop].tolist()):
            rows[number] += carry if opens < 0 else before[opens]
            carry = rows[number]
        self.carry = carry.copy()
        out_CR.div_(spread(out_CR))


def running_sums(folds: Folds, rows: Array, places: Array, firsts: Array, users: Array) -> Sums:
    """The linear model at `places`, each user scored by the fold that never saw them.

    Places of one user follow one another; `users` (N,) and `firsts` (N,) as in `Clues.of`.
    """
    heads = np.flatnonzero(np.concatenate([[True], users[1:] != users[:-1]]))
    older = places[heads] - firsts[heads]
    opens = np.full(len(places), -1)
    opens[heads] = np.arange(len(heads))
    past = folds.own(np.repeat(users[heads], older), rows[spans(firsts[heads], older)])
    offsets = torch.from_numpy(offsets_of(older))
    before_SR = torch.nn.functional.embedding_bag(
        past, folds.weights, offsets, mode="sum", include_last_offset=True
    )
    return Sums(folds.weights, folds.own(users, rows[places]), opens, before_SR)


def spread(scores_BR: Tensor) -> Tensor:
    """(B, 1) standard deviation of each row, 1 where it is nothing."""
    mean_B1 = scores_BR.mean(1, keepdim=True)
    square_B1 = torch.linalg.vector_norm(scores_BR, dim=1, keepdim=True).square_() / scores_BR.shape[1]
    spread_B1 = (square_B1 - mean_B1.square()).clamp_(min=0).sqrt_()
    return torch.where(spread_B1 > 1e-6, spread_B1, torch.ones_like(spread_B1))


def ease_weights(gram_RR: Array, l2: float) -> Floats:
    """(R, R) weights of EASE, zero on the diagonal, from the co-occurrence counts.

    Source: Steck 2019.
    """
    lifted = gram_RR.astype(np.float32)
    lifted[np.diag_indices_from(lifted)] += l2
    inverse = linalg.inv(lifted, assume_a="pos", overwrite_a=True, check_finite=False)
    weights: Floats = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def gram(sequences: Ragged, count: int) -> Array:
    """(R, R) how many sequences hold both items."""
    ones = np.ones(len(sequences.values), np.float32)
    seen = sparse.csr_matrix((ones, sequences.values, sequences.offsets), (len(sequences), count))
    seen.sum_duplicates()
    seen.data[:] = 1
    return np.asarray((seen.T @ seen).toarray(), np.float32)


def _worth(counts: Array, prior: Array) -> Floats:
    worth: Floats = np.log1p(counts / (SMOOTHING * np.exp(prior))).astype(np.float32)
    return worth
