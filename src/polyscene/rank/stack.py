"""A stack: how much each model is to be believed depends on who asks.

Legend: B queries, I item codes, M members, N candidates, F = 2 (M + 1) features.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Floats, Scores
from polyscene.core.contracts import Data, Effect, Holdout, Run, State
from polyscene.core.errors import BundleError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.rank.held_out import Composed, fit_and_learn
from polyscene.rank.members import Scorer, load_members, pack_members, scale_of
from polyscene.rank.meta import Lessons, log_length, weights_of
from polyscene.rank.scales import on_scale, weighted_sum

_NONE = np.zeros(0, np.float32)


class Stack(Composed, frozen=True, kw_only=True, tag="stack"):
    """Scores an item by what its members say of it, weighed by a second model that learned from them.

    That one is a conditional logit over each member's score on its scale (log-probabilities, else z-scores)
    and the log popularity of the item, each alone and times the log length of the history, with penalty
    `l2`; or plain weights as in a blend, where these do better. It learns from questions that no member has
    seen, see `Composed`; without any, all members weigh the same.

    Source: stacked generalization (Wolpert 1992), with weights that are linear in features of the query, as
    in feature-weighted linear stacking (Sill et al. 2009).
    """

    l2: Annotated[float, msgspec.Meta(ge=0)] = 1e-3

    def fit(self, data: Data, run: Run, warm: "StackPart | None" = None) -> "StackPart":
        """The members, and how to weigh them; `warm` lends its members for the second round.

        Raises:
            ConfigError: A member can't score a given item, or its own fit refuses.
        """
        counts = np.bincount(data.histories["item"], minlength=data.size).astype(np.float32)
        popularity = np.log1p(counts) - np.log1p(counts.mean() if len(counts) else 0)
        older = tuple(zip(self.of, warm.members, strict=True)) if warm and warm.config.of == self.of else ()
        members, weights = fit_and_learn(
            self,
            data,
            run,
            lambda members, asked: self._learned(StackPart(self, members, popularity, _NONE), asked, run),
            older,
        )
        return StackPart(self, members, popularity, weights)

    def _learned(self, part: "StackPart", asked: Holdout, run: Run) -> Floats:
        """(F,) weights of the features."""
        learned = weights_of(Lessons.of(part.voices, asked, run.rng()), self.l2)
        if learned is not None:
            return learned
        run.warnings.append("stack: no held-out event could be found, so all members weigh the same")
        alike = np.zeros(2 * (len(self.of) + 1), np.float32)
        alike[: len(self.of)] = 1.0
        return alike

    def load(self, state: State, run: Run) -> "StackPart":
        """The part as it was saved. Raises BundleError when a tensor is missing or of wrong length."""
        weights = state.tensors.get("weights", _NONE)
        if len(weights) != 2 * (len(self.of) + 1) or "popularity" not in state.tensors:
            raise BundleError(
                f"stack: the bundle has {len(weights)} weights for {len(self.of)} members; fit it again"
            )
        return StackPart(self, load_members(self.of, state, run), state.tensors["popularity"], weights)


@dataclass(frozen=True, slots=True)
class StackPart:
    """Shapes: `popularity` (n,) log of interactions over their mean, 0 for later codes; `weights` (F,)."""

    config: Stack
    members: tuple[Scorer, ...]
    popularity: Floats
    weights: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the highest sum."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits; -inf where no member scores the item."""
        plain_V, with_length_V = np.split(self.weights, 2)
        weights_VB1 = plain_V[:, None, None] + with_length_V[:, None, None] * log_length(queries)[:, None]
        shape = (len(queries), queries.allowed.size)
        sums_BI = weighted_sum(zip(self._said(queries), weights_VB1[:-1], strict=True), shape)
        sums_BI += weights_VB1[-1] * self._popular(shape[1])
        return sums_BI

    def voices(self, queries: Queries) -> Iterator[Floats]:
        """(B, I) what each member says on its scale, one block at a time; the popularity last."""
        yield from self._said(queries)
        yield np.tile(self._popular(queries.allowed.size), (len(queries), 1))

    def _said(self, queries: Queries) -> Iterator[Floats]:
        for config, member in zip(self.config.of, self.members, strict=True):
            yield on_scale(member.score_all(queries), scale_of(config))

    def _popular(self, size: int) -> Floats:
        popular_I = np.zeros(size, np.float32)
        known = min(size, len(self.popularity))
        popular_I[:known] = self.popularity[:known]
        return popular_I

    def state(self) -> State:
        """The members' states, each under its place, the popularity and the weights."""
        packed = pack_members(self.members)
        own = {"popularity": self.popularity, "weights": self.weights}
        return State({**packed.tensors, **own}, packed.meta)
