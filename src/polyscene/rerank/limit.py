"""At most so many of one sort: no artist, seller or series fills a slate."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np

from polyscene.core.arrays import Ragged
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates


class Limit(Config, frozen=True, kw_only=True, tag="limit"):
    """Drops what comes after the first `most` items of a slate with the same value of category `by`.

    Items without a value stay, all of them. Tags and numbers are no categories.

    Source: none; a business rule.
    """

    by: str
    most: Annotated[int, msgspec.Meta(ge=1)] = 2

    def fit(self, data: Data, run: Run, warm: "LimitPart | None" = None) -> "LimitPart":
        """Nothing is learned."""
        return LimitPart(self, run.view or StillView.of(data))

    def load(self, state: State, run: Run) -> "LimitPart":
        """Nothing was saved. Raises ConfigError when the run has no view to read the category from."""
        if run.view is None:
            raise ConfigError("limit: loading needs Run(view=...), the catalogue that holds the category")
        return LimitPart(self, run.view)


class LimitPart:
    """Reads the category from its view at every call."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.DROPS})

    def __init__(self, config: Limit, view: View) -> None:
        self.config = config
        self.view = view

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The slates without what is too much. Raises ConfigError when `by` is not a category."""
        column = self.view.catalogue.columns.get(self.config.by)
        if column is None:
            return slates
        if isinstance(column.values, Ragged) or column.type != "category":
            raise ConfigError(f"limit.by: {self.config.by!r} is a {column.type}, not a category")
        known = slates.items < len(column.values)
        values = np.where(known, column.values[np.where(known, slates.items, 0)], -1)
        rows = slates.rows()
        order = np.lexsort((values, rows))
        first = np.ones(len(order), bool)
        first[1:] = (np.diff(rows[order]) != 0) | (np.diff(values[order]) != 0)
        start = np.maximum.accumulate(np.where(first, np.arange(len(order)), 0))
        nth = np.empty(len(order), np.int64)
        nth[order] = np.arange(len(order)) - start
        return slates.where((values < 0) | (nth < self.config.most))

    def state(self) -> State:
        """Empty."""
        return State()
