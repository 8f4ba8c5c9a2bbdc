"""Copy, check, save, upgrade, export, back up and restore, as an operator types it."""

import json
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from typer.testing import CliRunner

from polyscene.cli.main import app
from polyscene.core.errors import StoreError
from polyscene.events.event import Event, ItemPut
from polyscene.events.sqlite import SqliteLog
from polyscene.jobs.workspace import Workspace


@pytest.fixture
def root(tmp_path):
    with Workspace.create(tmp_path / "w").log() as log:
        log.append(
            [ItemPut(id="i", time=1), *(Event(id=f"e{n}", user="u", item="i", time=n) for n in range(9))]
        )
    return tmp_path / "w"


def run(*words: object, code: int = 0) -> str:
    done = CliRunner().invoke(app, [str(word) for word in words])
    assert done.exit_code == code, done.output
    return done.output


def test_a_log_is_checked_copied_and_saved(root, tmp_path):
    assert "every row is as it was written" in run("log", "check", "-w", root)
    copied = json.loads(run("log", "backup", tmp_path / "copy.db", "-w", root, "--json"))
    assert (copied["position"], Path(copied["path"]).name) == (10, "copy.db")
    with closing(sqlite3.connect(root / "events.db")) as connection:
        connection.execute("UPDATE events SET value = 5 WHERE id = 'e3'")
        connection.commit()
    assert "the event at position 5 is not the one that was written" in run(
        "log", "check", "-w", root, code=1
    )
    saved = json.loads(run("log", "repair", tmp_path / "saved.db", "-w", root, "--json"))
    assert (saved["events"], saved["puts"], saved["lost_rows"]) == (8, 1, 1)
    with SqliteLog(tmp_path / "saved.db") as log:
        assert [record.id for _, record in log.read()] == ["i", *(f"e{n}" for n in range(9) if n != 3)]


def test_a_log_goes_to_an_older_format_and_on(root):
    assert json.loads(run("log", "migrate", "--to", 1, "-w", root, "--json"))["after"] == 1
    assert (root / "events.db.format2").is_file()
    with pytest.raises(StoreError, match="format 1 is older than 2; upgrade it with"):
        Workspace.open(root).reader()
    assert "events.db.format1" in run("log", "migrate", "-w", root).replace("\n", "").replace(" ", "")
    with Workspace.open(root).reader() as log:
        assert log.position == 10


def test_a_log_is_exported_and_a_workspace_backed_up_and_restored(root, tmp_path):
    assert json.loads(run("log", "export", tmp_path / "out", "-w", root, "--json"))["rows"]["events"] == 9
    assert "last record" in run("backup", tmp_path / "kept", "-w", root)
    assert "last record" in run("restore", tmp_path / "kept", "-w", tmp_path / "again")
    with Workspace.open(tmp_path / "again").reader() as log:
        assert log.position == 10
