"""Several sources side by side, fused into one slate that keeps each source's evidence."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from polyscene.core.arrays import Array, Scores, offsets_of
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates, append
from polyscene.core.states import pack, unpack
from polyscene.retrieve.step import Step, StepPart, fit_all, step_of


class Union(Config, frozen=True, kw_only=True, tag="union"):
    """Candidates of all members, each item once, by reciprocal rank fusion.

    ``score = sum over sources of 1 / (smoothing + rank)``, rank from 1; ties go to the lower code. Ranks
    need no common scale, and what two sources agree on comes first; interleaving was left aside because
    it orders by turn, not by agreement. A ranker after the union orders anew anyway.

    Columns: ``rank:<source>``, NaN where the source did not bring the item; ``score:<source>``, for
    members that score everything also where another source brought the item, else NaN.
    A member with ``on_error = "skip"`` that fails is left out and noted.

    Source: Cormack, Clarke and Büttcher, Reciprocal Rank Fusion, 2009.
    """

    of: tuple[Config, ...]
    smoothing: Annotated[float, msgspec.Meta(gt=0)] = 60.0

    @property
    def steps(self) -> tuple[Step, ...]:
        """The members, each as a step."""
        return tuple(step_of(config) for config in self.of)

    def fit(self, data: Data, run: Run, warm: "UnionPart | None" = None) -> "UnionPart":
        """Every member fitted on the same data."""
        return UnionPart(self.smoothing, fit_all(self.steps, data, run, warm.members if warm else None))

    def load(self, state: State, run: Run) -> "UnionPart":
        """Every member from its own tensors."""
        return UnionPart(
            self.smoothing, tuple(step.load(unpack(state, step.called), run) for step in self.steps)
        )


@dataclass(frozen=True, slots=True)
class UnionPart:
    """The fitted members."""

    smoothing: float
    members: tuple[StepPart, ...]
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """All members' candidates; each member brings its own `take`, whatever the query wants."""
        empty = Slates.empty(len(queries))
        found: dict[str, Slates] = {}
        for member in self.members:
            brought = member.attempt(queries, empty, last_resort=not found)
            if brought.columns:
                found[member.name] = brought
        fused = _fuse(list(found.values()), len(queries), self.smoothing)
        for member in self.members:
            if member.name in found:
                scores = member.scores_of(queries, fused)
                if scores is not None:
                    fused = fused.with_column(f"score:{member.name}", scores)
        return append(slates, fused)

    def state(self) -> State:
        """Every member's, under its name."""
        return pack({member.name: member for member in self.members})


def _fuse(found: list[Slates], count: int, smoothing: float) -> Slates:
    """The candidates of all, best first; every source keeps its columns."""
    if not found:
        return Slates.empty(count)
    width = max(int(part.items.max(initial=0)) for part in found) + 1
    keys = [part.rows() * width + part.items for part in found]
    each, place = np.unique(np.concatenate(keys), return_inverse=True)
    ranks = np.concatenate([part.ranks() for part in found])
    scores: Scores = np.bincount(place, 1.0 / (smoothing + 1.0 + ranks), len(each)).astype(np.float32)
    items = (each % width).astype(np.int32)
    order = np.lexsort((items, -scores, each // width))
    spot = np.empty(len(each), np.int64)
    spot[order] = np.arange(len(each))
    columns: dict[str, Array] = {}
    start = 0
    for part in found:
        home = spot[place[start : start + len(part.items)]]
        start += len(part.items)
        for name, values in part.columns.items():
            columns.setdefault(name, np.full(len(each), np.nan, np.float32))[home] = values
    lengths = np.bincount(each // width, minlength=count)
    return Slates(offsets_of(lengths), items[order], scores[order], columns)
