"""Jobs: one after another in processes of their own, told, cancelled, and found again after a restart."""

import os
import signal
import time

import pytest

from polyscene.core.clock import SystemClock
from polyscene.core.errors import ConflictError, InputError, NotFoundError
from polyscene.jobs import board as board_module
from polyscene.jobs.board import Board
from polyscene.jobs.engine import Engine
from polyscene.jobs.record import OPEN, Job, Records

EXPORT = {"scenario": "home", "k": 3}
SLOW = """
scenario = "slow"

[[stages]]
kind = "sasrec"
epochs = 1000
dim = 64
"""


def ended(board, job, seconds=240):
    """The job once it has ended, and what it left is taken over."""
    for _ in range(seconds * 20):
        found = board.get(job.id)
        if found.state not in OPEN and board._at_hand is None:
            return found
        time.sleep(0.05)
    raise AssertionError(f"still {found}")


def started(board, job, seconds=60):
    for _ in range(seconds * 20):
        if board.get(job.id).state == "running":
            return
        time.sleep(0.05)
    raise AssertionError("never started")


@pytest.fixture
def engine(copied):
    (copied.root / "scenarios" / "slow.toml").write_text(SLOW, encoding="utf-8")
    with Engine.open(copied.root) as engine:
        yield engine


def test_an_export_makes_a_file_and_its_exposures_are_logged_once(engine):
    arguments = {**EXPORT, "format": "csv", "log_exposures": True}
    job = engine.board.start("export", arguments, key="monday")
    assert (job.state, job.progress) == ("queued", 0.0)
    assert engine.board.start("export", arguments, key="monday").id == job.id
    with pytest.raises(ConflictError, match="stands for another job"):
        engine.board.start("export", EXPORT, key="monday")
    done = ended(engine.board, job)
    assert (done.state, done.progress, done.error) == ("done", 1.0, "")
    assert done.created <= done.started <= done.finished
    path, media = engine.board.output(job.id)
    assert (media, len(path.read_text().splitlines())) == ("text/csv", 1 + 24 * 3)
    again = engine.replay(f"{job.id}/3")
    assert f"u3,0,{again.items[0].id}," in path.read_text()
    failed = ended(engine.board, engine.board.start("export", {"scenario": "slow"}))
    told = "export: scenario 'slow' has no bundle; run `polyscene train slow`"
    assert (failed.state, failed.error) == ("failed", told)


def test_jobs_wait_for_each_other_and_are_cancelled_waiting_or_working(engine):
    slow = engine.board.start("train", {"scenarios": ["slow"], "holdout": False})
    behind = engine.board.start("export", EXPORT)
    last = engine.board.start("export", EXPORT)
    started(engine.board, slow)
    assert engine.board.get(behind.id).state == "queued"
    assert engine.board.cancel(last.id).state == "cancelled"
    assert engine.board.cancel(slow.id).state == "cancelled"
    assert engine.lineup.shelf.current("slow") is None
    with pytest.raises(ConflictError, match="is cancelled already"):
        engine.board.cancel(slow.id)
    assert ended(engine.board, behind).state == "done"
    with pytest.raises(NotFoundError, match="has no file"):
        engine.board.output(last.id)


def test_a_job_whose_process_died_is_told_as_interrupted(engine):
    job = engine.board.start("train", {"scenarios": ["slow"]})
    started(engine.board, job)
    os.kill(Records(engine.lineup.shelf.root.parent).worker(job.id), signal.SIGKILL)
    found = ended(engine.board, job)
    assert found.state == "failed"
    assert found.error.startswith("interrupted")


def test_a_service_that_comes_back_finds_what_works_what_died_and_what_waits(copied):
    records, clock = Records(copied.root), SystemClock()
    dead = Job(id="dead", kind="export", state="running", arguments=EXPORT, created=1, started=1)
    waits = Job(id="waits", kind="export", state="queued", arguments=EXPORT, created=2)
    for job in (dead, waits):
        records.put(job)
    with Engine.open(copied.root) as engine:
        assert engine.board.get("waits").state == "queued"  # only a service sees to it
        engine.board.begin()
        assert ended(engine.board, waits).state == "done"
        assert engine.board.get("dead").state == "failed"
        board = Board(copied.root, engine._log, clock)
        slow = board.start("export", {**EXPORT, "log_exposures": True})
        board.close()
        engine.board.begin()  # as after a restart, while the process goes on
        assert ended(engine.board, slow).state == "done"
        assert engine.trace(f"{slow.id}/0")["user"] == "u0"


@pytest.mark.parametrize(
    ("kind", "arguments", "message"),
    [
        ("trian", {}, "did you mean 'train'"),
        ("train", {"scenario": "x"}, "unknown field `scenario`"),
        ("export", {}, "missing required field `scenario`"),
        ("export", {"scenario": "home", "k": 0}, "Expected `int` >= 1"),
        ("export", {"scenario": "home", "format": "/etc/passwd"}, "Invalid enum value"),
    ],
)
def test_wrong_jobs_are_refused(engine, kind, arguments, message):
    with pytest.raises(InputError, match=message):
        engine.board.start(kind, arguments)
    assert engine.board.list()[0] == []


def test_lists_page_by_a_cursor_and_old_jobs_are_forgotten(engine, monkeypatch):
    records = Records(engine.lineup.shelf.root.parent)
    for number in range(7):
        records.put(Job(id=f"j{number}", kind="train", state="done", created=number // 2))
    first, cursor = engine.board.list(n=4)
    second, end = engine.board.list(cursor, n=4)
    assert [job.id for job in (*first, *second)] == ["j6", "j4", "j5", "j2", "j3", "j0", "j1"]
    assert end == ""
    with pytest.raises(InputError, match="send it as it came"):
        engine.board.list("nonsense")
    monkeypatch.setattr(board_module, "KEPT", 2)
    job = engine.board.start("export", EXPORT)
    assert {each.id for each in engine.board.list()[0]} == {job.id, "j6", "j4"}
    engine.board.cancel(job.id)


@pytest.mark.parametrize("name", ["../events", "a/b", "", ".", "x\x00", "never"])
def test_no_name_leads_out_of_the_folder(engine, name):
    with pytest.raises((InputError, NotFoundError)):
        engine.board.get(name)
