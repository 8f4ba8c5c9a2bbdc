"""Small real parts that the tests of this folder put together."""

from collections.abc import Callable

import numpy as np
import pytest

from polyscene.core.arrays import Floats, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, append


class Listed(Config, frozen=True, kw_only=True, tag="listed"):
    """Brings fixed items to everyone; fails, or gives NaN, when told to."""

    items: tuple[int, ...] = ()
    scores: tuple[float, ...] = ()
    fails: bool = False

    def fit(self, data: Data, run: Run, warm: "ListedPart | None" = None) -> "ListedPart":
        return ListedPart(self)

    def load(self, state: State, run: Run) -> "ListedPart":
        return ListedPart(self)


class ListedPart:
    effect = frozenset({Effect.ADDS})

    def __init__(self, config: Listed) -> None:
        self.config = config

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        if self.config.fails:
            raise ValueError("out of order")
        count, size = len(queries), len(self.config.items)
        scores = self.config.scores or tuple(range(size, 0, -1))
        found = Slates(
            np.arange(count + 1, dtype=np.int64) * size,
            np.tile(np.array(self.config.items, np.int32), count),
            np.tile(np.array(scores, np.float32), count),
        )
        return append(slates, found.head(queries.wanted))

    def state(self) -> State:
        return State({"items": np.array(self.config.items, np.int32)})


class ByCode(Config, frozen=True, kw_only=True, tag="by_code"):
    """Scores every item by its code times `sign`."""

    sign: int = 1

    def fit(self, data: Data, run: Run, warm: "ByCodePart | None" = None) -> "ByCodePart":
        return ByCodePart(self.sign)

    def load(self, state: State, run: Run) -> "ByCodePart":
        return ByCodePart(self.sign)


class ByCodePart:
    effect = frozenset({Effect.ADDS})

    def __init__(self, sign: int) -> None:
        self.sign = sign
        self.calls = 0

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        raise AssertionError("a part that scores everything is asked for its scores")

    def score_all(self, queries: Queries) -> Scores:
        self.calls += 1
        row = self.sign * np.arange(queries.allowed.size, dtype=np.float32)
        return np.tile(row, (len(queries), 1))

    def state(self) -> State:
        return State()


@pytest.fixture
def listed() -> Callable[..., Listed]:
    return Listed


@pytest.fixture
def by_code() -> Callable[..., ByCode]:
    return ByCode


@pytest.fixture
def unit_vectors() -> Callable[..., Floats]:
    def draw(count: int, dim: int, seed: int = 0) -> Floats:
        vectors = np.random.default_rng(seed).normal(size=(count, dim))
        return (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float32)

    return draw
