import numpy as np
from hypothesis import given

from polyscene.core import answer as module
from polyscene.core.answer import answer
from polyscene.core.queries import Queries, history_of
from polyscene.core.reasons import strongest
from polyscene.core.slates import Slates
from polyscene.testing import strategies


class Uneven:
    """Scores by code and history length, so that every query has its own order and some ties."""

    def score_all(self, queries):
        codes = np.arange(queries.allowed.size)
        return ((codes[None] * (queries.history.lengths[:, None] + 3)) % 5).astype(np.float32)


@given(strategies.queries())
def test_an_answer_is_the_best_of_what_is_allowed_and_not_excluded(queries):
    slates = answer(Uneven(), queries, Slates.empty(len(queries)))
    scores = Uneven().score_all(queries)
    for row in range(len(queries)):
        free = [
            code for code in range(9) if queries.allowed.of(row)[code] and code not in queries.exclude[row]
        ]
        best = sorted(free, key=lambda code, row=row: (-scores[row, code], code))[: queries.wanted[row]]
        assert slates.of(row).tolist() == best


@given(strategies.queries())
def test_blocks_change_nothing(queries):
    whole = answer(Uneven(), queries, Slates.empty(len(queries)))
    before = module.BLOCK_CELLS
    module.BLOCK_CELLS = 20
    try:
        parts = answer(Uneven(), queries, Slates.empty(len(queries)))
    finally:
        module.BLOCK_CELLS = before
    assert parts.items.tolist() == whole.items.tolist()
    assert parts.offsets.tolist() == whole.offsets.tolist()


def test_the_newest_of_equal_shares_is_the_reason():
    queries = Queries.of_histories(history_of([[4, 7, 4, 2], [], [5]]), 9)
    slates = Slates(np.array([0, 2, 3, 4]), np.array([1, 3, 1, 1], np.int32), np.zeros(4, np.float32))
    shares = {4: [2.0, 0.0], 7: [2.0, -1.0], 2: [1.0, 0.0], 5: [-1.0, 0.0]}

    def share(history, candidates):
        return np.array([shares[code][: len(candidates)] for code in history.tolist()])

    assert strongest(queries, slates, share).tolist() == [4, -1, -1, -1]
