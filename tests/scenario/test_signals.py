"""Which actions count, and how much."""

from dataclasses import replace

import numpy as np

from polyscene.core.arrays import RaggedTable
from polyscene.core.catalogue import Catalogue, Column
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


def test_a_later_positive_event_on_the_same_item_undoes_a_negative_one() -> None:
    signals = Signals({}, {"hide": 1.0})
    columns = {
        "item": np.array([5, 5, 6, 6, 5, 5], np.int32),
        "action": np.array([2, 0, 0, 2, 2, 0], np.int16),
        "value": np.ones(6, np.float32),
    }
    together = RaggedTable(np.array([0, 6]), columns)
    assert signals.dislikes(together, ACTIONS).tolist() == [False, False, False, True, False, False]
    apart = RaggedTable(np.array([0, 1, 5, 6]), columns)  # what one user does undoes nothing of another's
    assert signals.dislikes(apart, ACTIONS).tolist() == [True, False, False, True, True, False]


def test_an_impression_counts_for_nothing() -> None:
    seen = RaggedTable(
        np.array([0, 3]),
        {
            "item": np.array([1, 1, 2], np.int32),
            "action": np.array([2, 3, 3], np.int16),
            "value": np.ones(3, np.float32),
        },
    )
    names = (*ACTIONS, "impression")
    assert Signals({}, {}).likes(seen, names)["item"].tolist() == [1]
    assert Signals({}, {"hide": 1.0}).dislikes(seen, names).tolist() == [True, False, False]


def test_a_text_bars_all_items_that_share_the_attribute() -> None:
    authors = Column("category", np.array([0, 0, 1, -1], np.int32), ("ann", "ben"))
    items = replace(Catalogue.bare(4), columns={"author": authors})
    signals = Signals({}, {"hide": 1.0, "not_author": "author", "not_label": "label"})
    names = ("play", "hide", "not_author", "not_label")
    columns = {
        "item": np.array([2, 0, 3, 3, -1], np.int32),
        "action": np.array([1, 2, 3, 0, 1], np.int16),
        "value": np.ones(5, np.float32),
    }
    found = signals.barred(RaggedTable(np.array([0, 1, 1, 2, 5]), columns), names, items)
    assert [found[row].tolist() for row in range(4)] == [[2], [], [0, 1], []]
