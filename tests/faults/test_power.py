"""Power cuts, replayed from the trace of all writes and syncs: nothing acknowledged is ever lost."""

import random
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from polyscene.events.event import Event, ItemPut
from polyscene.events.sqlite import SqliteLog

HERE = Path(__file__).parent
SECTOR = 512
pytestmark = pytest.mark.fault


@dataclass(frozen=True)
class Act:
    """A line of the trace: w(rite), t(runcate), r(ename), u(nlink), s(ync)."""

    kind: str
    name: str
    other: str
    at: int
    data: bytes


def read_trace(path):
    acts, raw, at = [], path.read_bytes(), 0
    while at < len(raw):
        end = raw.index(b"\n", at)
        kind, name, other, place, size = raw[at:end].decode().split("\t")
        length = int(size) if kind == "w" else 0
        acts.append(Act(kind, name, other, int(place), raw[end + 1 : end + 1 + length]))
        at = end + 1 + length
    return acts


@dataclass
class Disk:
    """What a disk holds for sure, and what it was only told; names count as changes of the folder."""

    files: dict[str, bytearray] = field(default_factory=dict)
    told: list[Act] = field(default_factory=list)
    acknowledged: int = 0

    def take(self, act):
        if act.name == "acknowledged":
            self.acknowledged = int(act.data)
        elif act.kind == "s":
            folder = act.name == "."
            mine = [each for each in self.told if (each.kind in "ru" if folder else each.name == act.name)]
            self.told = [each for each in self.told if each not in mine]
            for each in mine:
                self.do(self.files, each)
        elif not act.name.endswith(("-shm", ".lock", ".lock-journal")):
            self.told.append(act)

    @staticmethod
    def do(files, act):
        if act.kind == "r":
            if act.name in files:
                files[act.other] = files.pop(act.name)
        elif act.kind == "u":
            files.pop(act.name, None)
        elif act.kind == "t":
            held = files.setdefault(act.name, bytearray())
            del held[act.at :]
            held.extend(bytes(act.at - len(held)))
        else:
            held = files.setdefault(act.name, bytearray())
            held.extend(bytes(max(act.at - len(held), 0)))
            held[act.at : act.at + len(act.data)] = act.data

    def cut(self, chance, share):
        """The files after the power went: of what was told only, a share has arrived, some of it torn."""
        files = {name: bytearray(held) for name, held in self.files.items()}
        for act in self.told:
            if chance.random() < share:
                torn = act.kind == "w" and share < 1 and chance.random() < 0.3
                length = chance.randrange(0, len(act.data) + 1, SECTOR) if torn else len(act.data)
                self.do(files, Act(act.kind, act.name, act.other, act.at, act.data[:length]))
        return files


def test_a_power_cut_at_every_sync_leaves_a_head_of_the_log_with_all_that_was_acknowledged(tmp_path, shim):
    folder = tmp_path / "traced"
    folder.mkdir()
    command = [sys.executable, HERE / "power_child.py", folder]
    subprocess.run(command, check=True, env=shim(folder, trace=tmp_path / "trace"), timeout=60)
    acts = read_trace(tmp_path / "trace")
    assert sum(act.kind == "s" for act in acts) > 50
    chance, disk, ahead = random.Random(17), Disk(), []
    for act in acts:
        if act.kind == "s":
            # just before a sync most is at stake: nothing, some or all of what was not synced has arrived
            files = disk.cut(chance, chance.choice([0, 0.5, 1]))
            ahead.append(check(tmp_path / f"cut{len(ahead)}", files, disk.acknowledged))
        disk.take(act)
    assert disk.acknowledged == 64
    assert check(tmp_path / "end", disk.cut(chance, 0), 64) == 0
    # some cuts lost what nobody was promised, some kept more than was promised
    assert set(ahead) == {0, 2}


def check(folder, files, acknowledged):
    """Opens what a cut left; gives how many records are there beyond those acknowledged."""
    folder.mkdir()
    for name, held in files.items():
        (folder / name).write_bytes(held)
    if "log.db" not in files:
        assert acknowledged == 0
        return 0
    with SqliteLog(folder / "log.db") as log:
        records = [record for _, record in log.read()]
        position = log.position
        assert log.user_ids() == [f"u{n}" for n in range(min(position // 2, 3))]
    whole = [
        record
        for n in range(32)
        for record in (
            Event(id=f"e{n}", user=f"u{n % 3}", item=f"i{n % 5}", time=n),
            ItemPut(id="i", time=n),
        )
    ]
    assert records == whole[: len(records)]
    assert position == len(records)
    assert position % 2 == 0
    assert position >= acknowledged
    return position - acknowledged
