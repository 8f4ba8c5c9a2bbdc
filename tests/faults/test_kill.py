"""Processes killed at random moments: what was acknowledged is there once, readers see old or new."""

import random
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from polyscene.artifacts.files import TEMPORARY
from polyscene.artifacts.shelf import Shelf
from polyscene.events.event import Event, ItemPut
from polyscene.events.sqlite import SqliteLog

HERE = Path(__file__).parent
ROUNDS = 8
pytestmark = pytest.mark.fault


def killed_after(chance: random.Random, script: str, *arguments: object) -> list[str]:
    """Runs a child until it said a random number of lines and a moment passed; gives all it said."""
    child = subprocess.Popen(
        [sys.executable, HERE / script, *map(str, arguments)], stdout=subprocess.PIPE, text=True, cwd=HERE
    )
    try:
        lines = [child.stdout.readline() for _ in range(chance.randrange(2, 40))]
        time.sleep(chance.random() * 0.02)
    finally:
        child.kill()
        rest, _ = child.communicate()
    assert child.returncode == -signal.SIGKILL
    said = "".join(lines) + rest
    # the last line may be torn
    return said[: said.rfind("\n") + 1].splitlines()


def test_every_acknowledged_event_is_there_once_after_kills_during_ingest(tmp_path):
    chance, path, acknowledged = random.Random(11), tmp_path / "log.db", set()
    for _ in range(ROUNDS):
        # starts a little before the last acknowledged number, so part of it is resent
        start = max(acknowledged, default=4) // 4 * 4 - 4
        _, *said = killed_after(chance, "ingest_child.py", path, start)
        acknowledged |= {int(line) for line in said}
        with SqliteLog(path) as log:
            assert log.recovery.unclean
            records = [record for _, record in log.read(limit=1_000_000)]
            positions = log.columns().position
            users = log.user_ids()
        kept = Counter(record.id for record in records if isinstance(record, Event))
        puts = Counter(record.time for record in records if isinstance(record, ItemPut))
        assert set(kept.values()) == {1}
        assert {f"e{number}" for number in acknowledged} <= set(kept)
        # an event and the put of its batch live and die together
        assert {f"e{number}" for number in puts} == {name for name in kept if name.startswith("e")}
        assert set(puts.values()) == {1}
        assert (np.diff(positions) > 0).all()
        assert len(users) == len(set(users))
    assert len(acknowledged) > ROUNDS


def test_a_resend_after_a_kill_between_commit_and_reply_gives_one_event(tmp_path):
    path = tmp_path / "log.db"
    for _ in range(2):
        child = subprocess.run([sys.executable, HERE / "reply_child.py", path], cwd=HERE, check=False)
        assert child.returncode == -signal.SIGKILL
    with SqliteLog(path) as log:
        kept = [record for _, record in log.read()]
        receipt = log.append(kept)
    assert [record.id for record in kept] == ["e1", "e2"]
    assert (receipt.accepted, receipt.duplicates, receipt.conflicts) == (0, 2, ())


def test_readers_see_the_old_bundle_or_the_new_after_kills_during_write_and_promote(tmp_path):
    chance, root, number, promoted = random.Random(12), tmp_path / "bundles", 0, []
    for _ in range(ROUNDS):
        said = [line.split() for line in killed_after(chance, "bundle_child.py", root, number)]
        promoted += [bundle for word, bundle in said if word == "promoted"]
        added = [bundle for word, bundle in said if word == "added"]
        shelf = Shelf(root)
        current = shelf.current("home")
        # the last word may not have reached us, but never did a pointer go back
        assert current is None or current >= max(promoted, default="")
        for shelved in shelf.list("home"):
            manifest, state = shelf.read("home", shelved.id)
            assert state.meta["number"] == manifest.created - 1_700_000_000_000
            assert (state.tensors["numbers"] == state.meta["number"]).all()
        ids = [shelved.id for shelved in shelf.list("home")]
        assert not [each for each in ids if each.startswith(TEMPORARY)]
        assert current is None or current in ids
        assert not added or added[-1] in ids
        number = 1 + max((shelf.read("home", each)[1].meta["number"] for each in ids), default=number)
    assert len(promoted) > ROUNDS
    before = Shelf(root).current("home")
    assert Shelf(root).roll_back("home") < before


def test_a_training_that_was_killed_comes_to_the_end_of_one_that_was_not(tmp_path):
    killed_after(random.Random(13), "training_child.py", tmp_path)
    assert not (tmp_path / "broken.safetensors").exists()
    command = [sys.executable, HERE / "training_child.py", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=HERE)
    assert done.returncode == 0, done.stderr
    lines = done.stdout.splitlines()
    end = next(number for number, line in enumerate(lines) if line.startswith("warnings"))
    assert "went on from step" in lines[end]
    assert lines[-1] == "warnings"
    assert end < len(lines) - end
    broken, whole = (tmp_path / f"{name}.safetensors" for name in ("broken", "whole"))
    assert broken.read_bytes() == whole.read_bytes()
    assert not list(tmp_path.rglob(f"{TEMPORARY}*"))
