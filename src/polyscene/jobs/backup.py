"""A workspace into one folder, with a digest of every file, and back."""

import os
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from hashlib import file_digest
from pathlib import Path, PurePosixPath

import msgspec

from polyscene.artifacts.files import TEMPORARY, new_folder, refused, sync_folder, write_synced
from polyscene.core.clock import SystemClock
from polyscene.core.errors import BundleError, ConfigError, NotFoundError, StoreError
from polyscene.events.copying import copy_log
from polyscene.jobs.store import SqliteStore
from polyscene.jobs.workspace import Workspace

MANIFEST = "backup.json"
FORMAT = 1
TRIES = 3
"""How often copying begins anew when a bundle was collected meanwhile."""


class Kept(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of a backup."""

    size: int
    sha256: str


class Manifest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a backup holds. `created` UTC ms; `position`: of the log in it, None if the log is elsewhere."""

    format: int
    created: int
    position: int | None
    files: dict[str, Kept]


@dataclass(frozen=True, slots=True)
class BackedUp:
    """A backup, and sentences on what is not in it."""

    folder: Path
    manifest: Manifest
    notes: tuple[str, ...]


def log_file(space: Workspace) -> Path:
    """The file of the workspace's log.

    Raises:
        ConfigError: The log is in a database server, which has tools of its own for this.
        NotFoundError: Nothing was ever ingested or posted.
    """
    if not isinstance(space.store, SqliteStore):
        raise ConfigError(
            f"workspace {space.root}: its log is in PostgreSQL; use pg_dump and the server's own checks"
        )
    path = space.store.path(space.root)
    if not path.is_file():
        raise NotFoundError(
            f"workspace {space.root}: its log is empty; "
            f"fill it with `polyscene ingest SOURCE --workspace {space.root}`"
        )
    return path


def backup(space: Workspace, target: Path) -> BackedUp:
    """Log, bundles, scenarios, settings and all else of a workspace in a new folder, also while it serves.

    The log is of one moment; bundles are those on the shelf when they are reached. Everything is read
    again and compared before the folder gets its name.

    Raises:
        StoreError: Something is at `target`, or the disk refused.
    """
    if target.exists():
        raise StoreError(f"{target}: there is something already; give the name of a new folder")
    notes = []
    with refused(target, "back up"), new_folder(target.parent) as beside:
        position = None
        if not isinstance(space.store, SqliteStore):
            notes.append("the log is in PostgreSQL and not in this backup: keep a pg_dump beside it")
        elif space.store.path(space.root).is_file():
            copied = copy_log(space.store.path(space.root), space.store.path(beside))
            position = copied.position
        notes += _copy_rest(space.root, beside)
        files = {str(name): _digest(beside / name) for name in _files(beside)}
        manifest = Manifest(format=FORMAT, created=SystemClock().now(), position=position, files=files)
        write_synced(beside / MANIFEST, msgspec.json.format(msgspec.json.encode(manifest)))
        verify(beside)
        beside.rename(target)
        sync_folder(target.parent)
    return BackedUp(target, manifest, tuple(notes))


def restore(folder: Path, root: Path) -> Manifest:
    """A workspace at `root` as it was backed up into `folder`.

    Raises:
        StoreError: Something is at `root`, or the disk refused.
        NotFoundError, BundleError: `folder` is no backup, or not as it was written.
    """
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise StoreError(f"{root}: there is something already; restore into a new folder")
    manifest = verify(folder)
    with refused(root, "restore"), new_folder(root.parent) as beside:
        for name, kept in manifest.files.items():
            _copy(folder / name, beside / name)
            if _digest(beside / name) != kept:
                raise StoreError(f"{root}: {name} changed while it was copied; restore again")
        if root.exists():
            root.rmdir()
        beside.rename(root)
        sync_folder(root.parent)
    return manifest


def verify(folder: Path) -> Manifest:
    """The manifest of a backup whose files are all as they were written.

    Raises:
        NotFoundError: It is no backup.
        BundleError: It is damaged, or of a newer format; the text names the file.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise NotFoundError(
            f"{folder}: no backup: {MANIFEST} is missing; give a folder of `polyscene backup`"
        )
    try:
        manifest = msgspec.json.decode(path.read_bytes(), type=Manifest)
    except msgspec.DecodeError as problem:
        raise BundleError(f"{path}: can't be read: {problem}; take another backup") from problem
    if manifest.format > FORMAT:
        raise BundleError(f"{path}: format {manifest.format} is newer than {FORMAT}; upgrade polyscene")
    for name, kept in manifest.files.items():
        if not _is_inside(name):
            raise BundleError(f"{path}: the name {name!r} leads out of the folder; take another backup")
        if not (folder / name).is_file() or _digest(folder / name) != kept:
            raise BundleError(f"{folder / name}: gone, or not as it was backed up; take another backup")
    return manifest


def _copy_rest(root: Path, target: Path) -> list[str]:
    """Copies all but the log; gives notes on what was left out."""
    for attempt in range(TRIES):
        left = []
        try:
            for name in _files(root):
                if name.parts[0].startswith("events.db"):
                    continue
                if (root / name).is_symlink():
                    left.append(f"not in the backup, since it is a link: {name}")
                    continue
                _copy(root / name, target / name)
            return left
        except FileNotFoundError:
            # an old bundle was collected between listing and copying
            if attempt == TRIES - 1:
                raise
            shutil.rmtree(target / "bundles", ignore_errors=True)
    return []


def _files(root: Path) -> Iterator[PurePosixPath]:
    """Names of all files under a folder that are not half written, sorted."""
    for folder, folders, names in os.walk(root):
        folders[:] = sorted(name for name in folders if not name.startswith(TEMPORARY))
        for name in sorted(names):
            if not name.startswith(TEMPORARY):
                yield PurePosixPath((Path(folder) / name).relative_to(root).as_posix())


def _copy(source: Path, target: Path) -> None:
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copy2(source, target)
    with target.open("rb") as file:
        os.fsync(file.fileno())


def _digest(path: Path) -> Kept:
    with path.open("rb") as file:
        digest = file_digest(file, "sha256").hexdigest()
        return Kept(file.tell(), digest)


def _is_inside(name: str) -> bool:
    path = PurePosixPath(name)
    return not path.is_absolute() and ".." not in path.parts and "\\" not in name and bool(path.parts)
