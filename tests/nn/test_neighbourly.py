from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.errors import BundleError
from polyscene.core.rows import Rows
from polyscene.models.lightgcn import LightGcn
from polyscene.nn.neighbourly import Neighbourly, People
from polyscene.testing.worlds import ask, noise


@pytest.fixture(scope="module")
def part():
    return LightGcn(dim=4, epochs=2, batch_size=64).fit(noise(), Run())


def test_a_stranger_with_the_same_history_lacks_only_the_row_of_their_own(part):
    queries = ask(noise())
    known = part.query_vectors(queries)
    strange = part.query_vectors(replace(queries, users=np.full(len(queries), -1, np.int32)))
    np.testing.assert_allclose(known - strange, part.people.own, rtol=1e-4, atol=1e-6)


def test_a_taste_multiplies_what_the_history_says():
    own, taste = np.array([[10.0, 20.0]], np.float32), np.full((1, 2), 2.0, np.float32)
    people = People(Rows(np.array([5])), own, taste, stranger=np.full(2, -1, np.float32))
    said = np.array([[1.0, 2.0], [3.0, 4.0]], np.float32)
    found = people.meet(np.array([5, -1], np.int32), said)
    assert found.tolist() == [[2.0 + 10, 4.0 + 20], [-3.0, -4.0]]
    assert said.tolist() == [[1.0, 2.0], [3.0, 4.0]]


def test_who_is_nobody_gets_what_is_popular(part):
    queries = ask(noise()).take(np.array([0]))
    empty = replace(
        queries, users=np.array([-1], np.int32), history=queries.history.where(queries.history["item"] < 0)
    )
    scores = part.score_all(empty)[0, part.rows.codes]
    np.testing.assert_array_equal(scores, part.prior)


def test_a_missing_tensor_is_named(part):
    state = part.state()
    with pytest.raises(BundleError, match="'words' is missing"):
        Neighbourly.load(replace(state, tensors={"codes": state.tensors["codes"], "items": part.items}))
