"""Which file holds which table, and which column which field."""

import json

import polars as pl
import pytest

from polyscene.core.errors import DataError
from polyscene.dataset.load import load_tables
from polyscene.dataset.mapping import resolve
from polyscene.dataset.sources import find_files


def touch(folder, *names):
    for name in names:
        (folder / name).write_text("user,item\n1,2\n")


def test_own_names_go_before_well_known_ones(tmp_path):
    touch(tmp_path, "events.csv", "purchases.csv", "movies.csv", "users.csv", "notes.csv", "README.md")
    found = find_files(tmp_path, {})
    assert {table: paths[0].name for table, paths in found.files.items()} == {
        "events": "events.csv",
        "items": "movies.csv",
        "users": "users.csv",
    }
    assert found.notes == ("files not used: notes.csv, purchases.csv",)


def test_atomic_files_tell_their_table(tmp_path):
    touch(tmp_path, "x.inter", "x.item", "x.user", "x.kg", "x.link")
    assert list(find_files(tmp_path, {}).files) == ["events", "items", "users", "edges", "links"]


def test_a_mapping_names_files(tmp_path):
    touch(tmp_path, "events.csv", "mine.csv", "items.csv")
    found = find_files(tmp_path, {"events": "mine", "items": ""})
    assert [path.name for paths in found.files.values() for path in paths] == ["mine.csv"]


@pytest.mark.parametrize(
    ("names", "mapping"),
    [
        (["events-2024-01.csv", "events-2024-02.csv"], {}),
        (["orders_1.csv", "orders_2.csv.gz"], {"events": "orders_*"}),
        (["bought.csv", "played.csv"], {"events": "bought,played"}),
        (["ratings.part-00000-of-00002.csv", "ratings.part-00001-of-00002.csv"], {}),
    ],
)
def test_one_table_may_stand_in_several_files(tmp_path, names, mapping):
    touch(tmp_path, *names, "items.csv")
    assert [path.name for path in find_files(tmp_path, mapping).files["events"]] == names


def test_rows_of_several_files_tell_their_file_and_their_number(tmp_path):
    (tmp_path / "bought.csv").write_text("user,item\nu,a\nv,b\n,c\n")
    (tmp_path / "played.csv").write_text("user;item;hours\nu;a;2,5\nv;;1\n")
    mapping = {"events": "bought,played", "action": "@file", "value": "hours"}
    tables = load_tables(tmp_path, mapping=mapping, quarantine=tmp_path / "q.jsonl")
    kept = tables.events.select("user", "item", "action", "value").rows()
    assert kept == [("u", "a", "bought", 1.0), ("v", "b", "bought", 1.0), ("u", "a", "played", 2.5)]
    lines = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [(line["source"].rpartition("/")[2], line["row"], line["cause"]) for line in lines] == [
        ("bought.csv", 2, "user is missing"),
        ("played.csv", 1, "item is missing"),
    ]


def test_links_out_of_the_folder_are_not_followed(tmp_path):
    (tmp_path / "secret.csv").write_text("user,item\n1,2\n")
    folder = tmp_path / "in"
    folder.mkdir()
    touch(folder, "events.csv")
    (folder / "items.csv").symlink_to(tmp_path / "secret.csv")
    (folder / "users.csv").symlink_to(folder / "users.csv")
    found = find_files(folder, {})
    assert list(found.files) == ["events"]
    assert found.notes == ("links that lead out of the folder are not followed: items.csv",)


@pytest.mark.parametrize(
    ("names", "mapping", "message"),
    [
        (["a.csv"], {}, "no table of events; expected a file named events, interactions, ratings .*a.csv"),
        ([], {}, "found no file with such an ending"),
        (["plays.csv", "clicks.csv"], {}, "2 files could hold the events.*--map events=clicks.csv"),
        (["events.csv", "events.tsv"], {}, "2 files could hold the events"),
        (["events.csv"], {"items": "thing"}, "items=thing names 0 files.*known: events.csv"),
    ],
)
def test_unclear_folders_are_errors_that_list_what_is_there(tmp_path, names, mapping, message):
    touch(tmp_path, *names)
    with pytest.raises(DataError, match=message):
        find_files(tmp_path, mapping)


def test_nothing_there():
    with pytest.raises(DataError, match=r"nowhere: no such file or folder, nor a known data set \(ml-1m"):
        load_tables("nowhere")


def columns(table, names, mapping=None):
    return dict(resolve(table, "f.csv", names, mapping or {}).fields)


@pytest.mark.parametrize(
    ("names", "expected"),
    [
        (["userId", "movieId", "rating", "timestamp"], ("userId", "movieId", "rating", "timestamp")),
        (["user", "item", "value", "time"], ("user", "item", "value", "time")),
        (["session_id", "item_id", "position"], ("session_id", "item_id", None, "position")),
        (["session_id", "user_id", "item_id", "ts"], ("user_id", "item_id", None, "ts")),
        (["user_id", "isbn", "item_id", "click"], ("user_id", "item_id", "click", None)),
    ],
)
def test_well_known_names_are_guessed(names, expected):
    found = columns("events", names)
    assert tuple(found.get(field) for field in ("user", "item", "value", "time")) == expected


def test_a_mapping_goes_before_guesses_and_may_say_none():
    names = ["user_id", "other", "item_id", "rating", "timestamp"]
    told = columns("events", names, {"user": "other", "value": "", "time": "position"})
    assert told == {"user": "other", "item": "item_id"}


def test_edges_take_their_ends_from_many_names():
    assert columns("edges", ["head", "relation", "tail"])["target"] == "tail"
    assert columns("edges", ["user_id", "friend_id"]) == {"source": "user_id", "target": "friend_id"}


@pytest.mark.parametrize(
    ("names", "message"),
    [
        (
            ["userid", "user_id", "item"],
            r"f.csv: 2 columns could be the user: userid, user_id.*--map user=userid",
        ),
        (
            ["usr_id", "item"],
            r"f.csv: no column for the user of the events; found usr_id, item.*--map user=usr_id",
        ),
        ([], "found none"),
    ],
)
def test_unclear_columns_are_errors_that_say_what_to_write(names, message):
    with pytest.raises(DataError, match=message):
        resolve("events", "f.csv", names, {})


@pytest.mark.parametrize(
    ("mapping", "message"),
    [
        ({"usr": "u"}, r"--map usr=u: unknown field 'usr'; did you mean 'user'\?.*items.usr=u"),
        ({"user": "v"}, r"--map user=v: no table has the column 'v'"),
        ({"item.title": "u"}, r"unknown table 'item'; did you mean 'items'\?"),
        ({"items.title": "u"}, "the source has no table of items"),
    ],
)
def test_mistyped_mappings_are_errors(tmp_path, mapping, message):
    (tmp_path / "events.csv").write_text("u,item\n1,2\n")
    with pytest.raises(DataError, match=message):
        load_tables(tmp_path, mapping=mapping)


def test_attributes_are_renamed_and_typed(tmp_path):
    (tmp_path / "events.csv").write_text("user,item\n1,a\n")
    (tmp_path / "items.csv").write_text(
        "item,name,label_name,price,zip,genres,description,made,author_id\n"
        "a,Alien,x,1.5,01234,Horror|Sci-Fi,1,2020-01-01,7\nb,,y,nan,22,Drama,2,,8\n"
    )
    pl.DataFrame({"user": [1, 2], "age": [3.5, None], "member": [True, False]}).write_parquet(
        tmp_path / "users.parquet"
    )
    tables = load_tables(tmp_path, mapping={"items.label": "label_name"})
    assert tables.items is not None
    assert tables.users is not None
    assert tables.items.row(0, named=True) == {
        "item": "a",
        "kind": "item",
        "label": "x",
        "title": "Alien",
        "price": 1.5,
        "zip": "01234",
        "genres": ["Horror", "Sci-Fi"],
        "description": "1",
        "made": "2020-01-01",
        "author_id": 7.0,
    }
    assert tables.items["price"].to_list() == [1.5, None]
    assert tables.items["title"].to_list() == ["Alien", None]
    assert tables.report.tables["items"].changed == {"price: not finite, set to missing": 1}
    assert tables.users.rows() == [("1", 3.5, True), ("2", None, False)]
    assert "items: column 'name' is taken as title" in tables.report.notes


def test_a_shared_mapping_serves_every_table_that_has_the_column(tmp_path):
    (tmp_path / "events.csv").write_text("u,thing\n1,a\n")
    (tmp_path / "items.csv").write_text("thing,color\na,red\n")
    tables = load_tables(tmp_path, mapping={"user": "u", "item": "thing"})
    assert tables.items is not None
    assert tables.items.columns == ["item", "kind", "color"]


def test_what_a_column_holds_instead_is_noted(tmp_path):
    (tmp_path / "events.csv").write_text("user,item\n1,a\n")
    (tmp_path / "items.csv").write_text("item,title,name,time\na,x,y,3\n")
    tables = load_tables(tmp_path, mapping={"items.title": "name"})
    assert tables.items is not None
    assert tables.items.rows() == [("a", "item", "y")]
    assert {
        "items: column 'title' is not used: another one takes its name",
        "items: column 'time' holds positions, no times: not used",
    } <= set(tables.report.notes)
