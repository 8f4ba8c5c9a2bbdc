"""Counting and weighing evidence: what is added to a network's logits (`lean/evidence.py` adds it).

Three kinds: how popular an item is, of late too; how often it came `lag` events after the lag-newest
event; and what a linear model (EASE) makes of the whole history. A Transformer learns the last two badly
from few events; counted, they cost a fit of seconds. Weighing them while the network trains was tried and
lost: a network trusts itself too much on what it has seen (docs/adr/0017).

Legend: B queries, R item rows, F features, M counted cells, N held-out events.
"""

from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from scipy import sparse

from polyscene.core.arrays import Array, Floats, Ragged, RaggedTable, Times
from polyscene.core.clock import DAY_MS
from polyscene.core.rows import Rows
from polyscene.lean.evidence import Evidence, Lag, ThinLinear, moves, seen
from polyscene.nn.gram import ease_weights, gram
from polyscene.nn.products import product

SHRINKAGE = 1e-3
"""Penalty on squared weights when they are chosen."""


class Counted(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which facts are counted, and on how many held-out events they are weighed.

    Transitions up to `lags` events apart; a linear model (EASE) of l2 `ease_l2`, which needs a dense square
    of the items and is left out above `ease_items` of them. Of each row of it the `ease_links` largest
    weights are kept, None keeps all: fewer make the model smaller and an answer quicker.

    `horizon` says what an answer shall foretell, and so what evidence is weighed on: ``"next"``, the newest
    event of each of at most `held_out` users, and of no more than a fifth; or ``"later"``, all that such
    users do in the last tenth of the events. Either is kept from the network. Popularity of late, with each
    half-life of `recent_days`, is counted for ``"later"`` alone: it is as of the fit, and the newest events
    of users lie at any time. Without a clock the horizon is ``"next"``.
    """

    lags: Annotated[int, msgspec.Meta(ge=0, le=16)] = 3
    ease_l2: Annotated[float, msgspec.Meta(gt=0)] = 500.0
    ease_items: Annotated[int, msgspec.Meta(ge=0)] = 6000
    ease_links: Annotated[int, msgspec.Meta(ge=1)] | None = None
    held_out: Annotated[int, msgspec.Meta(ge=0)] = 2000
    horizon: Literal["next", "later"] = "next"
    recent_days: tuple[Annotated[float, msgspec.Meta(gt=0)], ...] = (7.0, 30.0, 120.0)

    def of(self, sequences: Ragged, count: int, times: Times | None = None) -> Evidence:
        """What `sequences` of rows below `count` tell; it weighs nothing yet.

        `times` of the events are wanted for the horizon ``"later"``.
        """
        shares = np.bincount(sequences.values, minlength=count) + 0.1
        popularity = [np.log(shares / shares.sum())]
        if self.horizon == "later" and times is not None:
            popularity += [_recent(sequences.values, times, days, count) for days in self.recent_days]
        popularity_PR = np.array(popularity, np.float32)
        lags = tuple(counted_lag(sequences, lag, popularity_PR[0]) for lag in range(1, self.lags + 1))
        ease = self._linear(sequences, count) if count <= self.ease_items else None
        features = len(popularity) + len(lags) + (ease is not None)
        return Evidence(popularity_PR, lags, ease, np.zeros((2, features + 1), np.float32))

    def _linear(self, sequences: Ragged, count: int) -> Floats | ThinLinear:
        histories = RaggedTable(sequences.offsets, {"item": sequences.values})
        weights_RR = ease_weights(gram(histories, Rows(np.arange(count, dtype=np.int32))), self.ease_l2)
        return weights_RR if self.ease_links is None else ThinLinear.of(weights_RR, self.ease_links)


def _recent(rows: Array, times: Times, days: float, count: int) -> Floats:
    """(R,) log share of each row, an event being worth half as much for each `days` before the newest."""
    ages = (times.max(initial=0) - times) / (days * DAY_MS)
    worth_R = np.bincount(rows, 0.5**ages, count)
    worth_R = worth_R + 0.1 * worth_R.sum() / max(1, count)
    shares_R: Floats = np.log(worth_R / worth_R.sum()).astype(np.float32)
    return shares_R


def counted_lag(sequences: Ragged, lag: int, prior: Floats) -> Lag:
    """What came `lag` events later, counted within each sequence; `prior` (R,) log popularity share."""
    owner, values = sequences.rows(), sequences.values
    same = owner[lag:] == owner[:-lag]
    pairs = values[:-lag][same], values[lag:][same]
    matrix = sparse.csr_matrix((np.ones(same.sum(), np.float32), pairs), (len(prior), len(prior)))
    matrix.sort_indices()
    return Lag(lag, matrix.indptr.astype(np.int64), matrix.indices.astype(np.int32), matrix.data, prior)


def weigh(evidence: Evidence, logits_NR: Floats, table: RaggedTable, targets: Ragged) -> Floats:
    """(2, F+1) the weights that make the targets of N histories most likely, each history counting alike.

    `table` has the histories before them; `logits_NR` is overwritten. Items of a history are no candidates,
    unless some target is one. The evidence must have been counted without the targets, and the logits be
    of a network that has not learned from them.

    Source: a log-linear pool fitted by maximum likelihood (Genest and Zidek 1986), with a weight for the
    network itself, which is too sure of what it learned by heart (Guo et al. 2017).
    """
    features_NFR = np.concatenate([features for _, features in evidence.features(table, product)])
    seen_NR = seen(table, logits_NR.shape[1])
    if not seen_NR[targets.rows(), targets.values].any():
        logits_NR[seen_NR.toarray() > 0] = -np.inf
    return _most_likely(logits_NR, features_NFR, targets, moves(table.lengths))


def usual_weights(evidence: Evidence) -> Floats:
    """(2, F+1) the weights that MovieLens-1M asked for, for want of events to weigh on.

    The network counts 0.74, popularity nothing, the newest event's transitions 0.1, the linear model 0.2.
    """
    weights = np.zeros_like(evidence.weights)
    weights[0, 0] = -0.26
    first = 1 + len(evidence.popularity)
    weights[0, first : first + len(evidence.lags)] = [0.1, *[0.03] * 15][: len(evidence.lags)]
    if evidence.ease is not None:
        weights[:, -1] = 0.22, 0.15
    return weights


def _most_likely(logits_NR: Floats, features_NFR: Floats, targets: Ragged, moves_N: Floats) -> Floats:
    """(2, F+1) the weights under which the targets are most likely among what is not -inf."""
    logits, features = torch.from_numpy(logits_NR), torch.from_numpy(features_NFR)
    owner, rows = torch.from_numpy(targets.rows()), torch.from_numpy(targets.values)
    worth, moves = torch.from_numpy(1 / targets.lengths)[owner], torch.from_numpy(moves_N)
    barred = logits.isneginf()
    logits = (logits - logits.logsumexp(1, keepdim=True)).masked_fill(barred, 0)
    weights = torch.zeros(2, features.shape[1] + 1, requires_grad=True)
    solver = torch.optim.LBFGS([weights], max_iter=100, line_search_fn="strong_wolfe")

    def closure() -> float:
        solver.zero_grad()
        gates = weights[0] + weights[1] * moves[:, None]
        mixed = logits * (1 + gates[:, :1]) + torch.bmm(gates[:, None, 1:], features)[:, 0]
        chances = mixed.masked_fill(barred, -torch.inf).log_softmax(1)[owner, rows]
        loss = SHRINKAGE * weights.square().sum() - (worth * chances).sum() / len(logits)
        loss.backward()  # type: ignore[no-untyped-call]
        return float(loss.detach())

    solver.step(closure)  # type: ignore[no-untyped-call]
    found: Floats = weights.detach().numpy()
    return found
