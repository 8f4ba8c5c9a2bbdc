"""Disks that are full, read-only or fail to sync: writes are refused, reading goes on."""

import itertools
import os
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import FullError, StoreError
from polyscene.events.event import Event
from polyscene.events.sqlite import SqliteLog
from polyscene.jobs.ingest import ingest
from polyscene.jobs.train import TrainRequest, train
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import live, tiny_workspace

HERE = Path(__file__).parent
MIB = 1 << 20
pytestmark = pytest.mark.fault


class Mount:
    """A small disk of its own."""

    def __init__(self, root):
        self.root = root
        self.filler = root / "filler"

    def fill(self):
        filler = os.open(self.filler, os.O_WRONLY | os.O_CREAT)
        try:
            with pytest.raises(OSError, match="No space left"):
                any(os.write(filler, bytes(4096)) == 0 for _ in itertools.count())
        finally:
            os.close(filler)

    def free(self):
        self.filler.unlink()

    def remount(self, mode):
        subprocess.run(["mount", "-o", f"remount,{mode}", self.root], check=True, capture_output=True)


@pytest.fixture
def disk(tmp_path):
    root = tmp_path / "disk"
    root.mkdir()
    command = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", root]
    try:
        subprocess.run(command, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no small disk can be mounted here: that takes root")
    yield Mount(root)
    subprocess.run(["umount", "--lazy", root], check=True)


def event(number, **fields):
    return Event(id=f"e{number}", user="u1", item="i1", time=1_700_000_000_000 + number, **fields)


def big(start):
    return [event(n, attributes={"text": "x" * 60_000}) for n in range(start, start + 40)]


def test_a_full_disk_refuses_writes_and_the_log_goes_on_when_there_is_space(disk):
    with SqliteLog(disk.root / "log.db") as log:
        log.append([event(1)])
        disk.fill()
        for _ in range(3):
            with pytest.raises(FullError, match=r"log\.db: nothing was kept: .*full.*it goes on by itself"):
                log.append(big(100))
            assert log.read() == [(1, event(1))]
        assert log.fault is None
        disk.free()
        assert log.append(big(100)).position == 41
        assert log.append([event(1)]).duplicates == 1
    with SqliteLog(disk.root / "log.db") as log:
        assert log.position == 41


def test_a_log_that_closes_on_a_full_disk_is_whole_at_the_next_opening(disk):
    log = SqliteLog(disk.root / "log.db")
    log.append([event(1)])
    disk.fill()
    log.close()
    disk.free()
    with SqliteLog(disk.root / "log.db") as log:
        assert log.read() == [(1, event(1))]


def test_a_read_only_disk_refuses_writes_with_the_reason(disk):
    path = disk.root / "log.db"
    with SqliteLog(path) as log:
        log.append([event(1)])
    disk.remount("ro")
    with pytest.raises(StoreError, match=r"log\.db: .*(readonly|read-only|unable to open)"):
        SqliteLog(path)
    disk.remount("rw")
    with SqliteLog(path) as log:
        assert log.append([event(2)]).position == 2


def test_a_service_on_a_full_disk_answers_507_to_writes_and_slates_to_readers(disk):
    tiny_workspace(disk.root / "w")
    ask = {"scenario": "home", "user": "u1"}
    body = {
        "events": [
            {"id": f"big{n}", "user": "u1", "item": "i1", "attributes": {"t": "x" * 4_000}}
            for n in range(60)
        ]
    }
    with live(disk.root / "w") as url, httpx.Client(base_url=url) as client:
        shown = len(client.post("/v1/recommend", json=ask).raise_for_status().json()["items"])
        disk.fill()
        reply = client.post("/v1/events", json=body)
        assert reply.status_code == 507
        assert "nothing was kept" in reply.json()["detail"]
        assert len(client.post("/v1/recommend", json=ask).raise_for_status().json()["items"]) == shown
        assert client.get("/v1/users/u1/history").status_code == 200
        disk.free()
        assert client.post("/v1/events", json=body).raise_for_status().json()["accepted"] == 60


def test_ingest_and_training_on_a_full_disk_change_nothing_and_can_be_done_again(disk, tmp_path):
    space = tiny_workspace(disk.root / "w")
    before = {name: space.shelf().current(name) for name in space.shelf().names()}
    rows = "\n".join(f"u{n % 50},i{n % 16},{1_700_000_000 + n}" for n in range(20_000))
    (tmp_path / "more.csv").write_text(f"user,item,time\n{rows}\n")
    disk.fill()
    with pytest.raises(FullError):
        ingest(space, str(tmp_path / "more.csv"), {}, silent)
    with pytest.raises(FullError):
        train(space, TrainRequest(holdout=False), silent)
    space = Workspace.open(disk.root / "w")
    assert {name: space.shelf().current(name) for name in space.shelf().names()} == before
    with space.reader() as log:
        assert log.position == 112
    disk.free()
    assert ingest(space, str(tmp_path / "more.csv"), {}, silent).accepted > 10_000
    train(space, TrainRequest(holdout=False), silent)
    assert space.shelf().current("home") != before["home"]


def test_a_failed_sync_ends_writing_until_the_log_is_opened_again(tmp_path, shim):
    command = [sys.executable, HERE / "eio_child.py", tmp_path / "log.db", tmp_path / "failing"]
    done = subprocess.run(
        command,
        check=True,
        capture_output=True,
        text=True,
        env=shim(tmp_path, eio=tmp_path / "failing"),
        timeout=60,
    )
    said = done.stdout.splitlines()
    assert said[:2] == ["kept 1", "fault False, position 1"]
    assert "disk I/O error (SQLITE_IOERR_FSYNC): the disk may have lost what it was given" in said[2]
    assert [line[:10] for line in said[2::2]] == ["refused 2:", "refused 2:", "refused 3:"]
    assert set(said[3::2]) == {"fault True, position 1"}
    with SqliteLog(tmp_path / "log.db") as log:
        assert [record.id for _, record in log.read()] == ["e1"]
        assert log.recovery.checked == "content"
        assert log.append([Event(id="e2", user="u", item="i", time=2)]).position == 2
