"""Appends numbered events from four threads until it is killed; says each number that was acknowledged."""

import sys
from functools import partial
from threading import Lock, Thread

from polyscene.events.event import Event, ItemPut
from polyscene.events.log import Bulk
from polyscene.events.sqlite import SqliteLog

say = partial(print, flush=True)


def event(number: int) -> Event:
    return Event(id=f"e{number}", user=f"u{number % 97}", item=f"i{number % 13}", time=number)


def main(path: str, start: int) -> None:
    log, door = SqliteLog(path), Lock()
    say("open", log.recovery.position)

    def work(lane: int) -> None:
        number = start + lane
        while True:
            log.append([event(number), ItemPut(id=f"i{number % 13}", time=number)])
            with door:
                say(number)
            number += 4

    def load() -> None:
        part = 0
        while True:
            rows = range(part * 500, part * 500 + 500)
            users, items = [f"b{row % 50}" for row in rows], [f"i{row % 13}" for row in rows]
            log.append_columns(Bulk("bulk", rows, users, items, ["a"] * 500, [""] * 500, rows, [1.0] * 500))
            part += 1

    for target, arguments in [*((work, (lane,)) for lane in range(4)), (load, ())]:
        Thread(target=target, args=arguments).start()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
