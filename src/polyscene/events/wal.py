"""What the write-ahead log of a database file holds, as far as its frame heads tell.

SQLite replays it up to the last commit whose frames all have a right checksum. What this file tells is how
much was written behind that point: a torn tail after a crash, or damage.
"""

import struct
from dataclasses import dataclass
from pathlib import Path

HEAD, FRAME_HEAD = 32, 24
_SALT = slice(8, 16)


@dataclass(frozen=True, slots=True)
class Wal:
    """`used`: whether there is anything in it. `frames`: pages written since it was last begun anew."""

    used: bool
    frames: int


def wal_path(path: Path) -> Path:
    """Where SQLite keeps the write-ahead log of a file."""
    return path.with_name(f"{path.name}-wal")


def look_at_wal(path: Path) -> Wal:
    """What stands in the write-ahead log of the database `path`; call before SQLite opens it."""
    wal = wal_path(path)
    size = wal.stat().st_size if wal.is_file() else 0
    if size <= HEAD:
        return Wal(size > 0, 0)
    with wal.open("rb") as file:
        head = file.read(HEAD)
        page = int.from_bytes(head[8:12], "big")
        if page == 0 or page & (page - 1):
            return Wal(used=True, frames=0)
        # frames of an older round have another salt than the head: checkpointed, then written over from
        # the front. A damaged head hides its whole round, which is then told by the salt of frame one.
        salt, frames = head[16:24] if _is_whole(head) else b"", 0
        for start in range(HEAD, size, FRAME_HEAD + page):
            file.seek(start)
            own = file.read(FRAME_HEAD)[_SALT]
            salt = salt or own
            if own != salt:
                break
            frames += 1
    return Wal(used=True, frames=frames)


def _is_whole(head: bytes) -> bool:
    """Whether the checksum of the head is right: Fletcher's, over words of the order the magic tells."""
    words = struct.unpack(">6I" if head[3] & 1 else "<6I", head[:24])
    first = second = 0
    for one, other in zip(words[::2], words[1::2], strict=True):
        first = (first + one + second) & 0xFFFFFFFF
        second = (second + other + first) & 0xFFFFFFFF
    return head[24:32] == struct.pack(">2I", first, second)
