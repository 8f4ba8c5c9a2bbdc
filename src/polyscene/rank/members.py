"""The members of a blend or an average: several models fitted, kept and loaded as one part."""

from collections.abc import Sequence
from dataclasses import replace
from time import monotonic
from typing import Any, Protocol, cast

from polyscene.core.config import Config, kind_of
from polyscene.core.contracts import Data, Part, Run, ScoresAll, State, Trainable
from polyscene.core.errors import ConfigError
from polyscene.core.seeds import seed_of
from polyscene.core.states import pack, unpack
from polyscene.models.table import MODELS
from polyscene.rank.scales import Scale


class Scorer(Part, ScoresAll, Protocol):
    """A part that scores every item."""


def fit_members(
    of: Sequence[Config], data: Data, run: Run, warm: Sequence[tuple[Config, Scorer]] = ()
) -> tuple[Scorer, ...]:
    """Every member fitted on the same data; `warm` are older members with their configs, in the same order.

    They are fitted from the last to the first, each given an even share of what is left of
    ``run.budget_s``: what quick members leave goes to those before them, so the slow one stands first. The
    first has the run's seed, the others one of their own, so that equal configs become different networks.

    Raises:
        ConfigError: A member can't score a given item.
    """
    ends = None if run.budget_s is None else monotonic() + run.budget_s
    found: list[Scorer] = []
    for place in reversed(range(len(of))):
        share_s = None if ends is None else max(1.0, (ends - monotonic()) / (place + 1))
        mine = replace(run, budget_s=share_s, seed=_seed(run.seed, place))
        older = warm[place] if place < len(warm) else None
        same = older is not None and kind_of(older[0]) == kind_of(of[place])
        part = trainable(of[place]).fit(data, mine, older[1] if older is not None and same else None)
        found.append(scorer(part, of[place]))
    return tuple(reversed(found))


def load_members(of: Sequence[Config], state: State, run: Run) -> tuple[Scorer, ...]:
    """The members that `pack_members` packed. Raises BundleError when a tensor of one is missing."""
    return tuple(
        scorer(trainable(config).load(unpack(state, str(place)), run), config)
        for place, config in enumerate(of)
    )


def pack_members(members: Sequence[Scorer]) -> State:
    """The state of all, each under its place."""
    return pack({str(place): member for place, member in enumerate(members)})


def scale_of(config: Config) -> Scale:
    """The scale that a kind's scores belong on."""
    kind = kind_of(config)
    return "log_softmax" if kind in MODELS and MODELS[kind].logits else "z"


def check_members(of: Sequence[Config], name: str) -> None:
    """Passes if there are some, and no keys of the runner stand in them. Raises ConfigError."""
    if not of:
        raise ConfigError(f"{name}.of: there is no member; name at least one model")
    for place, config in enumerate(of):
        if kind_of(config) == "step":
            raise ConfigError(
                f"{name}.of[{place}]: a member takes no 'name', 'take' or 'on_error'; leave them out, or"
                " use a union, whose members each bring candidates"
            )


def trainable(config: Config) -> Trainable[Any]:
    """The config by its other name: every config in a table of kinds is an untrained part."""
    return cast("Trainable[Any]", config)


def _seed(seed: int, place: int) -> int:
    return seed_of(f"member {place}", str(seed)) >> 33 if place else seed


def scorer(part: Part, config: Config) -> Scorer:
    """The part, if it can score every item. Raises ConfigError if not."""
    if not isinstance(part, ScoresAll):
        raise ConfigError(f"of: {kind_of(config)!r} can't score a given item; use a kind of model")
    return part
