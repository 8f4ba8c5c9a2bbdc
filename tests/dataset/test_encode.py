import numpy as np
import pandas as pd
import polars as pl
import pytest

from polyscene.core.errors import DataError
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.encode import encode
from polyscene.dataset.tables import Tables


def tables(rows, items=None, edges=None, clock=True):
    """Tables from (user, item, time, action) in raw order; values count up from 1."""
    events = pl.DataFrame(
        {
            "user": [row[0] for row in rows],
            "item": [row[1] for row in rows],
            "action": [row[3] if len(row) > 3 else "interaction" for row in rows],
            "value": pl.Series(range(1, len(rows) + 1), dtype=pl.Float32),
            "time": pl.Series([row[2] for row in rows], dtype=pl.Int64),
            "scenario": [""] * len(rows),
            "row": pl.Series(range(len(rows)), dtype=pl.Int64),
        },
        schema_overrides={"user": pl.String, "item": pl.String, "action": pl.String, "scenario": pl.String},
    )
    return Tables("tiny", events, items, edges=edges, clock=clock)


ROWS = [
    ("u2", "b", 5),
    ("u1", "c", 3),
    ("u2", "a", 5),
    ("u1", "a", 1, "like"),
    ("u2", "c", 4),
    ("u10", "b", 9),
]


def lists(encoded, column="item"):
    """Each user's history of one column, items as ids."""
    ragged = encoded.data.histories.ragged(column)
    return {
        encoded.users.id(int(user)): (
            encoded.items.ids_of(ragged[place]) if column == "item" else ragged[place].tolist()
        )
        for place, user in enumerate(encoded.data.users)
    }


def test_histories_stand_by_user_code_and_time_with_ties_in_raw_order():
    encoded = encode(tables(ROWS))
    assert lists(encoded) == {"u1": ["a", "c"], "u10": ["b"], "u2": ["c", "b", "a"]}
    assert lists(encoded, "value") == {"u1": [4, 2], "u10": [6], "u2": [5, 1, 3]}
    assert encoded.data.users.tolist() == [0, 1, 2]
    types = {name: encoded.data.histories[name].dtype for name in HISTORY_COLUMNS}
    assert types == {name: np.dtype(dtype) for name, dtype in HISTORY_COLUMNS.items()}


def test_sorted_codes_equal_those_of_pandas():
    encoded = encode(tables(ROWS))
    for codes, column in ((encoded.items, 1), (encoded.users, 0)):
        ids = [row[column] for row in ROWS]
        assert codes.codes(ids).tolist() == pd.factorize(np.array(ids), sort=True)[0].tolist()


def test_seen_order_gives_codes_as_ids_come():
    encoded = encode(tables(ROWS), order="seen")
    assert encoded.items.ids == ["b", "c", "a"]
    assert lists(encoded)["u2"] == ["c", "b", "a"]
    assert [encoded.users.id(int(user)) for user in encoded.data.users] == ["u2", "u1", "u10"]


def test_given_maps_keep_their_codes_and_grow():
    items = CodeMap(["z", "c"])
    encoded = encode(tables(ROWS), items=items)
    assert encoded.items is items
    assert items.ids == ["z", "c", "a", "b"]
    assert encoded.data.size == 4
    assert lists(encoded)["u1"] == ["a", "c"]


def test_actions_and_scenarios_are_named():
    encoded = encode(tables(ROWS))
    assert encoded.data.actions == ("interaction", "like")
    assert lists(encoded, "action") == {"u1": [1, 0], "u10": [0], "u2": [0, 0, 0]}
    assert encoded.data.scenarios == ("",)


@pytest.mark.parametrize(("only_touched", "ids"), [(True, ["a", "b", "c"]), (False, ["a", "b", "c", "x"])])
def test_items_without_an_event_have_codes_unless_only_touched_ones_are_wanted(only_touched, ids):
    items = pl.DataFrame({"item": ["x", "a"], "kind": ["song", "song"], "year": [1.0, 2.0]})
    encoded = encode(tables(ROWS, items), only_touched=only_touched)
    assert encoded.items.ids == ids
    assert encoded.data.catalogue.columns["year"].values[0] == 2.0
    assert encoded.data.catalogue.put_at[:3].tolist() == [1, 5, 3]


def test_the_time_of_the_data_is_later_than_all_in_it():
    data = encode(tables(ROWS, clock=False)).data
    assert data.at == 10
    assert data.clock is False


def test_edges_are_carried_as_ids():
    edges = pl.DataFrame(
        {
            "source": ["a"],
            "relation": ["like"],
            "target": ["q"],
            "weight": pl.Series([2.0], dtype=pl.Float32),
        }
    )
    found = encode(tables(ROWS, edges=edges)).data.edges
    assert (found.source.tolist(), found.target.tolist(), found.weight.tolist()) == (["a"], ["q"], [2.0])
    assert encode(tables(ROWS)).data.edges is None


def test_edges_know_the_codes_of_their_ends():
    rows = {"source": ["a", "u"], "relation": ["r", "r"], "target": ["u", "nobody"]}
    edges = pl.DataFrame({**rows, "weight": pl.Series([1.0, 1.0], dtype=pl.Float32)})
    encoded = encode(tables([("u", "a", 1), ("a", "b", 2)], edges=edges))
    item, user = encoded.items.code, encoded.users.code
    assert encoded.data.edges.items.tolist() == [[item("a"), -1], [-1, -1]]
    assert encoded.data.edges.users.tolist() == [[user("a"), user("u")], [user("u"), -1]]


def test_no_events_are_refused():
    with pytest.raises(DataError, match="no events are left"):
        encode(tables([]))


def test_equal_tables_give_equal_data():
    first, second = encode(tables(ROWS)), encode(tables(ROWS))
    assert first.items.digest() == second.items.digest()
    assert first.data.histories["item"].tolist() == second.data.histories["item"].tolist()
