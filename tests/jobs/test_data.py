"""`polyscene data`: what is known, fetched, and odd; and every real data set at hand can be checked."""

import polars as pl
import pytest

from polyscene.core.errors import DataError
from polyscene.dataset.reading import Reading
from polyscene.jobs.data import check_source, list_sets

FOLDERS = {
    "amazon_beauty": (198_502, 22_363, 12_101, False),
    "bing_news_sample": (10_863, 469, 9_075, False),
    "citeulike_a": (204_986, 5_551, 16_980, False),
    "filmtrust": (35_497, 1_508, 2_071, False),
    "frappe_context": (17_421, 757, 2_009, False),
    "groceries": (43_367, 9_835, 169, False),
    "hackernews": (52_460, 23_230, 969, False),
    "lastfm_hetrec": (92_834, 1_892, 17_632, False),
    "movielens_latest_small": (100_836, 610, 9_724, True),
    "retailrocket_dense": (92_487, 3_431, 8_885, False),
}
MAPPED = {
    "steam_200k": ({"events": "purchases"}, (129_511, 12_393, 5_155, False)),
    "ctr_samples": (
        {"events": "kuairand_200", "scenario": "tab", "value": "is_click"},
        (200, 145, 29, False),
    ),
    "open_bandit_small": ({"user": "user_feature_0", "value": "click"}, (None, None, 80, True)),
    "amazon_office_2018": ({"events": "next_item_rows"}, (9_732, 3_231, None, False)),
}


def facts(check):
    return check.events, check.users, check.items, check.clock


@pytest.mark.parametrize("name", FOLDERS)
def test_real_folders_are_understood_without_help(shared_data, name):
    check = check_source(shared_data / name)
    assert facts(check) == FOLDERS[name]
    for report in check.tables.values():
        assert report.rows_in == report.rows_out + sum(report.removed.values())


@pytest.mark.parametrize("name", MAPPED)
def test_real_folders_with_a_mapping(shared_data, name):
    mapping, expected = MAPPED[name]
    check = check_source(shared_data / name, Reading(mapping))
    for found, wanted in zip(facts(check), expected, strict=True):
        assert wanted in (None, found)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        (
            "steam_200k",
            "2 files could hold the events: play_hours.parquet, purchases.parquet.*--map events=.*@file",
        ),
        ("open_bandit_small", "no column for the user of the events; found policy, campaign"),
        ("kg_movielens", "no table of events; .*found kg_links.parquet, kg_triples.parquet"),
    ],
)
def test_real_folders_that_need_a_word(shared_data, name, message):
    with pytest.raises(DataError, match=f"(?s){message}"):
        check_source(shared_data / name)


def test_what_is_odd_is_told(tmp_path):
    rows = [(u, f"i{n}", n % 2) for u in range(4) for n in range(2)] + [(0, "i0", 1)]
    pl.DataFrame(rows, schema=["user", "item", "click"], orient="row").write_csv(tmp_path / "events.csv")
    pl.DataFrame({"item": ["i0"], "price": [1.0]}).write_csv(tmp_path / "items.csv")
    check = check_source(tmp_path, quarantine=tmp_path / "q.jsonl")
    assert facts(check) == (9, 4, 2, False)
    assert check.span == ("0", "8")
    assert check.values == (0.0, 1.0)
    assert check.actions == {"interaction": 9}
    assert check.attributes == {"items": {"price": "number"}}
    assert check.quarantine == str(tmp_path / "q.jsonl")
    told = "\n".join(check.warnings)
    for words in (
        "no clock",
        "3 of 4 users have under 3 events",
        r"4 of 9 values are 0 (shown but not clicked?)",
        "1 of 9 events repeat an item",
        "4 of 9 events are on items that the items table lacks",
        "items have no title",
    ):
        assert words in told
    first = check_source(tmp_path, Reading(rules={"repeats": "first"}))
    assert "events: 1 of 9 rows removed: repeat of an earlier event on the same item" in first.warnings


def test_known_sets_are_listed_with_licence_and_state(tmp_path):
    sets = {facts.name: facts for facts in list_sets(tmp_path)}
    assert set(sets) == {"ml-1m", "ml-100k"}
    assert sets["ml-1m"].folder is None
    assert (sets["ml-1m"].events, sets["ml-1m"].users, sets["ml-1m"].items) == (1_000_209, 6_040, 3_706)
    assert "no redistribution" in sets["ml-1m"].licence
