"""Appends, exposes, erases and closes; notes in a file of the traced folder what was acknowledged."""

import os
import sys

from polyscene.events.event import Event, Exposure, ItemPut
from polyscene.events.log import Once
from polyscene.events.sqlite import SqliteLog

folder = sys.argv[1]
acknowledged = os.open(f"{folder}/acknowledged", os.O_WRONLY | os.O_CREAT | os.O_APPEND)


def event(number: int) -> Event:
    return Event(id=f"e{number}", user=f"u{number % 3}", item=f"i{number % 5}", time=number)


for start in (0, 16):
    with SqliteLog(f"{folder}/log.db") as log:
        # a checkpoint every few commits, so that the trace cuts through many
        log._connection.execute("PRAGMA wal_autocheckpoint = 12")
        for number in range(start, start + 16):
            log.append([event(number), ItemPut(id="i", time=number)], once=Once(f"k{number}", b"d" * 16))
            os.write(acknowledged, b"%d\n" % (2 * number + 2))
            if number % 9 == 0:
                log.append_exposure(
                    Exposure(
                        request_id=f"r{number}", scenario="s", bundle="b", time=1, seed=0, log_position=0
                    )
                )
                log.flush()
