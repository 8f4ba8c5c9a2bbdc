"""The seal of a log file: the digest it had when its writer closed it.

It stands beside the file from one clean close to the next opening for writing, so a byte that changed in
between is noticed at the speed of the disk.
"""

import hashlib
from pathlib import Path

import msgspec

from polyscene.artifacts.files import replace_synced, sync_folder


class Seal(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What stands in the seal's file."""

    size: int
    sha256: str


def seal_path(path: Path) -> Path:
    """Where the seal of a log file stands."""
    return path.with_name(f"{path.name}.seal")


def put_seal(path: Path) -> None:
    """Seals a file that nobody writes to any more."""
    replace_synced(seal_path(path), msgspec.json.encode(_present(path)))


def break_seal(path: Path) -> None:
    """Takes the seal away; returns when it can't come back, so that the file may be changed."""
    if seal_path(path).exists():
        seal_path(path).unlink()
        sync_folder(path.parent)


def matches_seal(path: Path) -> bool | None:
    """Whether a file is as it was sealed; None without a seal."""
    try:
        kept = msgspec.json.decode(seal_path(path).read_bytes(), type=Seal)
    except FileNotFoundError:
        return None
    except msgspec.DecodeError:
        return False
    return kept.size == path.stat().st_size and kept == _present(path)


def _present(path: Path) -> Seal:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256")
        return Seal(file.tell(), digest.hexdigest())
