"""Which actions count, and how much."""

import numpy as np

from polyscene.core.arrays import RaggedTable
from polyscene.scenario.signals import Signals

ACTIONS = ("play", "like", "hide")


def history(*actions: int) -> RaggedTable:
    count = len(actions)
    columns = {
        "item": np.arange(count, dtype=np.int32),
        "action": np.array(actions, np.int16),
        "value": np.full(count, 2.0, np.float32),
    }
    return RaggedTable(np.array([0, 2, count]), columns)


def test_positive_events_stay_with_their_weight() -> None:
    found = Signals({"like": 1.0, "play": 0.25}, {}).likes(history(0, 1, 2, -1), ACTIONS)
    assert found["item"].tolist() == [0, 1]
    assert found["value"].tolist() == [0.5, 2.0]
    assert found.lengths.tolist() == [2, 0]


def test_without_positive_names_all_but_the_negative_count() -> None:
    signals = Signals({}, {"hide": 1.0})
    assert signals.likes(history(0, 1, 2, -1), ACTIONS)["item"].tolist() == [0, 1, 3]
    assert signals.dislikes(history(0, 1, 2, -1), ACTIONS).tolist() == [False, False, True, False]


def test_without_any_names_nothing_changes() -> None:
    raw = history(0, 1, 2, -1)
    assert Signals({}, {}).likes(raw, ACTIONS) is raw
