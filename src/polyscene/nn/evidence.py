"""Evidence: counted facts that are added to a network's logits, weighed on events it has not learned from.

Three kinds: how popular an item is, how often it came `lag` events after the lag-newest event, and what a
linear model (EASE) makes of the whole history. A Transformer learns the last two badly from few events;
counted, they cost a fit of seconds. Weighing them while the network trains was tried and lost: a network
trusts itself too much on what it has seen (docs/adr/0017).

Legend: B queries, R item rows, F features, M counted cells, N held-out events.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Annotated

import msgspec
import numpy as np
import torch
from scipy import linalg, sparse
from torch.nn import functional

from polyscene.core.arrays import Array, Floats, Ragged, RaggedTable, spans
from polyscene.nn.products import product

SMOOTHING = 20.0
"""Prior events, spread by popularity, that every row of transitions starts from."""
CELLS = 20_000_000
"""Feature values made at once (80 MB)."""
USUAL_EVENTS = 55.0
"""Weights are those of a history of so many events, and move with the logarithm of its length over this."""
SHRINKAGE = 1e-3
"""Penalty on squared weights when they are chosen."""


class Counted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which facts are counted, and on how many held-out events they are weighed.

    Transitions up to `lags` events apart; a linear model (EASE) of l2 `ease_l2`, which needs a dense square
    of the items and is left out above `ease_items` of them. The newest events of at most `held_out`
    users, and of no more than a fifth, are kept from the network.
    """

    lags: Annotated[int, msgspec.Meta(ge=0, le=16)] = 3
    ease_l2: Annotated[float, msgspec.Meta(gt=0)] = 500.0
    ease_items: Annotated[int, msgspec.Meta(ge=0)] = 6000
    held_out: Annotated[int, msgspec.Meta(ge=0)] = 2000

    def of(self, sequences: Ragged, count: int) -> "Evidence":
        """What `sequences` of rows below `count` tell; it weighs nothing yet."""
        shares = np.bincount(sequences.values, minlength=count) + 0.1
        prior = np.log(shares / shares.sum()).astype(np.float32)
        lags = tuple(Lag.of(sequences, lag, prior) for lag in range(1, self.lags + 1))
        ease = ease_weights(gram(sequences, count), self.ease_l2) if count <= self.ease_items else None
        features = 1 + len(lags) + (ease is not None)
        return Evidence(prior, lags, ease, np.zeros((2, features + 1), np.float32))


class Lag:
    """How much an item speaks for each other to come `lag` events later.

    That is the logarithm of the other's chance over its popularity share, up to a constant of the row.

    Shapes: `offsets` (R+1,), `columns` (M,) int32 rising within a row, `counts` (M,) float32.
    """

    def __init__(self, lag: int, offsets: Array, columns: Array, counts: Floats, prior: Floats) -> None:
        self.lag, self.offsets, self.columns, self.counts = lag, offsets, columns, counts
        self._values = np.log1p(counts / (SMOOTHING * np.exp(prior[columns]))).astype(np.float32)

    @classmethod
    def of(cls, sequences: Ragged, lag: int, prior: Floats) -> "Lag":
        """Counted within each sequence; `prior` (R,) is the log popularity share."""
        owner, values = sequences.rows(), sequences.values
        same = owner[lag:] == owner[:-lag]
        pairs = values[:-lag][same], values[lag:][same]
        matrix = sparse.csr_matrix((np.ones(same.sum(), np.float32), pairs), (len(prior), len(prior)))
        matrix.sort_indices()
        return cls(lag, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data, prior)

    def fill(self, table: RaggedTable, block: Array, out_BR: Array) -> None:
        """Adds what the lag-newest event of each history says; nothing where that is too short."""
        places = table.offsets[1:][block] - self.lag
        some = np.flatnonzero(places >= table.offsets[:-1][block])
        source = table["row"][places[some]]
        lengths = self.offsets[source + 1] - self.offsets[source]
        cells = spans(self.offsets[source], lengths)
        out_BR[np.repeat(some, lengths), self.columns[cells]] = self._values[cells]


@dataclass(frozen=True, slots=True)
class Evidence:
    """What was counted in the training events, and how much it weighs.

    Shapes: `prior` (R,) log popularity share; `ease` (R, R) weights of the linear model, None without it;
    `weights` (2, F+1): of the logits (less 1) and of each feature, and how these move with the length.
    """

    prior: Floats
    lags: tuple[Lag, ...]
    ease: Floats | None
    weights: Floats

    def add(self, logits_BR: Floats, table: RaggedTable) -> None:
        """Weighs the logits of histories that are not empty, and adds the evidence, in place."""
        for block, features_BFR in self._blocks(table):
            gates = self._gates(table.lengths[block])
            logits_BR[block] *= 1 + gates[:, :1]
            logits_BR[block] += np.einsum("bf,bfr->br", gates[:, 1:], features_BFR)

    def weighed(self, logits_NR: Floats, table: RaggedTable, targets_N: Array) -> "Evidence":
        """The same facts with the weights that make N held-out events most likely.

        `table` has the histories before them; `logits_NR` is overwritten. Items of a
        history are no candidates, unless some target is one. Evidence must have been counted without the
        targets, and the logits be of a network that has not learned from them.

        Source: a log-linear pool fitted by maximum likelihood (Genest and Zidek 1986), with a weight for
        the network itself, which is too sure of what it learned by heart (Guo et al. 2017).
        """
        features_NFR = np.concatenate([features for _, features in self._blocks(table)])
        seen = _seen(table, logits_NR.shape[1])
        mask_NR = np.zeros(logits_NR.shape, bool)
        if not seen[np.arange(len(targets_N)), targets_N].any():
            mask_NR = seen.toarray() > 0
        logits_NR[mask_NR] = -np.inf
        return replace(
            self, weights=_most_likely(logits_NR, features_NFR, targets_N, _moves(table.lengths))
        )

    def reweighed(self, weights: Floats) -> "Evidence":
        """The same facts with other weights."""
        return replace(self, weights=weights)

    def tensors(self) -> dict[str, Array]:
        """Everything `load` needs, by name."""
        tensors: dict[str, Array] = {"evidence.prior": self.prior, "evidence.weights": self.weights}
        for lag in self.lags:
            parts = {"offsets": lag.offsets, "columns": lag.columns, "counts": lag.counts}
            tensors |= {f"evidence.{lag.lag}.{name}": values for name, values in parts.items()}
        if self.ease is not None:
            tensors["evidence.ease"] = self.ease
        return tensors

    @classmethod
    def load(cls, tensors: Mapping[str, Array]) -> "Evidence | None":
        """What `tensors` gave; None where nothing was counted. Raises KeyError for a part of it."""
        if "evidence.prior" not in tensors:
            return None
        prior, lags = tensors["evidence.prior"], list[Lag]()
        while f"evidence.{len(lags) + 1}.offsets" in tensors:
            name = f"evidence.{len(lags) + 1}"
            offsets, columns = tensors[f"{name}.offsets"], tensors[f"{name}.columns"]
            lags.append(Lag(len(lags) + 1, offsets, columns, tensors[f"{name}.counts"], prior))
        return cls(prior, tuple(lags), tensors.get("evidence.ease"), tensors["evidence.weights"])

    def _gates(self, lengths: Array) -> Floats:
        gates: Floats = self.weights[0] + self.weights[1] * _moves(lengths)[:, None]
        return gates

    def _blocks(self, table: RaggedTable) -> Iterator[tuple[Array, Floats]]:
        """Numbers (b,) and features (b, F, R) of the histories that are not empty, a block at a time."""
        count, R = self.weights.shape[1] - 1, len(self.prior)
        rest = np.flatnonzero(table.lengths)
        while len(rest):
            block, rest = np.split(rest, [max(1, CELLS // (count * R))])
            features_BFR = np.zeros((len(block), count, R), np.float32)
            features_BFR[:, 0] = self.prior
            for number, lag in enumerate(self.lags, 1):
                lag.fill(table, block, features_BFR[:, number])
            if self.ease is not None:
                scores_BR = product(_seen(table.take(block), R), self.ease)
                spread_B1 = scores_BR.std(1, keepdims=True)
                features_BFR[:, -1] = scores_BR / np.where(spread_B1 > 1e-6, spread_B1, 1)
            yield block, features_BFR


def usual_weights(evidence: Evidence) -> Floats:
    """(2, F+1) the weights that MovieLens-1M asked for, for want of events to weigh on.

    The network counts 0.74, popularity nothing, the newest event's transitions 0.1, the linear model 0.2.
    """
    weights = np.zeros_like(evidence.weights)
    weights[0, 0] = -0.26
    weights[0, 2 : 2 + len(evidence.lags)] = [0.1, *[0.03] * 15][: len(evidence.lags)]
    if evidence.ease is not None:
        weights[:, -1] = 0.22, 0.15
    return weights


def ease_weights(gram_RR: Floats, l2: float) -> Floats:
    """(R, R) weights of EASE, zero on the diagonal, from the co-occurrence counts, which are overwritten.

    Source: Steck 2019.
    """
    gram_RR[np.diag_indices_from(gram_RR)] += l2
    inverse = linalg.inv(gram_RR, assume_a="pos", overwrite_a=True, check_finite=False)
    weights: Floats = (inverse / -np.diag(inverse)).astype(np.float32)
    np.fill_diagonal(weights, 0)
    return weights


def gram(sequences: Ragged, count: int) -> Floats:
    """(R, R) how many sequences hold both items."""
    ones = np.ones(len(sequences.values), np.float32)
    seen = sparse.csr_matrix((ones, sequences.values, sequences.offsets), (len(sequences), count))
    seen.sum_duplicates()
    seen.data[:] = 1
    return np.asarray((seen.T @ seen).toarray(), np.float32)


def _seen(table: RaggedTable, count: int) -> sparse.csr_matrix:
    """(B, R) how often each item stands in each history."""
    ones = np.ones(len(table["row"]), np.float32)
    return sparse.csr_matrix((ones, table["row"].astype(np.int32), table.offsets), (len(table), count))


def _moves(lengths: Array) -> Floats:
    moves: Floats = np.log(np.maximum(lengths, 1) / USUAL_EVENTS).astype(np.float32)
    return moves


def _most_likely(logits_NR: Floats, features_NFR: Floats, targets_N: Array, moves_N: Floats) -> Floats:
    """(2, F+1) the weights under which the targets are most likely among what is not -inf."""
    logits, features = torch.from_numpy(logits_NR), torch.from_numpy(features_NFR)
    targets, moves = torch.from_numpy(targets_N), torch.from_numpy(moves_N)
    barred = logits.isneginf()
    logits = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(barred, 0)
    weights = torch.zeros(2, features.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        solver.zero_grad()
        gates = weights[0] + weights[1] * moves[:, None]
        mixed = logits * (1 + gates[:, :1]) + torch.bmm(gates[:, None, 1:], features)[:, 0]
        likely = functional.cross_entropy(mixed.masked_fill(barred, -torch.inf), targets)
        loss = likely + SHRINKAGE * weights.square().sum()
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    solver.step(closure)  # type: ignore[no-untyped-call]
    found: Floats = weights.detach().numpy()
    return found
