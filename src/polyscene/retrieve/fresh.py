"""The newest items: how something put a moment ago reaches a slate."""

from typing import Annotated, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from polyscene.core.answer import answer
from polyscene.core.arrays import Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.clock import DAY_MS
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates


class Fresh(Config, frozen=True, kw_only=True, tag="fresh"):
    """Items by the time they were put, newest first, as of the time of the query.

    Reads the live catalogue, so nothing is learned and a new item needs no refit. `days` leaves out what
    is older. Items put at the same time: the lower code first. What was put in the very millisecond of the
    query is not there yet: an item first seen in the event to be predicted must not give it away.

    Source: none needed.
    """

    days: Annotated[float, msgspec.Meta(gt=0)] | None = None

    def fit(self, data: Data, run: Run, warm: "FreshPart | None" = None) -> "FreshPart":
        """Nothing is learned."""
        return FreshPart(run.view or StillView.of(data), self.days)

    def load(self, state: State, run: Run) -> "FreshPart":
        """Nothing was saved. Raises ConfigError when the run has no view to read items from."""
        if run.view is None:
            raise ConfigError("fresh: loading needs Run(view=...), the catalogue that new items appear in")
        return FreshPart(run.view, self.days)


class FreshPart:
    """Reads the catalogue of its view at every call."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __init__(self, view: View, days: float | None) -> None:
        self.view = view
        self.days = days
        self._places: tuple[Catalogue | None, NDArray[np.float32]] = (None, np.zeros(0, np.float32))

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the newest allowed items that exist at the time of each query."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) minus the place in the order of time, 0 = newest; -inf where too old or not there yet."""
        catalogue = self.view.catalogue
        width = min(catalogue.size, queries.allowed.size)
        put_at = catalogue.put_at[None, :width]
        there = put_at < queries.at[:, None]
        if self.days is not None:
            there &= put_at > queries.at[:, None] - int(self.days * DAY_MS)
        scores = np.full((len(queries), queries.allowed.size), -np.inf, np.float32)
        scores[:, :width] = np.where(there, -self._place(catalogue)[:width], -np.inf)
        return scores

    def _place(self, catalogue: Catalogue) -> NDArray[np.float32]:
        """(I,) place of every item, newest first; sorted once per catalogue."""
        known, places = self._places
        if known is not catalogue:
            order = np.lexsort((np.arange(catalogue.size), -catalogue.put_at))
            places = np.empty(catalogue.size, np.float32)
            places[order] = np.arange(catalogue.size)
            self._places = (catalogue, places)
        return places

    def state(self) -> State:
        """Empty."""
        return State()
