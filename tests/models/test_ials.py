import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares

from polyscene.core.contracts import Run
from polyscene.core.queries import Queries, history_of
from polyscene.dataset.matrix import interactions
from polyscene.models import ials
from polyscene.models.ials import Ials
from polyscene.testing.worlds import ask, noise


@pytest.mark.parametrize("alpha", [1.0, 3.0])
def test_fold_in_is_the_exact_solution_of_the_peer_library(alpha):
    data = noise()
    part = Ials(dim=6, alpha=alpha, l2=0.7).fit(data, Run(seed=1, threads=1))
    seen = interactions(data.histories, part.rows)
    peer = AlternatingLeastSquares(
        factors=6, regularization=0.7, alpha=alpha, iterations=15, num_threads=1, random_state=1
    )
    peer.fit(seen, show_progress=False)
    users = peer.recalculate_user(np.arange(len(data.users)), seen)
    block = part.score_all(ask(data))[:, part.rows.codes]
    np.testing.assert_allclose(block, users @ peer.item_factors.T, atol=2e-4)


def test_fold_in_does_not_depend_on_the_block(monkeypatch):
    data = noise()
    part = Ials(dim=6, alpha=2.0, l2=0.7).fit(data, Run(threads=1))
    whole = part.score_all(ask(data))
    monkeypatch.setattr(ials, "BLOCK_CELLS", 60)
    np.testing.assert_allclose(part.score_all(ask(data)), whole, rtol=1e-5, atol=1e-6)


def test_scores_are_inner_products_of_vectors():
    data = noise()
    part = Ials(dim=6, l2=0.7).fit(data, Run(threads=1))
    queries = Queries.of_histories(history_of([[3, 5], [], [29, -1]]), data.size)
    codes, vectors = part.item_vectors()
    asked = part.query_vectors(queries)
    assert not asked[1:].any(), "nothing known, nothing pointed at"
    block = part.score_all(queries)
    np.testing.assert_allclose(block[0, codes], vectors @ asked[0], rtol=1e-5)
    assert np.isneginf(block[1:]).all()
