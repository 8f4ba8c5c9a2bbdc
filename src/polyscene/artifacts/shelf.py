"""Shelves: the bundles of every scenario, which one is current, and the way back."""

import fcntl
import os
import shutil
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import msgspec

from polyscene.artifacts.bundle import Facts, Manifest, fill, publish, read_bundle, read_manifest
from polyscene.artifacts.files import (
    TEMPORARY,
    append_synced,
    inside,
    is_folder,
    new_folder,
    refused,
    replace_synced,
)
from polyscene.core.clock import Clock, SystemClock
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, ConflictError, NotFoundError, nearest

CURRENT, HISTORY, LOCK = "current", "promotions.jsonl", "lock"
Ids = list[str]
STALE_S = 3_600
"""Age at which a half-written folder is taken for the work of a dead process."""


@dataclass(frozen=True, slots=True)
class Shelved:
    """A bundle on a shelf."""

    id: str
    manifest: Manifest


class _Pointer(msgspec.Struct, frozen=True):
    """The content of ``current``: the promoted bundle, and those before it, oldest first."""

    bundle: str
    before: tuple[str, ...] = ()


class Promotion(msgspec.Struct, frozen=True):
    """A line of the history: which bundle took the place of which, when (UTC ms) and how.

    `forced`: the checks that it failed and was promoted all the same; empty if it passed.
    """

    at: int
    action: str
    bundle: str
    instead_of: str | None
    forced: str = ""


class Shelf:
    """Bundles under ``root/<scenario>/<id>/``, with ``current`` naming the promoted one.

    Ids are the time of creation and a short digest, so they sort by age. Every change is one rename:
    a reader sees the old state or the new one, and a crash leaves either.
    """

    def __init__(self, root: Path, clock: Clock | None = None) -> None:
        self.root = root
        self._clock = clock or SystemClock()

    def names(self) -> Ids:
        """Scenarios that have a shelf, sorted."""
        with refused(self.root, "list"):
            return (
                sorted(path.name for path in self.root.iterdir() if is_folder(path))
                if self.root.is_dir()
                else []
            )

    def add(self, name: str, state: State, facts: Facts) -> str:
        """Writes a bundle and gives its id; it serves nobody until it is promoted.

        Without a parent in `facts`, the current bundle is its parent. Equal facts and state give the
        bundle that is there. Raises InputError for a bad name, BundleError or StoreError as `write_bundle`.
        """
        shelf = inside(self.root, name)
        facts = msgspec.structs.replace(facts, parent=facts.parent or self.current(name))
        with refused(shelf, "write"), new_folder(shelf) as beside:
            bundle = id_of(fill(beside, facts, state))
            if not (shelf / bundle).exists():
                publish(beside, shelf / bundle)
        return bundle

    def read(self, name: str, bundle: str) -> tuple[Manifest, State]:
        """A bundle, every digest checked.

        Raises:
            NotFoundError: There is none of that id.
            BundleError: It is damaged, renamed, foreign or of a newer format.
        """
        manifest, state = read_bundle(self._folder(name, bundle))
        if id_of(manifest) != bundle:
            raise BundleError(
                f"{self._folder(name, bundle)}: is in truth {id_of(manifest)}; rename it back"
            )
        return manifest, state

    def _folder(self, name: str, bundle: str) -> Path:
        folder = inside(self.root, name, bundle)
        if not folder.is_dir():
            hint = nearest(bundle, self._ids(name)) or "; none is there: train the scenario first"
            raise NotFoundError(f"scenario {name!r}: no bundle {bundle!r}{hint}")
        return folder

    def _ids(self, name: str) -> Ids:
        shelf = inside(self.root, name)
        if not shelf.is_dir():
            return []
        return sorted(
            path.name for path in shelf.iterdir() if is_folder(path) and path.name[0] != TEMPORARY[0]
        )

    def list(self, name: str) -> Sequence[Shelved]:
        """The bundles of a scenario, newest first. Raises BundleError if a manifest is damaged."""
        return [
            Shelved(each, read_manifest(inside(self.root, name, each)))
            for each in reversed(self._ids(name))
        ]

    def current(self, name: str) -> str | None:
        """Id of the promoted bundle; None before the first promotion."""
        pointer = self._pointer(name)
        return pointer.bundle if pointer else None

    def _pointer(self, name: str) -> _Pointer | None:
        path = inside(self.root, name) / CURRENT
        with refused(path, "read"):
            if not path.is_file():
                return None
            text = path.read_bytes()
        try:
            return msgspec.json.decode(text, type=_Pointer)
        except msgspec.DecodeError as problem:
            raise BundleError(
                f"{path}: not readable ({problem}); delete it and promote a bundle again"
            ) from problem

    def promote(self, name: str, bundle: str, *, instead_of: str | None = None, forced: str = "") -> None:
        """Makes a bundle current once it was read whole.

        Args:
            name: The scenario.
            bundle: The bundle's id.
            instead_of: The one that the caller believes current; None: whichever is.
            forced: The checks that it failed, for the history.

        Raises:
            NotFoundError: There is none of that id.
            BundleError: It is damaged; the one before stays current.
            ConflictError: Another one than `instead_of` is current.
        """
        self.read(name, bundle)
        with self._alone(name):
            pointer = self._expect(name, instead_of)
            if pointer and pointer.bundle == bundle:
                return
            before = (*pointer.before, pointer.bundle) if pointer else ()
            self._point(name, _Pointer(bundle, before), "promote", pointer, forced)

    def roll_back(self, name: str, *, instead_of: str | None = None) -> str:
        """Makes the bundle that was current before current again, and gives its id.

        Raises:
            NotFoundError: There is nothing to go back to.
            BundleError: That one is damaged; the present one stays.
            ConflictError: Another one than `instead_of` is current.
        """
        nothing = f"scenario {name!r}: nothing to roll back to; promote a bundle by its id"
        if self._pointer(name) is None:
            raise NotFoundError(nothing)
        with self._alone(name):
            pointer = self._expect(name, instead_of)
            known = set(self._ids(name))
            before = [each for each in pointer.before if each in known] if pointer else []
            if not before:
                raise NotFoundError(nothing)
            self.read(name, before[-1])
            self._point(name, _Pointer(before[-1], tuple(before[:-1])), "roll_back", pointer)
        return before[-1]

    def _expect(self, name: str, instead_of: str | None) -> _Pointer | None:
        """The pointer, if it still stands where the caller believes."""
        pointer = self._pointer(name)
        current = pointer.bundle if pointer else None
        if instead_of is not None and current != instead_of:
            raise ConflictError(
                f"scenario {name!r}: {current!r} is current, not {instead_of!r}: somebody was quicker; "
                "look again and repeat"
            )
        return pointer

    @contextmanager
    def _alone(self, name: str) -> Iterator[None]:
        """One change at a time, among the processes of this machine too."""
        shelf = inside(self.root, name)
        with refused(shelf, "lock"):
            descriptor = os.open(shelf / LOCK, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX)
            yield
        finally:
            os.close(descriptor)

    def _point(
        self, name: str, pointer: _Pointer, action: str, older: _Pointer | None, forced: str = ""
    ) -> None:
        shelf = inside(self.root, name)
        instead_of = older.bundle if older else None
        line = Promotion(self._clock.now(), action, pointer.bundle, instead_of, forced)
        with refused(shelf, action):
            replace_synced(shelf / CURRENT, msgspec.json.encode(pointer))
            append_synced(shelf / HISTORY, msgspec.json.encode(line))

    def history(self, name: str) -> Sequence[Promotion]:
        """All promotions and ways back, oldest first; a crash may have swallowed the newest line."""
        path = inside(self.root, name) / HISTORY
        with refused(path, "read"):
            lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
        return [msgspec.json.decode(line, type=Promotion) for line in lines]

    def collect(self, name: str, *, keep: int) -> Ids:
        """Deletes all but the newest `keep` bundles, and gives the ids that went.

        Never goes: the current bundle, its parent, and the one a roll-back leads to.
        """
        pointer = self._pointer(name)
        safe = {*self._ids(name)[-keep:]} if keep > 0 else set()
        if pointer:
            safe |= {pointer.bundle, *pointer.before[-1:]}
            safe |= {read_manifest(self._folder(name, pointer.bundle)).parent or ""}
        gone = [each for each in self._ids(name) if each not in safe]
        shelf = inside(self.root, name)
        with refused(shelf, "collect"):
            for each in gone:
                self._remove(shelf / each)
            for path in shelf.glob(f"{TEMPORARY}*"):
                if time.time() - path.stat().st_mtime > STALE_S:
                    self._remove(path)
        return gone

    def _remove(self, path: Path) -> None:
        if path.is_dir():
            # out of sight first, so that nobody finds half a bundle
            hidden = path.with_name(f"{TEMPORARY}{path.name.removeprefix(TEMPORARY)}")
            path.rename(hidden)
            shutil.rmtree(hidden)
        else:
            path.unlink()


def id_of(manifest: Manifest) -> str:
    """Time of creation to the millisecond and the head of the digest: ``20260131T120000123-1a2b3c4d``."""
    seconds, ms = divmod(manifest.created, 1_000)
    moment = time.strftime("%Y%m%dT%H%M%S", time.gmtime(seconds))
    return f"{moment}{ms:03d}-{manifest.digest[:8]}"
