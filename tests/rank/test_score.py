"""A model's scores over given candidates."""

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.core.slates import Slates
from polyscene.models.popular import Popular
from polyscene.rank.score import Score
from polyscene.rerank.mmr import Mmr
from polyscene.testing.worlds import ask, popularity


def test_candidates_get_the_models_order() -> None:
    world = popularity()
    config = Score(model=Popular())
    part = config.fit(world.data, Run())
    queries = ask(world.data).take(np.arange(2))
    slates = Slates(np.array([0, 3, 5]), np.array([6, 1, 3, 7, 2], np.int32), np.ones(5, np.float32))
    for each in (part, config.load(part.state(), Run())):
        found = each(queries, slates)
        assert [found.of(row).tolist() for row in range(2)] == [[1, 3, 6], [2, 7]]
        assert found.scores.tolist() == [7, 5, 2, 6, 1]


def test_what_the_model_cannot_score_follows_in_its_old_order() -> None:
    from polyscene.rank.score import ScorePart

    class Half:
        def score_all(self, queries):
            row = np.where(np.arange(8) % 2, np.arange(8), -np.inf).astype(np.float32)
            return np.tile(row, (len(queries), 1))

    slates = Slates(np.array([0, 4]), np.array([6, 1, 2, 3], np.int32), np.ones(4, np.float32))
    found = ScorePart(Half())(ask(popularity().data).take(np.arange(1)), slates)
    assert found.items.tolist() == [3, 1, 6, 2]
    assert np.isfinite(found.scores).all()


def test_a_stage_that_scores_nothing_is_refused() -> None:
    with pytest.raises(ConfigError, match="'mmr' can't score"):
        Score(model=Mmr()).fit(popularity().data, Run())
