"""A backup is whole or refused, and what is restored answers as the workspace did."""

import json
import shutil

import pytest

from polyscene.core.errors import BundleError, ConfigError, NotFoundError, StoreError
from polyscene.events.event import Event
from polyscene.jobs.backup import MANIFEST, backup, log_file, restore, verify
from polyscene.jobs.engine import Engine
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.ask import Ask
from polyscene.testing.service import tiny_workspace


@pytest.fixture(scope="module")
def fitted(tmp_path_factory):
    root = tmp_path_factory.mktemp("space") / "w"
    tiny_workspace(root)
    (root / "quarantine").mkdir(exist_ok=True)
    (root / "quarantine" / "x.jsonl").write_text("{}\n")
    return root


@pytest.fixture
def kept(fitted, tmp_path):
    with Workspace.open(fitted).log() as log:
        log.append([Event(id="while open", user="u1", item="i1", time=1)])
        return backup(Workspace.open(fitted), tmp_path / "deep" / "kept").folder


def test_a_restored_workspace_is_the_one_that_was_backed_up(fitted, kept, tmp_path):
    root = tmp_path / "again"
    root.mkdir()
    manifest = restore(kept, root)
    old, new = Workspace.open(fitted), Workspace.open(root)
    with old.reader() as before, new.log() as after:
        assert manifest.position == before.position == after.position
        assert after.recovery.checked == "seal"
        assert after.read(limit=10_000) == before.read(limit=10_000)
    assert (root / "quarantine" / "x.jsonl").read_text() == "{}\n"
    assert [new.shelf().current(name) for name in ("home", "next", "popular")] == [
        old.shelf().current(name) for name in ("home", "next", "popular")
    ]
    assert not (root / MANIFEST).exists()
    slates = []
    for space in (fitted, root):
        shutil.copytree(space, tmp_path / f"copy of {space.name}")
        engine = Engine.open(tmp_path / f"copy of {space.name}")
        slates.append(engine.answers.recommend(Ask(scenario="next", user="u3", request_id="r")).items)
        engine.close()
    assert slates[0] == slates[1]


@pytest.mark.parametrize("harm", ["flip", "truncate", "remove"])
@pytest.mark.parametrize("name", ["events.db", "polyscene.toml", "scenarios/home.toml", "bundles"])
def test_a_damaged_backup_is_refused_by_file(kept, tmp_path, harm, name):
    path = kept / name
    if path.is_dir():
        path = min(each for each in path.rglob("*") if each.is_file())
    if harm == "remove":
        path.unlink()
    else:
        raw = bytearray(path.read_bytes())
        raw[len(raw) // 2] ^= 1
        path.write_bytes(raw if harm == "flip" else raw[:-1])
    with pytest.raises(BundleError, match=rf"{path.name}: gone, or not as it was backed up"):
        restore(kept, tmp_path / "again")
    assert not (tmp_path / "again").exists()


def test_a_backup_can_only_name_files_inside_itself(kept, tmp_path):
    manifest = json.loads((kept / MANIFEST).read_text())
    for name in ("../outside", "/etc/hosts", "a/../../outside", "a\\..\\b", ""):
        files = {**manifest["files"], name: {"size": 0, "sha256": "x"}}
        (kept / MANIFEST).write_text(json.dumps({**manifest, "files": files}))
        with pytest.raises(BundleError, match="leads out of the folder"):
            restore(kept, tmp_path / "again")
    for text, problem in (
        ("{", "can't be read"),
        (json.dumps({**manifest, "format": 2}), "format 2 is newer"),
    ):
        (kept / MANIFEST).write_text(text)
        with pytest.raises(BundleError, match=problem):
            verify(kept)
    with pytest.raises(NotFoundError, match=r"no backup: backup\.json is missing"):
        verify(tmp_path)


def test_nothing_is_overwritten(fitted, kept, tmp_path):
    with pytest.raises(StoreError, match="there is something already; give the name of a new folder"):
        backup(Workspace.open(fitted), kept)
    with pytest.raises(StoreError, match="there is something already; restore into a new folder"):
        restore(kept, fitted)


def test_a_link_is_left_out_and_said(fitted, tmp_path):
    shutil.copytree(fitted, tmp_path / "w")
    (tmp_path / "w" / "scenarios" / "note.txt").symlink_to("/etc/hosts")
    done = backup(Workspace.open(tmp_path / "w"), tmp_path / "kept")
    assert done.notes == ("not in the backup, since it is a link: scenarios/note.txt",)
    assert "scenarios/note.txt" not in done.manifest.files


def test_a_log_elsewhere_or_nowhere_is_told_apart(tmp_path):
    space = Workspace.create(tmp_path / "w")
    with pytest.raises(NotFoundError, match="its log is empty"):
        log_file(space)
    assert backup(space, tmp_path / "kept").manifest.position is None
    (tmp_path / "w" / "polyscene.toml").write_text('[store]\nkind = "postgres"\n')
    space = Workspace.open(tmp_path / "w")
    with pytest.raises(ConfigError, match="its log is in PostgreSQL; use pg_dump"):
        log_file(space)
    assert "keep a pg_dump beside it" in backup(space, tmp_path / "more").notes[0]
