"""A model's vectors through an index."""

import numpy as np
import pytest

from polyscene.core.arrays import Codes, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.popular import Popular
from polyscene.retrieve.nearest import Nearest
from polyscene.testing.worlds import nothing

ANGLES = np.linspace(0, 3, 31)
VECTORS: Floats = np.stack([np.cos(ANGLES), np.sin(ANGLES)], 1).astype(np.float32)


class Circle(Config, frozen=True, kw_only=True, tag="circle"):
    """Items on a circle; a query stands where its newest item does."""

    def fit(self, data: Data, run: Run, warm: "CirclePart | None" = None) -> "CirclePart":
        return CirclePart()

    def load(self, state: State, run: Run) -> "CirclePart":
        return CirclePart()


class CirclePart:
    effect = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        raise AssertionError("the index answers")

    def item_vectors(self) -> tuple[Codes, Floats]:
        return np.arange(len(VECTORS), dtype=np.int32), VECTORS

    def query_vectors(self, queries: Queries) -> Floats:
        last = queries.history.tail(1)
        vectors = np.zeros((len(queries), 2), np.float32)
        vectors[last.rows()] = VECTORS[last["item"]]
        return vectors

    def state(self) -> State:
        return State({"vectors": VECTORS})


@pytest.mark.parametrize("index", ["exact", "ann"])
def test_finds_the_neighbours_and_nothing_without_a_history(index: str) -> None:
    config = Nearest(model=Circle(), index=index)
    part = config.fit(nothing(31), Run())
    queries = Queries.of_histories(history_of([[3, 10], [], [30]]), 31, wanted=3)
    for each in (part, config.load(part.state(), Run())):
        found = each(queries, Slates.empty(3))
        assert [found.of(row).tolist() for row in range(3)] == [[10, 9, 11], [], [30, 29, 28]]


def test_a_model_without_vectors_is_refused() -> None:
    with pytest.raises(ConfigError, match="'popular' has no vectors"):
        Nearest(model=Popular()).fit(nothing(3), Run())
