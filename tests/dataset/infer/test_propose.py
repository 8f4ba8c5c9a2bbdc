"""What unknown names and values are taken for: real sets under odd names, and made-up tables."""

import random

import polars as pl
import pytest

from polyscene.core.errors import DataError
from polyscene.dataset.infer.propose import propose
from polyscene.dataset.load import load_tables

RENAMED = {
    "user_id": "KundenNr",
    "item_id": "商品编号",
    "isbn": "book_code",
    "rating": "puntuacion",
    "timestamp": "Zeitpunkt",
    "hours": "hrs_played",
    "event": "what_happened",
    "title": "Bezeichnung",
    "name": "nombre",
    "basket_no": "order_seq",
    "session_id": "visit_ref",
    "weight": "listens_n",
}
SETS = {
    "filmtrust": (
        {"ratings": "urteile", "trust": "vertrauen"},
        {"events": ["urteile"], "edges": ["vertrauen"]},
    ),
    "hackernews": (
        {"comments": "kommentare", "stories": "beitraege"},
        {"events": ["kommentare"], "items": ["beitraege"]},
    ),
    "lastfm_hetrec": (
        {"user_artists": "gehoert", "artists": "bands", "user_friends": "freunde"},
        {"events": ["gehoert"], "items": ["bands"], "edges": ["freunde"]},
    ),
    "movielens_latest_small": (
        {"ratings": "x1", "movies": "x2", "tags": "x3", "links": "x4"},
        {"events": ["x1"], "items": ["x2"]},
    ),
    "retailrocket_dense": ({"events": "web"}, {"events": ["web"]}),
    "steam_200k": (
        {"purchases": "gekauft", "play_hours": "gespielt", "games": "spiele"},
        {"events": ["gekauft", "gespielt"], "items": ["spiele"]},
    ),
}


@pytest.mark.parametrize("name", SETS)
def test_real_sets_under_odd_names(shared_data, tmp_path, name):
    files, expected = SETS[name]
    columns = set()
    for place, path in enumerate(sorted((shared_data / name).glob("*.parquet"))):
        frame = pl.read_parquet(path).head(100_000).rename(RENAMED, strict=False)
        columns |= set(frame.columns)
        target = tmp_path / f"{files.get(path.stem, path.stem)}.csv"
        frame.select(pl.all().exclude(pl.List)).write_csv(target, separator=",;\t|"[place % 4])
    found = propose(tmp_path)
    assert {
        t: sorted(n.removesuffix(".csv") for n in names) for t, names in found.tables.items()
    } == expected
    fields = {(guess.table, guess.field): guess.column for guess in found.guesses}
    assert fields["events", "user"] == "KundenNr"
    assert fields["events", "item"] == "商品编号"
    for field, column in (("value", "puntuacion"), ("time", "Zeitpunkt"), ("action", "what_happened")):
        assert fields.get(("events", field)) == (
            column if column in columns else fields.get(("events", field))
        )
    assert not found.missing
    tables = load_tables(tmp_path, mapping=found.mapping)
    assert len(tables.events) > 1_000
    assert (tables.items is not None) == ("items" in expected)


def shop(folder, *, header=("bon", "wer", "was", "wann", "menge")):
    """A made-up shop: receipts of 40 people and 30 things that have a name each."""
    rng = random.Random(3)
    folder.mkdir(exist_ok=True)
    rows = []
    for receipt in range(300):
        who, day = f"P{rng.randrange(40):03}", f"{1 + receipt % 28}.{1 + receipt % 12}.2024"
        rows += [(receipt, who, f"T-{rng.randrange(30)}", day, rng.choice([1, 1, 2])) for _ in range(3)]
    pl.DataFrame(rows, schema=list(header), orient="row").write_csv(folder / "bons.csv", separator=";")
    things = [(f"T-{n}", f"Thing number {n} in red", n * 1.5) for n in range(30)]
    pl.DataFrame(things, schema=["code", "label", "preis"], orient="row").write_csv(folder / "stamm.csv")


def test_names_that_say_nothing_leave_the_values_to_speak(tmp_path):
    shop(tmp_path, header=("a1", "a2", "a3", "a4", "a5"))
    found = propose(tmp_path)
    fields = {(guess.table, guess.field): guess.column for guess in found.guesses}
    assert fields["events", "item"] == "a3"
    assert fields["events", "time"] == "a4"
    assert fields["items", "item"] == "code"
    assert fields["items", "title"] == "label"
    why = next(guess.reasons for guess in found.guesses if (guess.table, guess.field) == ("events", "item"))
    assert why == ("its values are the key of a table of things",)


def test_words_of_several_languages_tell_the_user_from_the_receipt(tmp_path):
    shop(tmp_path, header=("rechnung", "kunde", "artikel", "datum", "anzahl"))
    found = propose(tmp_path)
    assert found.mapping == {
        "events": "bons.csv",
        "events.user": "kunde",
        "events.item": "artikel",
        "events.time": "datum",
        "events.value": "anzahl",
        "items": "stamm.csv",
        "items.item": "code",
        "items.title": "label",
    }
    assert all(0.5 < guess.confidence < 1 for guess in found.guesses)
    assert "columns of events not used: rechnung" in found.notes


def test_a_single_file_and_months_of_one_table(tmp_path):
    for month in ("2024-01", "2024-02"):
        (tmp_path / f"sales-{month}.csv").write_text(
            "client,sku,at\n" + f"u,a,{month}-03\nv,b,{month}-04\n" * 9
        )
    assert propose(tmp_path).tables == {"events": ("sales-2024-01.csv", "sales-2024-02.csv")}
    assert propose(tmp_path / "sales-2024-01.csv").mapping == {
        "events.user": "client",
        "events.item": "sku",
        "events.time": "at",
    }


def test_what_is_not_there_is_said_not_made_up(tmp_path):
    pl.DataFrame({"sku": range(50), "label": [f"a thing {n}" for n in range(50)]}).write_csv(
        tmp_path / "a.csv"
    )
    found = propose(tmp_path)
    assert found.missing
    assert not found.tables
    (tmp_path / "b.csv").write_text("")
    (tmp_path / "a.csv").unlink()
    with pytest.raises(
        DataError, match=r"nothing that can be read \(not used: .*b\.csv: the file is empty"
    ):
        propose(tmp_path)


@pytest.mark.parametrize("name", ["kg_movielens", "movie_plots", "goodbooks_items", "epinions_trust"])
def test_real_sets_without_events(shared_data, name):
    assert propose(shared_data / name).missing
