"""Files into the log: by content, so a source may grow and come again."""

import io
import json
import shlex
import sys

import polars as pl
import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import ConfigError, DataError
from polyscene.dataset.load import tables_from_frames
from polyscene.dataset.prepare.job import PrepareRequest, prepare
from polyscene.dataset.reading import Reading, read_reading, rules_from_texts
from polyscene.jobs.infer import infer_source, mapping_file
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


def test_lines_from_standard_input(space, tmp_path, monkeypatch):
    lines = "".join(json.dumps(row) + "\n" for row in ROWS).encode()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(lines)))
    assert ingest(space, "-", {}, silent).accepted == len(ROWS)
    assert ingest(space, write(tmp_path / "raw", ROWS), {}, silent).accepted == 0
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"")))
    with pytest.raises(DataError, match="standard input is empty"):
        ingest(space, "-", {}, silent)


def test_edges_come_along_and_once(space, tmp_path):
    source = write(tmp_path / "raw", ROWS)
    pl.DataFrame({"source": ["u0", "u1"], "target": ["u1", "u2"]}).write_csv(tmp_path / "raw" / "edges.csv")
    assert ingest(space, source, {}, silent).accepted == len(ROWS) + 2
    assert ingest(space, source, {}, silent).duplicates == len(ROWS) + 2
    with space.reader() as log:
        assert [(edge.source, edge.relation, edge.target) for edge in log.edges()] == [
            ("u0", "linked", "u1"),
            ("u1", "linked", "u2"),
        ]


def odd(folder):
    """Forty visits of a shop whose file and columns have names of their own."""
    folder.mkdir()
    rows = [(f"K{n % 10}", f"A-{n % 7}", f"2024-01-{1 + n % 28:02}") for n in range(40)]
    frame = pl.DataFrame(rows, schema=["kundennummer", "artikelnummer", "kaufdatum"], orient="row")
    frame.write_csv(folder / "kassenbons.csv", separator=";")
    return str(folder)


def test_unknown_names_are_proposed_not_guessed(space, tmp_path):
    source = odd(tmp_path / "raw")
    with pytest.raises(DataError) as refused:
        ingest(space, source, {}, silent)
    text = str(refused.value)
    assert "events.item = artikelnummer (" in text
    command = text[text.index("polyscene ingest") :]
    words = shlex.split(command.replace("\\\n", " "))
    assert words[:3] == ["polyscene", "ingest", source]
    mapping = dict(word.split("=", 1) for word in words[3:] if word != "--map")
    assert ingest(space, source, mapping, silent).accepted == 40
    inferred = ingest(space, source, {}, silent, infer=True)
    assert (inferred.accepted, inferred.duplicates) == (0, 40)
    assert "events.user is taken from kundennummer: inferred" in inferred.notes


def test_a_doubtful_proposal_is_not_followed(space, tmp_path):
    rows = [(n * 7 % 11, n * 5 % 13) for n in range(40)]
    pl.DataFrame(rows, schema=["c1", "c2"], orient="row").write_csv(tmp_path / "events.csv")
    with pytest.raises(DataError, match="Check first: c1 as user is a guess only"):
        ingest(space, str(tmp_path), {}, silent, infer=True)
    with space.log() as log:
        assert log.position == 0


def test_a_mapping_file_says_names_and_rules(space, tmp_path):
    source = odd(tmp_path / "raw")
    proposal = infer_source(source)
    path = tmp_path / "mapping.toml"
    path.write_text(mapping_file(proposal), encoding="utf-8")
    assert read_reading(path).mapping == proposal.mapping
    path.write_text(path.read_text() + '\n[rules]\nmend_items = ["marks"]\nrepeats = "first"\n')
    report = ingest(space, source, read_reading(path), silent)
    assert report.tables["events"].changed == {"item: mended (marks)": 40}
    with space.reader() as log:
        assert log.item_ids()[:2] == ["A0", "A1"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[event]\nuser = 'u'", r"unknown section \[event\]; did you mean 'events'\?"),
        ("[events]\nuser = 3", r"\[events\] user: got 3, expected a text in quotes"),
        ("[rules]\nrepeat = 'first'", r"unknown key 'repeat'; did you mean 'repeats'\?"),
        ("[rules]\nmend_items = ['caps']", "Invalid enum value 'caps'"),
        ("x", "can't be read as TOML"),
    ],
)
def test_mapping_files_that_can_not_be_read(tmp_path, text, message):
    (tmp_path / "m.toml").write_text(text)
    with pytest.raises(ConfigError, match=message):
        read_reading(tmp_path / "m.toml")


def test_rules_are_read_from_a_command_line():
    texts = {
        "repeats": "first",
        "scale": "1,5",
        "mend_items": "case,zeros",
        "bot_per_day": "null",
        "min_user": "2",
    }
    rules = Reading(rules=rules_from_texts(texts)).cleaning()
    assert (rules.repeats, rules.scale, rules.min_user) == ("first", (1.0, 5.0), 2)
    assert (rules.mend_items, rules.bot_per_day) == (("case", "zeros"), None)


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


def test_a_prepared_folder_says_what_its_source_says(space, tmp_path):
    source = write(tmp_path / "raw", ROWS)
    pl.DataFrame({"item": ["i1", "new"], "title": ["One", "New"]}).write_csv(tmp_path / "raw" / "items.csv")
    prepare(PrepareRequest(source=source, folder=tmp_path / "out"))
    first = ingest(space, str(tmp_path / "out"), {}, silent)
    assert (first.accepted, first.tables["events"].rows_in) == (len(ROWS) + 2, len(ROWS))
    again = ingest(space, source, {}, silent)
    assert (again.accepted, again.duplicates) == (0, len(ROWS) + 2)
