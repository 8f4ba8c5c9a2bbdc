"""An average: several models of one family speak with one voice."""

from dataclasses import dataclass
from typing import Any, ClassVar

import msgspec

from polyscene.core.answer import answer
from polyscene.core.arrays import Scores
from polyscene.core.config import Config, read
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.models.table import KINDS
from polyscene.rank.members import Scorer, check_members, fit_members, load_members, pack_members
from polyscene.rank.scales import mean_probability, on_scale

DEFAULT: tuple[dict[str, Any], ...] = ({"kind": "sasrec"}, {"kind": "sasrec"})


def _default() -> tuple[Config, ...]:
    return tuple(read(KINDS, plan, "average.of") for plan in DEFAULT)


class Average(Config, frozen=True, kw_only=True, tag="average"):
    """The mean of the probabilities that several models give to an item.

    Members are models whose scores are logits, such as one network with two seeds or sizes; equal configs
    are trained from different seeds. A score is the log of the mean, so an average can be a member of a
    blend. What a member can't score gets its lowest probability of that query; what none can score stays
    unscored.

    Source: a linear pool (Stone, 1961), as deep ensembles average their softmax (Lakshminarayanan et al.,
    2017).
    """

    of: tuple[Config, ...] = msgspec.field(default_factory=_default)

    def __post_init__(self) -> None:
        check_members(self.of, "average")

    def fit(self, data: Data, run: Run, warm: "AveragePart | None" = None) -> "AveragePart":
        """Every member fitted on the same data, `warm` lending its own.

        Raises:
            ConfigError: A member can't score a given item, or its own fit refuses.
        """
        older = tuple(zip(warm.of, warm.members, strict=True)) if warm else ()
        return AveragePart(self.of, fit_members(self.of, data, run, older))

    def load(self, state: State, run: Run) -> "AveragePart":
        """The part as it was saved. Raises BundleError when a tensor is missing."""
        return AveragePart(self.of, load_members(self.of, state, run))


@dataclass(frozen=True, slots=True)
class AveragePart:
    """The fitted members beside their configs."""

    of: tuple[Config, ...]
    members: tuple[Scorer, ...]
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items that are most likely on average."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) log of the mean probability; -inf where no member scores the item."""
        voices = (on_scale(member.score_all(queries), "log_softmax") for member in self.members)
        return mean_probability(voices, (len(queries), queries.allowed.size))

    def state(self) -> State:
        """The members' states, each under its place."""
        return pack_members(self.members)
