"""Retrieval by vectors: the items nearest to the query, through an index."""

from typing import Any, ClassVar, Literal

from polyscene.core.config import Config, kind_of
from polyscene.core.contracts import Data, Effect, Embeds, Part, Run, State
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, append
from polyscene.retrieve.ann import Ann
from polyscene.retrieve.exact import Exact
from polyscene.retrieve.index import Index
from polyscene.retrieve.step import trainable


class Nearest(Config, frozen=True, kw_only=True, tag="nearest"):
    """A model with vectors, answering through an index instead of scoring every item.

    ``index = "exact"`` looks at every allowed vector; ``"ann"`` probes clusters and pays off from some
    hundred thousand items. Only the model is saved: the index is rebuilt from its vectors.

    Source: none; see `Exact` and `Ann`.
    """

    model: Config
    index: Literal["exact", "ann"] = "exact"

    def fit(self, data: Data, run: Run, warm: "NearestPart | None" = None) -> "NearestPart":
        """The model fitted, its vectors indexed. Raises ConfigError when the model has no vectors."""
        return self._indexed(trainable(self.model).fit(data, run, warm.model if warm else None), run)

    def load(self, state: State, run: Run) -> "NearestPart":
        """The model loaded, its vectors indexed anew."""
        return self._indexed(trainable(self.model).load(state, run), run)

    def _indexed(self, part: Part, run: Run) -> "NearestPart":
        if not isinstance(part, Embeds):
            raise ConfigError(
                f"nearest.model: {kind_of(self.model)!r} has no vectors; use the model itself as the stage"
            )
        codes, vectors = part.item_vectors()
        index = Exact(codes, vectors) if self.index == "exact" else Ann.build(codes, vectors, seed=run.seed)
        return NearestPart(part, index)


class NearestPart:
    """The fitted model and its index; queries with an empty history find nothing."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __init__(self, model: Any, index: Index) -> None:
        self.model = model
        self.index = index

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the ``queries.wanted`` nearest allowed items."""
        vectors = self.model.query_vectors(queries)
        most = int(queries.wanted.max(initial=0))
        found = self.index.search(vectors, most, queries.allowed, queries.exclude).head(queries.wanted)
        spoken = vectors.any(axis=1)
        return append(slates, found.where(spoken[found.rows()]))

    def state(self) -> State:
        """The model's."""
        state: State = self.model.state()
        return state
