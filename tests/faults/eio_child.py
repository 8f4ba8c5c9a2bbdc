"""Appends while fsync fails: says what became of each try, and whether reading goes on."""

import sys
from functools import partial
from pathlib import Path

from polyscene.core.errors import StoreError
from polyscene.events.event import Event
from polyscene.events.sqlite import SqliteLog

say = partial(print, flush=True)
path, failing = Path(sys.argv[1]), Path(sys.argv[2])
log = SqliteLog(path)


def attempt(number: int) -> None:
    try:
        log.append([Event(id=f"e{number}", user="u", item="i", time=number)])
        say(f"kept {number}")
    except StoreError as problem:
        say(f"refused {number}: {problem}")
    say(f"fault {log.fault is not None}, position {log.position}")


attempt(1)
failing.touch()
attempt(2)
failing.unlink()
# the disk is well again, but nobody knows what it holds: no second try may claim it
attempt(2)
attempt(3)
log.close()
