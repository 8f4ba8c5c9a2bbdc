"""Files into the log: by content, so a source may grow and come again."""

import polars as pl
import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import DataError
from polyscene.dataset.load import tables_from_frames
from polyscene.jobs.ingest import content_keys, ingest
from polyscene.jobs.workspace import Workspace

ROWS = [
    {
        "user": f"u{user}",
        "item": f"i{(user + step) % 5}",
        "time": 1_700_000_000 + 60 * user + step,
        "rating": 3.0,
    }
    for user in range(8)
    for step in range(3)
]


@pytest.fixture
def space(tmp_path):
    return Workspace.create(tmp_path / "space")


PINNED = 7019628622446620385
"""Key of the first row of `ROWS`."""


def write(folder, rows):
    folder.mkdir(exist_ok=True)
    pl.DataFrame(rows).write_csv(folder / "events.csv")
    return str(folder)


def test_a_grown_file_adds_its_new_rows_only(space, tmp_path):
    assert ingest(space, write(tmp_path / "raw", ROWS[:20]), {}, silent).accepted == 20
    grown = ingest(space, write(tmp_path / "raw", [ROWS[23], *ROWS]), {}, silent)
    assert (grown.accepted, grown.duplicates) == (4, 20)
    moved = ingest(space, write(tmp_path / "elsewhere", ROWS), {}, silent)
    assert (moved.accepted, moved.duplicates) == (0, 24)


def test_what_cleaning_took_out_is_told_and_kept(space, tmp_path):
    report = ingest(space, write(tmp_path / "raw", [*ROWS, {**ROWS[0], "item": None}]), {}, silent)
    table = report.tables["events"]
    assert (table.rows_in, table.rows_out, report.accepted) == (25, 24, 24)
    lines = dict(report.rows())
    assert lines["log: added"] == 24
    assert "removed rows are in" in lines
    quarantined = (space.root / "quarantine").glob("*.jsonl")
    assert sum(len(path.read_text().splitlines()) for path in quarantined) == 1


def test_a_source_that_can_not_be_read_leaves_the_log_as_it_was(space, tmp_path):
    with pytest.raises(DataError):
        ingest(space, str(tmp_path / "nothing"), {}, silent)
    with space.log() as log:
        assert log.position == 0


def test_keys_tell_what_differs_and_only_that():
    frame = pl.DataFrame(ROWS)
    keys = content_keys(tables_from_frames(frame).events)
    assert len(set(keys.tolist())) == len(ROWS)
    assert (keys >= 0).all()
    backwards = content_keys(tables_from_frames(frame.reverse()).events)
    assert sorted(backwards.tolist()) == sorted(keys.tolist())
    louder = tables_from_frames(frame.with_columns(pl.lit(4.0).alias("rating")))
    assert not set(content_keys(louder.events).tolist()) & set(keys.tolist())
    # Pinned: a key that changes between versions would import every file twice.
    first = keys[
        frame.with_row_index().filter((pl.col("user") == "u0") & (pl.col("item") == "i0"))["index"][0]
    ]
    assert int(first) == PINNED
