from dataclasses import replace

import numpy as np
import pytest
from implicit.als import AlternatingLeastSquares
from sklearn.linear_model import Ridge

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Column
from polyscene.core.contracts import Run, StillView
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.dataset.matrix import interactions
from polyscene.features.content import Content
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


def test_an_untouched_item_has_the_factors_that_a_regression_on_content_foretells():
    data = tagged(noise())
    part = Ials(dim=5, alpha=2.0, l2=0.7, content=Content(), lift=3.0).fit(data, Run(seed=1, threads=1))
    codes, vectors = part.item_vectors()
    new = data.size - 1
    assert new in codes[len(part.rows) :]
    space = Content().fit(data.catalogue, part.rows.codes, 1)
    content = space.vectors(data.catalogue, codes)
    ones = np.ones((len(codes), 1))
    known = len(part.rows)
    peer = Ridge(alpha=ials.RIDGE, fit_intercept=False)
    peer.fit(np.hstack([content, ones])[:known], vectors[:known])
    expected = 3 * peer.predict(np.hstack([content, ones])[known:])
    np.testing.assert_allclose(vectors[known:], expected, rtol=1e-3, atol=1e-5)
    block = part.score_all(ask(data))
    np.testing.assert_allclose(block[:, codes], part.query_vectors(ask(data)) @ vectors.T, atol=1e-5)


def test_with_content_a_bundle_keeps_all_and_what_has_none_stays_unscored():
    data = tagged(noise())
    config = Ials(dim=5, l2=0.7, content=Content())
    part = config.fit(data, Run(seed=1, threads=1))
    again = config.load(part.state(), Run(view=StillView.of(data)))
    block = part.score_all(ask(data))
    np.testing.assert_allclose(again.score_all(ask(data)), block, atol=1e-6)
    assert np.isfinite(block[:, data.size - 1]).all()
    with pytest.raises(ConfigError, match="Run\\(view="):
        config.load(part.state(), Run())
    tags = data.catalogue.columns["tags"]
    lists = [each.tolist() for each in (tags.values[item] for item in range(data.size))]
    bare = replace(tags, values=Ragged.of([*lists[:-1], []]))
    blank = replace(data, catalogue=replace(data.catalogue, columns={"tags": bare}))
    assert np.isneginf(config.fit(blank, Run(threads=1)).score_all(ask(data))[:, data.size - 1]).all()


def test_content_leaves_the_plain_fit_as_it_is():
    data = tagged(noise())
    plain, more = (
        Ials(dim=5, l2=0.7, content=content).fit(data, Run(seed=1, threads=1))
        for content in (None, Content())
    )
    assert set(plain.state().tensors) == {"codes", "vectors", "spread"}
    np.testing.assert_array_equal(plain.vectors, more.vectors)
    assert np.isneginf(plain.score_all(ask(data))[:, data.size - 1]).all()
