from dataclasses import replace

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares
from scipy import sparse

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Column
from polyscene.core.contracts import Run, StillView
from polyscene.core.errors import ConfigError
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


def tagged(data):
    """The data with two tags an item, seven in all; the last item, which nobody touched, has some too."""
    tags = Ragged.of([sorted({item % 7, item % 3}) for item in range(data.size)])
    columns = {"tags": Column("tags", tags, tuple("abcdefg"))}
    return replace(data, catalogue=replace(data.catalogue, columns=columns))


@pytest.mark.parametrize(("alpha", "trust"), [(1.0, 1.0), (2.0, 3.0)])
def test_an_untouched_item_has_the_factors_that_the_peer_library_gives_its_attributes(alpha, trust):
    data = tagged(noise())
    config = Ials(dim=5, alpha=alpha, l2=0.7, attributes=("tags",), trust=trust)
    part = config.fit(data, Run(seed=1, threads=1))
    seen = interactions(data.histories, part.rows)
    tags = data.catalogue.columns["tags"].values
    has = np.zeros((data.size, 7), np.float32)
    has[tags.rows(), tags.values] = trust
    stacked = sparse.vstack([seen, sparse.csr_matrix(has[part.rows.codes].T)]).tocsr()
    peer = AlternatingLeastSquares(
        factors=5, regularization=0.7, alpha=alpha, iterations=15, num_threads=1, random_state=1
    )
    peer.fit(stacked, show_progress=False)
    new = data.size - 1
    assert part.rows.of(np.array([new]))[0] < 0
    asked = sparse.csr_matrix(np.concatenate([np.zeros(seen.shape[0]), has[new]])[None].astype(np.float32))
    factors = peer.recalculate_item(np.arange(1), asked)
    users = peer.recalculate_user(np.arange(len(data.users)), seen)
    block = part.score_all(ask(data))
    np.testing.assert_allclose(block[:, new], (users @ factors.reshape(-1)), atol=2e-4)
    np.testing.assert_allclose(block[:, part.rows.codes], users @ peer.item_factors.T, atol=2e-4)
    codes, vectors = part.item_vectors()
    again = part.query_vectors(ask(data)) @ vectors.T
    np.testing.assert_allclose(again, block[:, codes], atol=1e-5)


def test_with_attributes_a_bundle_keeps_all_and_a_put_item_is_scored():
    data = tagged(noise())
    config = Ials(dim=5, l2=0.7, attributes=("tags",))
    part = config.fit(data, Run(seed=1, threads=1))
    again = config.load(part.state(), Run(view=StillView(data.catalogue)))
    np.testing.assert_allclose(again.score_all(ask(data)), part.score_all(ask(data)), atol=1e-6)
    with pytest.raises(ConfigError, match="Run\\(view="):
        config.load(part.state(), Run())
    known = np.isfinite(part.score_all(ask(data))).all(axis=0)
    assert known[data.size - 1]


def test_without_attributes_nothing_but_the_plain_fit_is_done():
    data = tagged(noise())
    part = Ials(dim=5, l2=0.7).fit(data, Run(seed=1, threads=1))
    assert part.cold is None
    assert set(part.state().tensors) == {"codes", "vectors", "spread"}
    assert np.isneginf(part.score_all(ask(data))[:, data.size - 1]).all()
