"""A switch: each segment of the audience is answered by the model that serves it best."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Scores
from polyscene.core.contracts import Data, Effect, Holdout, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.rank.held_out import Composed, fit_and_learn
from polyscene.rank.members import Scorer, load_members, pack_members
from polyscene.rank.tune import gather

Length = Annotated[int, msgspec.Meta(ge=1)]


class Switch(Composed, frozen=True, kw_only=True, tag="switch"):
    """Answers each query by one member: the one that did best for others of its segment.

    Segments are by the length of the history, cut at `lengths`, or with ``by="scenario"`` by that of the
    query. The best by nDCG@10 is found on questions that no member has seen, see `Composed`. A segment with
    fewer than `least` of them is answered by the member that is best over all.

    Source: a switching hybrid (Burke 2002).
    """

    by: Literal["length", "scenario"] = "length"
    lengths: tuple[Length, ...] = (5, 20, 100)
    least: Annotated[int, msgspec.Meta(ge=1)] = 50

    def __post_init__(self) -> None:
        super().__post_init__()
        if list(self.lengths) != sorted(set(self.lengths)):
            raise ConfigError(f"switch.lengths: {list(self.lengths)} do not rise; sort them, none twice")

    def fit(self, data: Data, run: Run, warm: "SwitchPart | None" = None) -> "SwitchPart":
        """The members, and who answers whom; `warm` lends its members for the second round.

        Raises:
            ConfigError: A member can't score a given item, or its own fit refuses.
        """
        older = tuple(zip(warm.config.of, warm.members, strict=True)) if warm else ()
        segments = len(data.scenarios) if self.by == "scenario" else len(self.lengths) + 1
        members, choice = fit_and_learn(
            self, data, run, lambda members, asked: self._chosen(members, asked, segments), older
        )
        return SwitchPart(self, members, choice)

    def _chosen(self, members: tuple[Scorer, ...], asked: Holdout, segments: int) -> Codes:
        """(S + 1,) the best member of each segment, that over all last; the first if nobody asked."""
        choice = np.zeros(segments + 1, np.int32)
        if not len(asked.queries):
            return choice
        evidence = gather(lambda queries: (member.score_all(queries) for member in members), asked)
        reached_MB = np.stack([evidence.accuracy(said)["ndcg@10"] for said in evidence.values.T])
        segment_B = self.segment(asked.queries, segments)
        choice[:] = reached_MB.mean(axis=1).argmax()
        for segment in range(segments):
            mine = segment_B == segment
            if np.count_nonzero(mine) >= self.least:
                choice[segment] = reached_MB[:, mine].mean(axis=1).argmax()
        return choice

    def segment(self, queries: Queries, segments: int) -> Array:
        """(B,) the segment of each query; `segments` where it has none."""
        if self.by == "length":
            return np.searchsorted(self.lengths, queries.history.lengths, side="right")
        known = (queries.scenario >= 0) & (queries.scenario < segments)
        return np.where(known, queries.scenario, segments)

    def load(self, state: State, run: Run) -> "SwitchPart":
        """The part as it was saved. Raises BundleError when a tensor is missing or names no member."""
        choice = state.tensors.get("choice", np.zeros(0, np.int32))
        if not len(choice) or choice.min() < 0 or choice.max() >= len(self.of):
            raise BundleError("switch: the bundle does not say who answers whom; fit it again")
        return SwitchPart(self, load_members(self.of, state, run), choice)


@dataclass(frozen=True, slots=True)
class SwitchPart:
    """Shapes: `choice` (S + 1,) member of each segment, that of queries without one last."""

    config: Switch
    members: tuple[Scorer, ...]
    choice: Codes
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the best items of the member that answers."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) the scores of the member that answers each query, on its own scale."""
        scores_BI = np.empty((len(queries), queries.allowed.size), np.float32)
        member_B = self.choice[self.config.segment(queries, len(self.choice) - 1)]
        for member in np.unique(member_B).tolist():
            rows = np.flatnonzero(member_B == member)
            scores_BI[rows] = self.members[member].score_all(queries.take(rows))
        return scores_BI

    def state(self) -> State:
        """The members' states, each under its place, and who answers whom."""
        packed = pack_members(self.members)
        return State({**packed.tensors, "choice": self.choice}, packed.meta)
