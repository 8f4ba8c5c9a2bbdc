"""Every rule takes out what it should and nothing else, and the books always balance."""

import json
from collections import Counter

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.config import with_settings
from polyscene.core.errors import ConfigError, DataError, StoreError
from polyscene.dataset.clean import EVALUATION, CleaningRules
from polyscene.dataset.load import load_tables, tables_from_frames
from polyscene.dataset.tables import Tables

T = 978_300_760
DAY = 86_400


def frame(rows, columns=("user", "item", "rating", "timestamp")):
    return pl.DataFrame(rows, schema=list(columns), orient="row", strict=False)


def cleaned(rows, columns=("user", "item", "rating", "timestamp"), **rules) -> Tables:
    return tables_from_frames(frame(rows, columns), rules=CleaningRules(**rules))


def kept(tables):
    return tables.events["row"].to_list()


def removed(tables):
    return dict(tables.report.tables["events"].removed)


def test_missing_ids_and_values():
    rows = [
        ("1", "a", "4", T),
        ("", "a", "4", T),
        ("2", " NULL ", "4", T),
        ("3", "b", None, T),
        ("4", "c", "x", T),
    ]
    tables = cleaned(rows)
    assert kept(tables) == [0]
    assert removed(tables) == {
        "user is missing": 1,
        "item is missing": 1,
        "value is missing": 1,
        "value is not a finite number": 1,
    }


def test_nan_and_infinite_ratings():
    values = [4.0, float("nan"), float("inf"), 1e39]
    tables = cleaned([(str(n), "a", value, T) for n, value in enumerate(values)], scale=(0, 1e40))
    assert removed(tables) == {"value is not a finite number": 3}


def test_acts_without_a_number_count_1_where_actions_differ():
    rows = [("1", "a", "view", None), ("1", "b", "rate", 4.0)]
    tables = cleaned(rows, ("user", "item", "event", "value"))
    assert tables.events["value"].to_list() == [1.0, 4.0]
    assert tables.report.tables["events"].changed == {"value: missing, set to 1": 1}


def test_ids_are_trimmed_and_normalised():
    rows = [(" 1", "caf\u00e9", 4, T), ("1", "cafe\u0301", 4, T + 9)]
    tables = cleaned(rows, repeats="first")
    assert tables.events["user"].to_list() == ["1"]
    assert tables.events["item"].to_list() == ["caf\u00e9"]
    assert tables.report.tables["events"].changed == {
        "user: spaces around it cut": 1,
        "item: Unicode brought to NFC": 1,
    }


def test_float_ids_of_pandas_are_whole_numbers_again():
    tables = tables_from_frames(pl.DataFrame({"user": [1.0, None, 2.0], "item": [7, 8, 9]}))
    assert tables.events["user"].to_list() == ["1", "2"]


def test_times_out_of_range():
    rows = [
        ("1", "a", 4, T),
        ("2", "a", 4, 9),
        ("3", "a", 4, 4_000_000_000),
        ("4", "a", 4, None),
        ("5", "a", 4, T),
    ]
    tables = cleaned(rows, latest=1_700_000_000_000)
    assert removed(tables) == {
        "time is missing or can't be read": 1,
        "time is before 1990-01-01": 1,
        "time is after 2023-11-14": 1,
    }
    assert "time is after" in " ".join(removed(cleaned(rows)))


def test_ratings_outside_the_detected_scale():
    rows = [(str(n), "a", 1 + n % 5, T) for n in range(1000)] + [("x", "a", 50, T)]
    tables = cleaned(rows)
    assert removed(tables) == {"value is outside 0 to 5": 1}
    assert "ratings are taken to be on a scale of 0 to 5" in tables.report.notes


def test_weights_have_no_scale_unless_one_is_declared():
    rows = [("1", "a", 4, T), ("2", "a", 4_000, T), ("3", "a", 0, T)]
    columns = ("user", "item", "weight", "timestamp")
    assert kept(cleaned(rows, columns)) == [0, 1, 2]
    assert removed(cleaned(rows, columns, scale=(1, 10))) == {"value is outside 1 to 10": 2}


COPIES = [
    ("1", "a", 4, T + 5),
    ("1", "a", 4, T + 5),
    ("1", "a", 5, T + 5.5),
    ("1", "a", 3, T + 60),
    ("1", "b", 3, T + 60),
    ("1", "a", 2, T),
]


@pytest.mark.parametrize(
    ("rules", "rows"),
    [
        ({}, [0, 3, 4, 5]),
        ({"near_ms": 0}, [0, 2, 3, 4, 5]),
        ({"repeats": "first"}, [4, 5]),
        ({"repeats": "last"}, [3, 4]),
        ({"near_ms": 10_000}, [3, 4, 5]),
    ],
)
def test_copies_and_repeats(rules, rows):
    tables = cleaned(COPIES, **rules)
    assert kept(tables) == rows
    assert tables.report.tables["events"].rows_out + sum(removed(tables).values()) == len(COPIES)


def test_near_copies_must_be_the_same_action():
    rows = [("1", "a", "view", T), ("1", "a", "buy", T)]
    assert kept(cleaned(rows, ("user", "item", "event", "ts"))) == [0, 1]


def test_repeats_without_a_clock_are_counted_and_stay():
    tables = cleaned([("1", "a"), ("1", "a"), ("1", "b")], ("user", "item"))
    assert kept(tables) == [0, 1, 2]
    assert tables.report.tables["events"].noticed == {"repeat of an earlier event on the same item": 1}
    assert not tables.clock


def test_machines_are_told_by_their_rate_on_one_day():
    rows = [("bot", str(n), 1, T + n) for n in range(20)] + [
        ("fan", str(n), 1, T + n * DAY) for n in range(20)
    ]
    tables = cleaned(rows, bot_per_day=10)
    assert removed(tables) == {"user did more than 10 things in a day": 20}
    assert tables.events["user"].unique().to_list() == ["fan"]
    assert removed(cleaned(rows, bot_per_day=None)) == {}


def test_unknown_items_are_counted_or_dropped():
    events = frame([("1", "a", 4, T), ("1", "z", 4, T)])
    items = pl.DataFrame({"item": ["a"]})
    counted = tables_from_frames(events, items)
    assert counted.report.tables["events"].noticed == {"item is not in the items table": 1}
    dropped = tables_from_frames(events, items, rules=CleaningRules(unknown_items="drop"))
    assert removed(dropped) == {"item is not in the items table": 1}


def test_k_core_repeats_until_it_holds():
    chain = [("1", "a"), ("1", "b"), ("2", "b"), ("2", "c"), ("3", "c"), ("3", "d"), ("3", "e")]
    square = [(user, item) for user in "xy" for item in "pq"]
    tables = cleaned(chain + square, ("user", "item"), min_user=2, min_item=2)
    assert set(tables.events["user"]) == {"x", "y"}
    assert sum(removed(tables).values()) == len(chain)


def test_nothing_left_is_an_error_that_tells_why():
    with pytest.raises(
        DataError, match=r"events frame: cleaning left no event \(user has fewer than 9 events: 1\)"
    ):
        cleaned([("1", "a")], ("user", "item"), min_user=9)


def test_items_are_replaced_by_later_rows():
    items = pl.DataFrame({"item": ["a", "b", "a", "b", None], "price": [1.0, 2.0, 3.0, 2.0, 5.0]})
    tables = tables_from_frames(frame([("1", "a", 4, T)]), items)
    assert tables.items is not None
    assert tables.items.select("item", "price").rows() == [("b", 2.0), ("a", 3.0)]
    assert tables.report.tables["items"].removed == {
        "item is missing": 1,
        "exact copy of an earlier row": 1,
        "replaced by a later row of the same item": 1,
    }


def test_edges(tmp_path):
    (tmp_path / "events.csv").write_text("user,item\n1,a\n")
    (tmp_path / "edges.csv").write_text(
        "head,relation,tail,weight\n1,f,2,1\n1,f,2,1\n2,,2,3\n3,f,,1\n3,f,4,inf\n"
    )
    tables = load_tables(tmp_path)
    assert tables.edges is not None
    assert tables.edges.rows() == [("1", "f", "2", 1.0), ("2", "linked", "2", 3.0)]
    report = tables.report.tables["edges"]
    assert sum(report.removed.values()) == 3
    assert report.noticed == {"edge leads back to its source": 1}
    assert report.changed == {"relation: missing, set to 'linked'": 1}


def test_links_turn_the_entities_of_triples_into_items(tmp_path):
    (tmp_path / "events.csv").write_text("user,item\n1,0\n1,m\n")
    (tmp_path / "kg_triples.csv").write_text("head,relation,tail\n7,by,0\n0,in,8\n")
    (tmp_path / "kg_links.csv").write_text("movie_id,entity\nm,7\nn,7\n,9\n")
    tables = load_tables(tmp_path)
    assert tables.edges.rows() == [("m", "by", "entity:0", 1.0), ("entity:0", "in", "entity:8", 1.0)]
    assert sum(tables.report.tables["links"].removed.values()) == 2
    (tmp_path / "kg_triples.csv").write_text("user_id,friend_id\n7,0\n")
    assert load_tables(tmp_path).edges.rows() == [("7", "linked", "0", 1.0)]


def test_events_worth_too_little_are_left_out(tmp_path):
    (tmp_path / "events.csv").write_text("user,item,rating\n1,a,2\n1,b,3\n1,c,4\n")
    tables = load_tables(tmp_path, rules=CleaningRules(min_value=3))
    assert tables.events["item"].to_list() == ["b", "c"]
    assert tables.report.tables["events"].removed == {"value is below 3": 1}


IDS = st.sampled_from(["1", "2", "3", " 3", "", None, "x\0y"])
VALUES = st.one_of(st.none(), st.sampled_from(["1", "5", "60", "nan", "inf", "?"]))
STAMPS = st.one_of(st.none(), st.sampled_from([T, T + 0.5, T + 2, T * 1000, 5, -1, 4e9]))
ROWS = st.lists(st.tuples(IDS, IDS, VALUES, STAMPS), min_size=1, max_size=40)
RULES = st.builds(
    CleaningRules,
    repeats=st.sampled_from(["all", "first", "last"]),
    near_ms=st.sampled_from([0, 1_000]),
    min_user=st.integers(1, 3),
    min_item=st.integers(1, 2),
    bot_per_day=st.sampled_from([None, 5]),
    scale=st.sampled_from([None, (1, 5)]),
)


@settings(max_examples=40, deadline=None)
@given(rows=ROWS, rules=RULES)
def test_the_books_balance_and_the_quarantine_holds_every_removed_row(tmp_path_factory, rows, rules):
    folder = tmp_path_factory.mktemp("books")
    solid = [("u", "i", "3", T), ("u", "j", "3", T), ("v", "i", "3", T), ("v", "j", "3", T)] * 2
    rows = [*rows, *[(u, i, v, t + 10 * n) for n, (u, i, v, t) in enumerate(solid)], *solid]
    rows += [(f"u{n}", f"i{m}", "4", T) for n in range(12) for m in range(4)]
    frame(rows).write_parquet(folder / "events.parquet")
    tables = load_tables(folder, rules=rules, quarantine=folder / "q.jsonl")
    report = tables.report.tables["events"]
    assert report.rows_in == len(rows) == report.rows_out + sum(report.removed.values())
    assert report.rows_out == len(tables.events)
    lines = [json.loads(line) for line in (folder / "q.jsonl").read_text().splitlines()]
    assert Counter(line["cause"] for line in lines) == report.removed
    assert sorted([line["row"] for line in lines] + kept(tables)) == list(range(len(rows)))
    for line in lines:
        assert tuple(line["values"].values())[:3] == rows[line["row"]][:3]
    assert kept(tables) == sorted(kept(tables))


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_evaluation_rules_are_those_of_the_usual_protocol(seed):
    """Sort by user, time and raw row; keep the first of each user and item; users need five items."""
    rng = np.random.default_rng(seed)
    rows = [
        (str(u), str(i), 3, T + 10 * int(t))
        for u, i, t in zip(
            rng.integers(0, 6, 60), rng.integers(0, 12, 60), rng.integers(0, 8, 60), strict=True
        )
    ]
    rows += [("whole", str(i), 3, T) for i in range(5)]
    first: dict[tuple[str, str], int] = {}
    for row in sorted(range(len(rows)), key=lambda row: (rows[row][0], rows[row][3], row)):
        first.setdefault(rows[row][:2], row)
    sizes = Counter(user for user, _ in first)
    expected = sorted(row for (user, _), row in first.items() if sizes[user] >= 5)
    assert kept(tables_from_frames(frame(rows), rules=EVALUATION)) == expected


def test_rules_are_read_from_texts_and_checked():
    rules = with_settings(
        CleaningRules(), {"repeats": "first", "scale": "[1, 5]", "bot_per_day": "null"}, "rules"
    )
    assert rules == CleaningRules(repeats="first", scale=(1.0, 5.0), bot_per_day=None)
    with pytest.raises(ConfigError, match=r"rules: unknown key 'repeat'; did you mean 'repeats'\?"):
        with_settings(CleaningRules(), {"repeat": "first"}, "rules")


def test_a_quarantine_that_cannot_be_written_is_an_error(tmp_path):
    (tmp_path / "events.csv").write_text("user,item\n1,a\n")
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"q\.jsonl: the quarantine can't be written .*another place"):
        load_tables(tmp_path, quarantine=tmp_path / "file" / "q.jsonl")
