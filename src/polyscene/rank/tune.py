"""Weights for several voices, chosen so that held-out items come to stand high.

Legend: B questions, M members, N candidates of all questions, I item codes.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Array, Floats, Ragged, Scores, distinct, offsets_of
from polyscene.core.contracts import Holdout
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, mask_block, top
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import BLOCK_CELLS, Ranking, places
from polyscene.rank.scales import with_floor

K = 10
"""Cut-off of the nDCG that is maximised."""
TAKE = 100
"""Best items of each member that become candidates: ten times as deep as what counts."""
GRID = (0, 0.05, 0.1, 0.15, 0.2, 0.3, 0.4, 0.5, 0.65, 0.8, 1, 1.3, 1.7, 2.2, 3, 4, 6, 10)
"""Weights that are tried, relative to the first member's."""
ROUNDS = 6
"""Most times that all weights are gone through; two or three usually end it."""


@dataclass(frozen=True, slots=True)
class Evidence:
    """What each member says of each candidate.

    Shapes: `rows`, `columns` (N,) question of each candidate and its place among that question's;
    `values` (N, M) on the members' scales, a member's lowest where it can't score; `targets` B lists of
    columns, -1 for an answer that can't be given.
    """

    rows: Array
    columns: Array
    values: Floats
    targets: Ragged

    def ndcg(self, scores_N: Array) -> float:
        """Mean nDCG@10 of the answers when candidates stand in the order of these scores; 0 without any."""
        return float(self.accuracy(scores_N)[f"ndcg@{K}"].mean()) if len(self.targets) else 0.0

    def accuracy(self, scores_N: Array) -> dict[str, Array]:
        """As `accuracy_at` 10, each (B,), when candidates stand in the order of these scores."""
        width = int(self.columns.max(initial=-1)) + 1
        block = np.full((len(self.targets), width), -np.inf, np.float32)
        block[self.rows, self.columns] = scores_N
        ranks = places(block, self.targets)
        beyond = np.full(len(self.targets), max(width, K), np.int64)
        ranks = np.where(ranks < 0, beyond[self.targets.rows()], ranks)
        ranking = Ranking(
            Slates.empty(len(beyond)), self.targets, Ragged(self.targets.offsets, ranks), beyond
        )
        return accuracy_at(ranking, K)


def gather(
    voices: Callable[[Queries], Iterable[Scores]], holdout: Holdout, *, take: int = TAKE
) -> Evidence:
    """The best `take` of each member for each question, and the answers.

    `voices` gives each member's (B, I) block on its scale. An item outside of every member's best can
    hardly reach the top ten of their sum; with `take` = I nothing is left out.
    """
    size = holdout.queries.allowed.size
    step = max(1, BLOCK_CELLS // max(1, size))
    values: list[Array] = []
    lengths: list[Array] = []
    targets: list[Array] = []
    for start in range(0, len(holdout.queries), step):
        asked = np.arange(start, min(start + step, len(holdout.queries)))
        queries, answers = holdout.queries.take(asked), holdout.targets.take(asked)
        scaled = list(voices(queries))
        open_BI = mask_block(np.zeros((len(asked), size), np.float32), queries)
        open_BI[np.logical_and.reduce([each == -np.inf for each in scaled])] = -np.inf
        blocks = [with_floor(each, 0.0) for each in scaled]
        candidates, place = _candidates(blocks, open_BI, answers, take)
        values.append(np.stack([each[candidates.rows(), candidates.values] for each in blocks], axis=1))
        lengths.append(candidates.lengths)
        targets.append(place)
    if not lengths:
        none = np.zeros(0, np.int64)
        return Evidence(none, none, np.zeros((0, 0), np.float32), holdout.targets)
    counts = np.concatenate(lengths)
    rows = np.repeat(np.arange(len(counts)), counts)
    columns = np.arange(len(rows)) - np.repeat(offsets_of(counts)[:-1], counts)
    asked_for = Ragged(holdout.targets.offsets, np.concatenate(targets))
    return Evidence(rows, columns, np.concatenate(values), asked_for)


def search(evidence: Evidence) -> tuple[Floats, float]:
    """Weights (M,), the first 1, and the mean nDCG@10 they reach; coordinate search over `GRID`.

    Begins with the first member alone and keeps a change only if it gains, so a member that adds nothing
    ends with weight 0.
    """
    values_NM = evidence.values
    weights = np.zeros(values_NM.shape[1], np.float32)
    weights[:1] = 1
    best = evidence.ndcg(values_NM @ weights)
    for _ in range(ROUNDS):
        before = weights.copy()
        for member in range(1, len(weights)):
            others_N = values_NM @ np.where(np.arange(len(weights)) == member, 0, weights)
            for weight in GRID:
                reached = evidence.ndcg(others_N + np.float32(weight) * values_NM[:, member])
                if reached > best + 1e-9:
                    best, weights[member] = reached, weight
        if np.array_equal(before, weights):
            break
    return weights, best


def _candidates(
    blocks: Sequence[Scores], open_BI: Scores, answers: Ragged, take: int
) -> tuple[Ragged, Array]:
    """B lists of candidates, rising, and the column of each answer; -1 where it can't be given."""
    rows, codes = answers.rows(), answers.values
    known = (codes >= 0) & (codes < open_BI.shape[1])
    known[known] = open_BI[rows[known], codes[known]] == 0
    best = [top(each + open_BI, take) for each in blocks]
    found = distinct(
        np.concatenate([rows[known], *(each.rows() for each in best)]),
        np.concatenate([codes[known], *(each.items for each in best)]),
        len(open_BI),
    )
    width = open_BI.shape[1]
    spot = np.searchsorted(found.rows() * width + found.values, rows[known] * width + codes[known])
    columns = np.full(len(codes), -1, np.int64)
    columns[known] = spot - found.offsets[:-1][rows[known]]
    return found, columns
