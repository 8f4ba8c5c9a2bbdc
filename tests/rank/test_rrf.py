"""Reciprocal rank fusion against its formula."""

import numpy as np

from polyscene.core.contracts import Run
from polyscene.models.covisit import Covisit
from polyscene.models.popular import Popular
from polyscene.rank.rrf import Rrf
from polyscene.testing.worlds import chain


def test_a_score_is_the_sum_of_reciprocal_places():
    world = chain()
    part = Rrf(of=(Popular(), Covisit()), k=10.0, depth=4).fit(world.data, Run())
    found = part.score_all(world.queries)
    expected = np.zeros_like(found)
    known = np.zeros(found.shape, bool)
    for member in part.members:
        scores = member.score_all(world.queries)
        known |= scores > -np.inf
        for row in range(len(scores)):
            order = sorted(
                np.flatnonzero(scores[row] > -np.inf), key=lambda item: (-scores[row, item], item)
            )
            for place, item in enumerate(order[:4], start=1):
                expected[row, item] += 1 / (10 + place)
    np.testing.assert_allclose(found[known], expected[known], rtol=1e-6)
    assert (found[~known] == -np.inf).all()
