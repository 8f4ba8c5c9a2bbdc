"""Availability against its obvious twin: one item at a time, straight from the attributes."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.clock import parse_time
from polyscene.dataset.catalogue import catalogue_as_of
from polyscene.events.event import ItemPut
from polyscene.rules.availability import FROM, REGIONS, STOCK, UNTIL
from polyscene.rules.eligible import Rules

TIMES = [1_790_000_000_000 + step for step in range(6)]
ISO = ["2026-09-21", "2026-09-21T14:13:20.002Z", "soon", ""]


def catalogue(items: list[dict]):
    puts = [(code, ItemPut(id=f"i{code}", time=1, attributes=each)) for code, each in enumerate(items)]
    return catalogue_as_of(puts, np.ones(len(items), np.int64)).snapshot()


def shown(item: dict, at: int, region: str | None) -> bool:
    """The twin."""

    def when(name: str) -> int | None:
        value = item.get(name)
        return None if value in ("soon", "", None) else parse_time(value)

    begin, end = when(FROM), when(UNTIL)
    return (
        (begin is None or begin <= at)
        and (end is None or at < end)
        and (item.get(STOCK) is None or item[STOCK] > 0)
        and (region is None or not item.get(REGIONS) or region in item[REGIONS])
    )


def attributes(times):
    """Some of the four attributes; `times` as the whole catalogue writes them."""
    return st.fixed_dictionaries(
        {},
        optional={
            FROM: times,
            UNTIL: times,
            STOCK: st.sampled_from([-1, 0, 1, 2.5]),
            REGIONS: st.lists(st.sampled_from(["de", "at", "ch"]), unique=True),
        },
    )


ITEMS = st.one_of(
    st.lists(attributes(st.sampled_from(TIMES)), min_size=1, max_size=8),
    st.lists(attributes(st.sampled_from(ISO)), min_size=1, max_size=8),
)
ASKS = st.lists(
    st.tuples(st.sampled_from([0, *TIMES, TIMES[-1] + 1]), st.sampled_from([None, "de", "at", "fr"])),
    max_size=9,
)


@given(ITEMS, ASKS)
def test_the_masks_are_what_each_item_says_by_itself(items, asks):
    at = np.array([when for when, _ in asks], np.int64)
    regions = [region for _, region in asks]
    found = Rules().eligible(catalogue(items), [None] * len(asks), at=at, regions=regions)
    expected = [[shown(item, when, region) for item in items] for when, region in asks]
    assert found.block().tolist() == expected
    assert len(found.masks) <= len(set(asks))


def test_sold_out_is_shown_where_the_scenario_says_so_and_nothing_else_is_missing():
    items = catalogue([{STOCK: 0}, {UNTIL: TIMES[0]}, {}])
    asked = {"at": np.array([TIMES[1]]), "regions": [None]}
    assert Rules().eligible(items, [None], **asked).of(0).tolist() == [False, False, True]
    assert Rules(availability=False).eligible(items, [None], **asked).of(0).all()


def test_without_a_time_or_a_region_these_are_not_looked_at():
    items = catalogue([{FROM: TIMES[5]}, {REGIONS: ["de"]}, {STOCK: 0}])
    assert Rules().eligible(items, [None]).of(0).tolist() == [True, True, False]


def test_filters_and_windows_hold_together_and_a_new_catalogue_is_read_anew():
    items = catalogue([{STOCK: 0, "year": 1}, {STOCK: 3, "year": 1}, {STOCK: 3, "year": 2}])
    rules, at = Rules(), np.array([TIMES[0]])
    assert rules.eligible(items, ["year = 1"], at=at).of(0).tolist() == [False, True, False]
    plenty = replace(items, columns={name: each for name, each in items.columns.items() if name != STOCK})
    assert rules.eligible(plenty, ["year = 1"], at=at).of(0).tolist() == [True, True, False]


def test_one_region_as_a_plain_word_is_understood():
    items = catalogue([{REGIONS: "de"}, {REGIONS: "fr"}, {}])
    assert Rules().eligible(items, [None], regions=["de"]).of(0).tolist() == [True, False, True]
