"""Ids brought to one form."""

import polars as pl
import pytest

from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.load import tables_from_frames
from polyscene.dataset.mend import MENDS, mended


@pytest.mark.parametrize(
    ("mend", "raw", "expected"),
    [
        ("spaces", "A B 1", "AB1"),
        ("case", "AbC", "abc"),
        ("decimals", "17.0", "17"),
        ("marks", "0-306.40615 2", "0306406152"),
        ("prefix", "item_17", "17"),
        ("zeros", "0017", "17"),
        ("zeros", "0", "0"),
        ("prefix", "abc", "abc"),
    ],
)
def test_each_mend(mend, raw, expected):
    assert pl.DataFrame({"id": [raw]}).select(mended(pl.col("id"), [mend])).item() == expected


def test_mends_come_in_their_own_order_and_are_stable():
    frame = pl.DataFrame({"id": ["SKU-007.0", "7", "sku 7"]})
    once = frame.select(mended(pl.col("id"), tuple(reversed(MENDS))))
    assert once["id"].to_list()[1:] == ["7", "7"]
    assert once.select(mended(pl.col("id"), tuple(MENDS))).equals(once)


def test_both_tables_are_mended_and_the_books_say_so():
    events = pl.DataFrame({"user": ["U1", "u1"], "item": ["007", "8"], "time": [1, 2]})
    items = pl.DataFrame({"item": ["7", "008"], "title": ["seven", "eight"]})
    rules = CleaningRules(mend_items=("zeros",), mend_users=("case",))
    tables = tables_from_frames(events, items, rules=rules)
    assert tables.events.select("user", "item").rows() == [("u1", "7"), ("u1", "8")]
    assert tables.items is not None
    assert tables.items["item"].to_list() == ["7", "8"]
    assert tables.report.tables["events"].changed == {"item: mended (zeros)": 1, "user: mended (case)": 1}
    assert tables.report.tables["items"].changed == {"item: mended (zeros)": 1}
