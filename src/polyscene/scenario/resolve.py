"""One ask made into a query: ids looked up, history read, rules and exclusions gathered."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Codes, Ragged, RaggedTable
from polyscene.core.errors import InputError
from polyscene.core.queries import Queries
from polyscene.core.seeds import seed_of
from polyscene.events.event import IMPRESSION
from polyscene.scenario.ask import Ask, HistoryEvent, Sight
from polyscene.scenario.file import Scenario

READ_AHEAD = 4
"""Events read per event that models see, where some of them may not count."""
EVERY = 1 << 31
"""More events than anybody has: what a user turned down stays so, however long ago that was."""


class Resolver:
    """Makes queries for one scenario; keeps the masks of its rules between asks."""

    def __init__(self, scenario: Scenario) -> None:
        self.scenario = scenario
        self.rules = scenario.rules()

    def resolve(self, ask: Ask, request_id: str, sight: Sight, *, at: int) -> Queries:
        """The ask as one query (B = 1).

        Unknown users and items are no error: the one has an empty history, the others are passed over.

        Raises:
            InputError: An anchored scenario without anchors, or context of a wrong type.
            FilterError: The filter can't be parsed or names an unknown attribute.
        """
        scenario, names = self.scenario, sight.scenarios
        raw, actions = self._history(ask, sight, at)
        anchors = _anchors(ask, sight)
        if scenario.anchors == "context" and anchors is None:
            raise InputError(
                f"recommend: scenario {scenario.scenario!r} works from the items at hand; "
                'send their ids as context = {"anchors": [..]}'
            )
        if scenario.anchors == "context" and anchors is not None:
            history = _anchored(anchors, at)
        else:
            history = scenario.signals.likes(raw, actions).tail(scenario.history)
        return Queries(
            at=np.array([at], np.int64),
            users=np.array([-1 if ask.user is None else sight.user(ask.user)], np.int32),
            scenario=np.array(
                [names.index(scenario.scenario) if scenario.scenario in names else -1], np.int32
            ),
            history=history,
            wanted=np.array([ask.k or scenario.slate], np.int32),
            exclude=Ragged.of(
                [np.unique(np.concatenate(self._exclude(ask, sight, raw, actions, anchors)))]
            ),
            allowed=self.rules.eligible(
                sight.catalogue, [ask.filter], at=np.array([at]), regions=[_region(ask)]
            ),
            seeds=np.array([seed_of(request_id)], np.uint64),
            context=_context(ask.context, anchors),
        )

    def _history(self, ask: Ask, sight: Sight, at: int) -> tuple[RaggedTable, tuple[str, ...]]:
        """What the user did, as one list, and the names behind its action column."""
        actions = sight.actions
        if ask.history is not None:
            actions = tuple(dict.fromkeys([*actions, *(event.action for event in ask.history)]))
            return _sent(ask.history, actions, sight, at), actions
        scenario = self.scenario
        last = EVERY if scenario.negative else scenario.history * (READ_AHEAD if scenario.positive else 1)
        columns = (
            sight.history(ask.user, last) if ask.user is not None else _sent([], actions, sight, at).columns
        )
        return RaggedTable(np.array([0, len(columns["item"])], np.int64), columns), actions

    def _exclude(
        self, ask: Ask, sight: Sight, raw: RaggedTable, actions: tuple[str, ...], anchors: Codes | None
    ) -> list[Codes]:
        """Named by the client, at hand already, turned down, and, if the scenario says so, seen."""
        barred = self.scenario.signals.barred(raw, actions, sight.catalogue)
        parts = [sight.codes.codes(ask.exclude), barred.values]
        if anchors is not None:
            parts.append(anchors)
        if self.scenario.seen == "drop":
            parts += [raw["item"], sight.seen(ask.user)] if ask.user is not None else [raw["item"]]
        return parts


def _sent(events: list[HistoryEvent], actions: tuple[str, ...], sight: Sight, at: int) -> RaggedTable:
    """A history that came with the ask; events of unknown items stay as -1, impressions are no acts."""
    events = [event for event in events if event.action != IMPRESSION]
    count = len(events)
    return RaggedTable(
        np.array([0, count], np.int64),
        {
            "item": sight.codes.codes([event.item for event in events]),
            "action": np.array([actions.index(event.action) for event in events], np.int16),
            "value": np.array([event.value for event in events], np.float32),
            "time": np.array([at if event.time is None else event.time for event in events], np.int64),
            "scenario": np.full(count, -1, np.int16),
        },
    )


def _anchors(ask: Ask, sight: Sight) -> Codes | None:
    """Codes of the known anchor items; None where the ask has no anchors."""
    ids = ask.context.get("anchors")
    if ids is None:
        return None
    if not isinstance(ids, list) or not all(isinstance(each, str) for each in ids):
        raise InputError(f"recommend: context.anchors: expected a list of item ids, got {ids!r}")
    codes = sight.codes.codes(ids)
    return codes[codes >= 0]


def _region(ask: Ask) -> str | None:
    """Where the client is, as far as the rules are concerned."""
    region = ask.context.get("region")
    return None if region is None else str(region)


def _anchored(anchors: Codes, at: int) -> RaggedTable:
    count = len(anchors)
    columns: dict[str, Array] = {
        "item": anchors,
        "action": np.full(count, -1, np.int16),
        "value": np.ones(count, np.float32),
        "time": np.full(count, at, np.int64),
        "scenario": np.full(count, -1, np.int16),
    }
    return RaggedTable(np.array([0, count], np.int64), columns)


def _context(raw: Mapping[str, Any], anchors: Codes | None) -> dict[str, Array | Ragged]:
    context: dict[str, Array | Ragged] = {}
    for name, value in raw.items():
        if name == "anchors":
            continue
        if not isinstance(value, str | int | float):
            raise InputError(f"recommend: context.{name}: expected a text or a number, got {value!r}")
        context[name] = np.array([value])
    if anchors is not None:
        context["anchors"] = Ragged.of([anchors])
    return context
