"""Content neighbours against the plain definition; items put after the fit are ranked by what they say."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import Data, Run, StillView
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.content_knn import ContentKnn

TITLES = ["red shoe", "red boot", "blue shoe", "blue boot", "green hat", "green scarf", ""]


def catalogue_of(titles):
    tags = Ragged.of([[place % 2] for place in range(len(titles))])
    columns = {
        "title": Column("text", np.array(titles, object)),
        "parity": Column("tags", tags, ("even", "odd")),
    }
    return replace(Catalogue.bare(len(titles)), columns=columns)


CATALOGUE = catalogue_of(TITLES)
DATA = Data(
    users=np.arange(2, dtype=np.int32),
    histories=history_of([[0, 1, 2, 3], [4, 5, 6]]),
    catalogue=CATALOGUE,
    at=9,
)
LISTS = [[0, 2, 5], [4], [-1, 3, 99, 1], []]


@pytest.mark.parametrize("space", ["tfidf", "vectors"])
@pytest.mark.parametrize("settings", [{}, {"decay": 1.0}, {"last": 2}, {"text": (), "dim": 1}])
def test_scores_are_weighted_mean_cosines(space, settings):
    config = ContentKnn(space=space, **settings)
    part = config.fit(DATA, Run())
    codes = np.arange(len(TITLES), dtype=np.int32)
    if space == "tfidf":
        rows = part.space(CATALOGUE, codes).toarray()
    else:
        rows = part.space.vectors(CATALOGUE, codes)
    found = part.score_all(Queries.of_histories(history_of(LISTS), len(TITLES)))
    for row, history in enumerate(LISTS):
        known = [item for item in history if 0 <= item < len(TITLES)][-config.last :]
        if not known:
            assert np.isneginf(found[row]).all()
            continue
        weights = config.decay ** np.arange(len(known))[::-1]
        for item in codes:
            norms = np.linalg.norm(rows[known], axis=1) * np.linalg.norm(rows[item])
            cosines = rows[known] @ rows[item] / np.where(norms > 0, norms, 1)
            assert found[row, item] == pytest.approx(weights @ cosines / weights.sum(), abs=1e-5)


@pytest.mark.parametrize("space", ["tfidf", "vectors"])
def test_an_item_put_after_the_fit_is_ranked_by_its_content(space):
    view = StillView(catalogue_of([*TITLES, "Red  BOOT!", "unheard of"]))
    part = ContentKnn(space=space, text=("title",), attributes=()).fit(DATA, replace(Run(), view=view))
    queries = Queries.of_histories(history_of([[1]]), 9)
    assert part(replace(queries, exclude=Ragged.of([[1]])), Slates.empty(1)).items[0] == 7
    scores = part.score_all(queries)[0]
    assert scores[7] == pytest.approx(1, abs=1e-5)
    assert scores[6] == scores[8] == 0, "nothing said, or nothing known"


def test_a_view_is_needed_to_load():
    config = ContentKnn()
    with pytest.raises(ConfigError, match=r"content_knn: loading needs Run\(view="):
        config.load(config.fit(DATA, Run()).state(), Run())


@pytest.mark.parametrize("space", ["tfidf", "vectors"])
def test_items_that_say_nothing_are_told(space):
    run = Run()
    ContentKnn(space=space).fit(replace(DATA, catalogue=Catalogue.bare(7)), run)
    assert "items say nothing" in run.warnings[0]
    run = Run()
    ContentKnn(space=space).fit(DATA, run)
    assert not run.warnings
