"""A blend: the weighted sum of what several models say, each on its scale."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Floats, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Holdout, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.rank.held_out import Composed, fit_and_learn
from polyscene.rank.members import Scorer, fit_members, load_members, pack_members, scale_of
from polyscene.rank.scales import Scale, on_scale, weighted_sum
from polyscene.rank.tune import gather, search

Weight = Annotated[float, msgspec.Meta(ge=0)]


class Blend(Composed, frozen=True, kw_only=True, tag="blend"):
    """Scores an item by the weighted sum of its members' scores, each brought to one scale.

    `scales`: one a member, see `rank/scales.py`; empty: log-probabilities for kinds whose scores are
    logits, else z-scores. What a member can't score gets its lowest score of that query; what none can
    score stays unscored. A member of weight 0 is not asked.

    `weights`: one a member; ``"tuned"``: relative to the first, chosen to maximise nDCG@10 on events that
    no member has learned from, see `Composed`.

    Source: a log-linear pool of experts (Genest and Zidek, 1986), with z-scores for members without
    probabilities; weights by coordinate search, as in blends of ranking features (Metzler and Croft, 2007).
    """

    weights: Literal["tuned"] | tuple[Weight, ...] = "tuned"
    scales: tuple[Scale, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        given = {"scales": len(self.scales) or len(self.of)}
        if self.weights != "tuned":
            given["weights"] = len(self.weights)
            if not any(self.weights):
                raise ConfigError("blend.weights: all are 0; give at least one member a say")
        for key, count in given.items():
            if count != len(self.of):
                raise ConfigError(f"blend.{key}: got {count} for {len(self.of)} members; give one a member")

    def fit(self, data: Data, run: Run, warm: "BlendPart | None" = None) -> "BlendPart":
        """The members, and their weights where those are not given; `warm` lends its members.

        Weights are never tuned on members that started from older ones, which may know the answers.

        Raises:
            ConfigError: A member can't score a given item, or its own fit refuses.
        """
        older = warm.lend() if warm else ()
        if self.weights != "tuned":
            weights = np.array(self.weights, np.float32)
            return BlendPart(self, weights, fit_members(self.of, data, run, older))
        members, weights = fit_and_learn(
            self, data, run, lambda members, asked: self._tuned(members, asked, run), older
        )
        return BlendPart(self, weights, members)

    def _tuned(self, members: tuple[Scorer, ...], asked: Holdout, run: Run) -> Floats:
        alike = np.ones(len(members), np.float32)
        weights, reached = search(gather(BlendPart(self, alike, members).voices, asked))
        if reached == 0:
            run.warnings.append(
                "blend: no held-out event could be found, so all members weigh the same; give weights"
            )
            return alike
        return weights

    def load(self, state: State, run: Run) -> "BlendPart":
        """The part as it was saved. Raises BundleError when weights or a member's tensors are missing."""
        weights = state.tensors.get("weights", np.zeros(0, np.float32))
        if len(weights) != len(self.of):
            raise BundleError(
                f"blend: the bundle has {len(weights)} weights for {len(self.of)} members; fit it again"
            )
        return BlendPart(self, weights, load_members(self.of, state, run))


@dataclass(frozen=True, slots=True)
class BlendPart:
    """Shapes: `weights` (M,), one of each of the M `members`."""

    config: Blend
    weights: Floats
    members: tuple[Scorer, ...]
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the highest sum."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) weighted sums; -inf where no member that has a say scores the item."""
        weights = self.weights[self.weights > 0].tolist()
        voices = zip(self.voices(queries), weights, strict=True)
        return weighted_sum(voices, (len(queries), queries.allowed.size))

    def voices(self, queries: Queries) -> Iterator[Floats]:
        """(B, I) what each member with a weight says on its scale, one block at a time."""
        scales = self.config.scales or tuple(scale_of(config) for config in self.config.of)
        for member, scale, weight in zip(self.members, scales, self.weights, strict=True):
            if weight > 0:
                yield on_scale(member.score_all(queries), scale)

    def lend(self) -> tuple[tuple[Config, Scorer], ...]:
        """The members with their configs, as starting points of a later fit."""
        return tuple(zip(self.config.of, self.members, strict=True))

    def state(self) -> State:
        """The members' states, each under its place, and the weights."""
        packed = pack_members(self.members)
        return State({**packed.tensors, "weights": self.weights}, packed.meta)
