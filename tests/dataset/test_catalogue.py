from copy import deepcopy

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.errors import InputError
from polyscene.dataset.catalogue import build_catalogue, catalogue_as_of
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.live import MAX_ATTRIBUTES, NEVER, LiveCatalogue, check_types
from polyscene.events.event import ItemPut


def told(catalogue: Catalogue, code: int) -> dict:
    """What the catalogue says of one item, with words for places and nothing for missing values."""
    found = {}
    for name, column in catalogue.columns.items():
        values = column.values
        if isinstance(values, Ragged):
            assert len(values) == catalogue.size
            if words := sorted(column.vocabulary[place] for place in values[code]):
                found[name] = words
            continue
        assert len(values) == catalogue.size
        if column.type == "number" and not np.isnan(values[code]):
            found[name] = float(values[code])
        elif column.type == "category" and values[code] >= 0:
            found[name] = column.vocabulary[values[code]]
        elif column.type == "text" and values[code]:
            found[name] = values[code]
    return found


def everything(catalogue: Catalogue) -> list:
    return [
        (
            told(catalogue, code),
            bool(catalogue.active[code]),
            catalogue.kind_names[catalogue.kinds[code]],
            int(catalogue.put_at[code]),
        )
        for code in range(catalogue.size)
    ]


def put(item: str = "a", time: int = 1, **attributes) -> ItemPut:
    return ItemPut(id=item, time=time, attributes=attributes)


class TestFromATable:
    frame = pl.DataFrame(
        {
            "item": ["c", "a", "q", "b"],
            "kind": ["song", "song", "song", None],
            "year": [1990.0, None, 1.0, 2000.0],
            "live": [True, False, None, None],
            "title": ["Cats", "Ants", "Quiz", None],
            "mood": ["sad", "sad", "sad", None],
            "tags": [["x", "y", "x"], [], ["z"], None],
        }
    )

    def test_attributes_are_typed_and_missing_values_stay_missing(self):
        put_at = np.array([7, NEVER, 5], np.int64)
        catalogue = build_catalogue(self.frame, CodeMap(["a", "b", "c"]), put_at=put_at)
        assert {name: column.type for name, column in catalogue.columns.items()} == {
            "year": "number",
            "live": "number",
            "title": "text",
            "mood": "category",
            "tags": "tags",
        }
        assert everything(catalogue) == [
            ({"live": 0.0, "title": "Ants", "mood": "sad"}, True, "song", 7),
            ({"year": 2000.0}, True, "item", 0),
            (
                {"year": 1990.0, "live": 1.0, "title": "Cats", "mood": "sad", "tags": ["x", "y"]},
                True,
                "song",
                5,
            ),
        ]
        assert put_at.tolist() == [7, NEVER, 5]

    def test_the_earlier_of_put_and_first_event_counts(self):
        frame = pl.DataFrame({"item": ["a", "b", "c"], "time": [3, 9, None]})
        put_at = np.array([7, 7, 7], np.int64)
        assert build_catalogue(frame, CodeMap(["a", "b", "c"]), put_at=put_at).put_at.tolist() == [3, 7, 7]

    def test_without_a_table_only_the_ids_are_known(self):
        catalogue = build_catalogue(None, CodeMap(["a"]), put_at=np.array([4]))
        assert everything(catalogue) == [({}, True, "item", 4)]

    def test_an_item_without_a_row_has_nothing(self):
        catalogue = build_catalogue(self.frame, CodeMap(["new"]), put_at=np.array([4]))
        assert everything(catalogue) == [({}, True, "item", 4)]

    def test_it_tells_what_puts_of_the_same_rows_tell(self):
        codes = CodeMap(["a", "b", "c"])
        rows = [
            row for row in self.frame.drop("kind", "live").iter_rows(named=True) if row["item"] in codes
        ]
        puts = [
            (
                codes.code(row["item"]),
                put(row["item"], 0, **{name: row[name] for name in row if name != "item"}),
            )
            for row in rows
        ]
        live = catalogue_as_of(puts, np.zeros(3, np.int64)).snapshot()
        table = build_catalogue(self.frame.drop("kind", "live"), codes, put_at=np.zeros(3, np.int64))
        assert everything(live) == everything(table)


class TestLive:
    def test_a_put_replaces_and_a_patch_adds(self):
        live = LiveCatalogue()
        live.put(0, put(year=1990, tags=["x"], genre="drama"))
        live.put(
            0, ItemPut(id="a", time=2, patch=True, attributes={"year": None, "title": "A"}, kind="song")
        )
        assert everything(live.snapshot()) == [
            ({"tags": ["x"], "genre": "drama", "title": "A"}, True, "item", 1)
        ]
        live.put(0, ItemPut(id="a", time=3, kind="song", attributes={"year": 5}))
        assert everything(live.snapshot()) == [({"year": 5.0}, True, "song", 1)]

    def test_a_deleted_item_comes_back_only_by_a_put(self):
        live = LiveCatalogue()
        live.put(0, put(year=1))
        live.put(0, ItemPut(id="a", time=2, delete=True))
        live.touch(np.array([0]), np.array([3]))
        assert everything(live.snapshot()) == [({"year": 1.0}, False, "item", 1)]
        live.put(0, put(time=4))
        assert everything(live.snapshot()) == [({}, True, "item", 1)]

    def test_an_event_makes_an_item_known_from_its_time_on(self):
        live = LiveCatalogue()
        assert live.touch(np.array([2, 2, 0]), np.array([8, 6, 9]))
        assert live.snapshot().active.tolist() == [True, False, True]
        assert live.snapshot().put_at.tolist() == [9, 0, 6]
        assert not live.touch(np.array([2]), np.array([7]))
        assert live.touch(np.array([2]), np.array([5]))
        assert live.snapshot().put_at.tolist() == [9, 0, 5]

    def test_a_snapshot_is_kept_until_something_changes(self):
        live = LiveCatalogue()
        live.put(0, put())
        first = live.snapshot()
        assert live.snapshot() is first
        live.put(0, put(time=2))
        assert live.snapshot() is not first

    def test_truths_are_numbers_and_repeated_tags_count_once(self):
        live = LiveCatalogue()
        live.put(0, put(free=True, tags=["x", "x"]))
        assert told(live.snapshot(), 0) == {"free": 1.0, "tags": ["x"]}

    def test_views_can_not_be_written(self):
        live = LiveCatalogue()
        live.put(0, put(year=1))
        with pytest.raises(ValueError, match="read-only"):
            live.snapshot().columns["year"].values[0] = 2

    @pytest.mark.parametrize(
        ("first", "then", "says"),
        [
            (
                1990,
                "1990",
                r"item 'b': attribute 'y' is '1990' \(category\), but earlier items have a number",
            ),
            ("x", 3, "a category there"),
            (["x"], "x", "a tags there"),
            ("x", ["x"], r"\(tags\)"),
        ],
    )
    def test_another_type_is_refused_before_and_left_out_after(self, first, then, says):
        live = LiveCatalogue()
        live.put(0, put(y=first, z=1))
        with pytest.raises(InputError, match=says):
            check_types([put("b", y=then)], live.types())
        with pytest.raises(InputError, match=says):
            check_types([put("a", y=first), put("b", y=then)], {})
        live.put(1, put("b", y=then, z=2))
        assert told(live.snapshot(), 1) == {"z": 2.0}
        assert len(live.problems) == 1
        check_types([put("c", y=None, z=False), put("d", y=first)], live.types())

    def test_there_is_an_end_to_attribute_names(self):
        many = put(**{f"a{place}": 1 for place in range(MAX_ATTRIBUTES + 1)})
        with pytest.raises(InputError, match="use tags"):
            check_types([many], {})
        live = LiveCatalogue()
        live.put(0, many)
        assert len(live.snapshot().columns) == MAX_ATTRIBUTES


VALUES = {
    "year": st.none() | st.integers(-5, 5) | st.floats(-5, 5) | st.booleans(),
    "genre": st.none() | st.sampled_from(["x", "y", ""]),
    "title": st.none() | st.sampled_from(["One", "Two", ""]),
    "tags": st.none() | st.lists(st.sampled_from("xyz"), max_size=3),
}
PUTS = st.builds(
    lambda code, flag, kind, time, attributes: (
        code,
        ItemPut(
            id=str(code),
            time=time,
            kind=kind,
            attributes={} if flag == "delete" else attributes,
            delete=flag == "delete",
            patch=flag == "patch",
        ),
    ),
    st.integers(0, 40),
    st.sampled_from(["put", "patch", "delete"]),
    st.sampled_from(["item", "song"]),
    st.integers(0, 9),
    st.fixed_dictionaries({}, optional=VALUES),
)


def plain(records: list[tuple[int, ItemPut]]) -> list:
    """The slow, obvious twin: a dict per item."""
    size = max((code for code, _ in records), default=-1) + 1
    facts: list = [None] * size
    active, kinds, put_at = [False] * size, ["item"] * size, [NEVER] * size
    for code, record in records:
        put_at[code] = min(put_at[code], record.time)
        active[code] = not record.delete
        if record.delete:
            continue
        if facts[code] is None or not record.patch:
            facts[code], kinds[code] = {}, record.kind
        facts[code].update(record.attributes)
    return [
        (
            {
                name: sorted(set(value)) if isinstance(value, list) else value
                for name, value in (facts[code] or {}).items()
                if value is not None and value not in ("", [])
            },
            active[code],
            kinds[code],
            0 if put_at[code] == NEVER else put_at[code],
        )
        for code in range(size)
    ]


@given(st.lists(st.lists(PUTS, max_size=4), max_size=6))
def test_it_tells_what_plain_dicts_tell_and_no_snapshot_ever_changes(batches):
    live, records, shown = LiveCatalogue(), [], []
    for batch in batches:
        for code, record in batch:
            live.put(code, record)
        records += batch
        catalogue = live.snapshot()
        assert everything(catalogue) == plain(records)
        shown.append((catalogue, deepcopy(everything(catalogue))))
    for catalogue, before in shown:
        assert everything(catalogue) == before


def test_a_buffer_that_outgrows_itself_keeps_what_it_held():
    live = LiveCatalogue()
    for code in range(100):
        live.put(code, put(str(code), code, year=code, tags=[str(code)]))
        if code == 10:
            early = live.snapshot()
    assert told(live.snapshot(), 3) == told(early, 3) == {"year": 3.0, "tags": ["3"]}
    assert told(live.snapshot(), 99) == {"year": 99.0, "tags": ["99"]}
    assert early.size == 11
