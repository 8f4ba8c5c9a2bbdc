"""What is prepared on disk is what is encoded in memory, whatever the source, and after a kill too."""

import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.errors import (
    BundleError,
    DataError,
    InputError,
    StoreError,
)
from polyscene.dataset.clean import EVALUATION, CleaningRules
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.prepare.job import PrepareRequest, prepare
from polyscene.dataset.prepare.prepared import Manifest, event_pieces, open_prepared
from polyscene.dataset.prepare.work import Work

DAY = 86_400
T = 1_600_000_000


def twins(
    source: Path, folder: Path, rules: CleaningRules, *, only_touched: bool = False, **mapping: str
) -> Manifest:
    """Prepares and encodes, and holds one to the other."""
    tables = load_tables(source, rules=rules, mapping=mapping)
    expected = encode(tables, only_touched=only_touched)
    manifest = prepare(
        PrepareRequest(
            source=str(source),
            folder=folder,
            rules=rules,
            mapping=mapping,
            only_touched=only_touched,
            memory_mb=1,
        )
    )
    found = open_prepared(folder, verify=True)
    assert found.users.ids == expected.users.ids
    assert found.items.ids == expected.items.ids
    ours, theirs = found.data, expected.data
    assert ours.histories.offsets.tolist() == theirs.histories.offsets.tolist()
    for name, column in theirs.histories.columns.items():
        assert ours.histories[name].dtype == column.dtype
        np.testing.assert_array_equal(ours.histories[name], column, err_msg=name)
    for name in ("users",):
        np.testing.assert_array_equal(getattr(ours, name), getattr(theirs, name))
    assert (ours.at, ours.clock, ours.actions, ours.scenarios) == (
        theirs.at, theirs.clock, theirs.actions, theirs.scenarios,
    )  # fmt: skip
    np.testing.assert_array_equal(ours.catalogue.put_at, theirs.catalogue.put_at)
    assert list(ours.catalogue.columns) == list(theirs.catalogue.columns)
    assert manifest.tables == dict(tables.report.tables)
    assert sorted(manifest.notes) == sorted(tables.report.notes)
    return manifest


def written(folder: Path, frame: pl.DataFrame, ending: str, name: str = "events") -> None:
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / f"{name}.{ending}"
    {"csv": frame.write_csv, "jsonl": frame.write_ndjson, "parquet": frame.write_parquet}[ending](path)


def messy(rows: int, seed: int = 0) -> pl.DataFrame:
    """Events with every kind of fault, in the order of nothing."""
    rng = np.random.default_rng(seed)
    times = T + rng.integers(0, 3 * DAY, rows)
    users = np.where(
        rng.random(rows) < 0.1, "bot", np.char.add("u", rng.integers(0, rows // 20, rows).astype(str))
    )
    frame = pl.DataFrame(
        {
            "user": users,
            "item": np.char.add("i", rng.integers(0, 60, rows).astype(str)),
            "action": rng.choice(["view", "buy", " view "], rows),
            "rating": rng.choice(
                ["1", "4.5", "5", "", "x", "900"], rows, p=[0.5, 0.3, 0.19, 0.004, 0.003, 0.003]
            ),
            "timestamp": [str(each) for each in times],
        }
    )
    odd = pl.Series(rng.random(rows) < 0.01)
    frame = frame.with_columns(
        user=pl.when(odd).then(pl.lit(" u1 ")).otherwise("user"),
        item=pl.when(odd.shift(1, fill_value=False)).then(pl.lit("")).otherwise("item"),
        timestamp=pl.when(odd.shift(2, fill_value=False)).then(pl.lit("5")).otherwise("timestamp"),
    )
    return pl.concat([frame, frame.sample(rows // 10, seed=seed)])


@pytest.mark.parametrize("ending", ["csv", "jsonl", "parquet"])
@pytest.mark.parametrize(
    "rules", [CleaningRules(), EVALUATION, CleaningRules(bot_per_day=30, repeats="last")]
)
def test_messy_sources_come_out_as_in_memory(tmp_path, ending, rules):
    written(tmp_path / "raw", messy(4_000), ending)
    items = pl.DataFrame({"item": ["i1", "i2", "never seen"], "genre": ["a", "b", "a"]})
    written(tmp_path / "raw", items, ending, "items")
    only_touched = rules is EVALUATION
    manifest = twins(tmp_path / "raw", tmp_path / "out", rules, only_touched=only_touched)
    assert len(manifest.tables["events"].removed) >= 4
    assert ("never seen" in open_prepared(tmp_path / "out").items) is not only_touched


def test_parts_of_several_files_and_types_are_one_table(tmp_path):
    raw = messy(2_000)
    for number, part in enumerate(raw.iter_slices(700)):
        written(tmp_path / "raw", part, "csv", f"events-{number}")
    twins(tmp_path / "raw", tmp_path / "out", CleaningRules())


IDS = st.text(st.sampled_from("aBé 1"), max_size=3)


@settings(max_examples=30, deadline=None)
@given(
    rows=st.lists(
        st.tuples(
            IDS, IDS, st.sampled_from(["", "1", "0.5", "x"]), st.sampled_from([None, T, T + 1, T * 1000, 3])
        ),
        min_size=1,
        max_size=25,
    ),
    ending=st.sampled_from(["csv", "parquet"]),
    repeats=st.sampled_from(["all", "first", "last"]),
)
def test_any_table_comes_out_as_in_memory_or_is_refused_alike(tmp_path_factory, rows, ending, repeats):
    folder = tmp_path_factory.mktemp("any")
    frame = pl.DataFrame(rows, schema=["user", "item", "rating", "time"], orient="row")
    written(folder / "raw", frame, ending)
    rules = CleaningRules(repeats=repeats, latest=T * 2000)
    refusal = refused(lambda: load_tables(folder / "raw", rules=rules))
    if refusal:
        request = PrepareRequest(source=str(folder / "raw"), folder=folder / "out", rules=rules)
        assert refused(lambda: prepare(request)) == refusal
    else:
        twins(folder / "raw", folder / "out", rules)


def refused(call: Callable[[], object]) -> str:
    try:
        call()
    except DataError as problem:
        return str(problem)
    return ""


def test_movielens_comes_out_as_in_memory(tmp_path, ml_1m_tables):
    expected = encode(ml_1m_tables)
    prepare(PrepareRequest(source="ml-1m", folder=tmp_path / "out", memory_mb=256))
    found = open_prepared(tmp_path / "out")
    assert found.users.digest() == expected.users.digest()
    for name, column in expected.data.histories.columns.items():
        np.testing.assert_array_equal(found.data.histories[name], column)


def test_what_only_the_end_tells_makes_it_read_again(tmp_path):
    """The first pieces hold positions, most of the rest seconds: the unit is told by all."""
    rows = [f"u{n % 7},i{n % 5},{n}" for n in range(1_500)]
    rows += [f"u{n % 7},i{n % 5},{T + n}" for n in range(9_000)]
    (tmp_path / "events.csv").write_text("user,item,time\n" + "\n".join(rows))
    manifest = twins(tmp_path / "events.csv", tmp_path / "out", CleaningRules(near_ms=0))
    assert manifest.clock
    assert manifest.events == 9_000


def test_a_broken_line_costs_only_itself(tmp_path):
    rows = [f'u{n % 7},"i\n{n % 5}",{T + n}' for n in range(9_000)]
    rows[4_000] = "one,two,3,4,5"
    (tmp_path / "events.csv").write_text(
        "user,item,time\n" + "\n".join(row.replace("\n", "") for row in rows)
    )
    manifest = twins(tmp_path / "events.csv", tmp_path / "out", CleaningRules(near_ms=0))
    assert manifest.tables["events"].removed == {"line can't be read": 1}


CHILD = """
import sys
from pathlib import Path
from polyscene.dataset.prepare.job import PrepareRequest, prepare
print(prepare(PrepareRequest(source=sys.argv[1], folder=Path(sys.argv[2]), memory_mb=1)).digest)
"""


@pytest.mark.fault
def test_killed_in_the_middle_it_goes_on_to_the_same_digest(tmp_path):
    written(tmp_path / "raw", messy(8_000), "csv")
    whole = prepare(PrepareRequest(source=str(tmp_path / "raw"), folder=tmp_path / "whole", memory_mb=1))
    command = [sys.executable, "-c", CHILD, str(tmp_path / "raw"), str(tmp_path / "out")]
    work = tmp_path / ".tmp-out"
    child = subprocess.Popen(command, stdout=subprocess.PIPE)
    while len(list(work.glob("*.json"))) < 5 and child.poll() is None:
        time.sleep(0.001)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert child.returncode == -signal.SIGKILL
    assert not (tmp_path / "out").exists()
    kept = {path: path.stat().st_mtime_ns for path in work.glob("*.json")}
    assert len(kept) >= 5
    again = subprocess.run([*command], capture_output=True, check=True, text=True)
    assert again.stdout.split() == [whole.digest]
    assert not work.exists()


@pytest.mark.fault
def test_units_are_kept_over_a_kill_and_forgotten_for_another_question(tmp_path):
    written(tmp_path / "raw", messy(1_000), "csv")
    work = Work(tmp_path / "work", "one")
    with pytest.raises(StoreError, match="another process"):
        Work(tmp_path / "work", "one")
    (tmp_path / "work" / "range-000").write_bytes(b"left")
    work.close()
    Work(tmp_path / "work", "one").close()
    assert (tmp_path / "work" / "range-000").exists()
    Work(tmp_path / "work", "two").close()
    assert not (tmp_path / "work" / "range-000").exists()


def test_preparing_again_replaces_and_other_folders_are_left_alone(tmp_path):
    written(tmp_path / "raw", messy(500), "csv")
    request = PrepareRequest(source=str(tmp_path / "raw"), folder=tmp_path / "out")
    first = prepare(request)
    early = open_prepared(tmp_path / "out")
    written(tmp_path / "raw", messy(500, seed=1), "csv")
    assert prepare(request).digest != first.digest
    assert len(early.data.histories["item"]) == first.events
    assert sorted(path.name for path in tmp_path.iterdir()) == ["out", "raw"]
    with pytest.raises(InputError, match="holds no prepared data"):
        prepare(PrepareRequest(source=str(tmp_path / "raw"), folder=tmp_path / "raw"))


@pytest.mark.parametrize("damage", ["gone", "cut", "changed", "format", "ids"])
@pytest.mark.fault
def test_a_damaged_folder_is_refused(tmp_path, damage):
    written(tmp_path / "raw", messy(500), "csv")
    prepare(PrepareRequest(source=str(tmp_path / "raw"), folder=tmp_path / "out"))
    manifest, items = tmp_path / "out" / "prepared.json", tmp_path / "out" / "histories" / "item.bin"
    if damage == "gone":
        manifest.unlink()
    elif damage == "format":
        manifest.write_bytes(manifest.read_bytes().replace(b'"format": 1', b'"format": 9'))
    elif damage == "cut":
        items.write_bytes(items.read_bytes()[:-4])
    elif damage == "changed":
        items.write_bytes(b"\x07" + items.read_bytes()[1:])
    else:
        (tmp_path / "out" / "users.ids").unlink()
    with pytest.raises(BundleError, match=r"prepare|save|restore"):
        open_prepared(tmp_path / "out", verify=True)


def test_pieces_of_events_are_those_of_the_source(tmp_path):
    written(tmp_path / "raw", messy(900), "csv")
    prepare(PrepareRequest(source=str(tmp_path / "raw"), folder=tmp_path / "out"))
    pieces = list(event_pieces(open_prepared(tmp_path / "out"), 100))
    assert max(map(len, pieces)) == 100
    expected = load_tables(tmp_path / "raw").events.sort("user", "time", "row").drop("row")
    assert pl.concat(pieces).select(expected.columns).equals(expected)
