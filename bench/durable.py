"""Durable events a second, in batches of 100 and from 32 threads: what a log acknowledges is on disk.

    python -m bench.durable                  in a temporary folder of this disk
    python -m bench.durable --events 200000 --folder /mnt/other

Prints wall seconds and CPU microseconds an event; the disk is told beside, since one fsync is what a lone
caller waits for.
"""

import argparse
import os
import random
import statistics
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Thread

from polyscene.events.event import Event
from polyscene.events.sqlite import SqliteLog

BATCH, THREADS, BORN = 100, 32, 1_700_000_000_000
TARGETS = {"batches": 5_000, "single": 1_000}


def events(count: int) -> list[Event]:
    """Events of 20,000 users with a long tail of items."""
    chance = random.Random(1)
    return [
        Event(
            id=f"e{number:09}",
            user=f"u{chance.randrange(20_000)}",
            item=f"i{int(chance.paretovariate(0.7)) % 50_000}",
            action=chance.choice(["view", "click", "buy"]),
            time=BORN + number * 1_000,
        )
        for number in range(count)
    ]


def batches(log: SqliteLog, rows: Sequence[Event]) -> None:
    """One caller, a batch a commit."""
    for start in range(0, len(rows), BATCH):
        log.append(rows[start : start + BATCH])


def single(log: SqliteLog, rows: Sequence[Event]) -> None:
    """Many callers, an event each; those that wait together share a commit."""

    def work(lane: int) -> None:
        for row in rows[lane::THREADS]:
            log.append([row])

    threads = [Thread(target=work, args=(lane,)) for lane in range(THREADS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()


def fsync_ms(folder: Path) -> float:
    """Median time of writing 4 KiB and waiting for the disk."""
    times = []
    with (folder / "probe").open("wb", buffering=0) as file:
        for _ in range(50):
            began = time.perf_counter()
            file.write(bytes(4096))
            os.fsync(file.fileno())
            times.append(time.perf_counter() - began)
    return statistics.median(times) * 1_000


def main() -> None:
    """Measures both ways and what opening afterwards costs."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=100_000)
    parser.add_argument("--folder", type=Path)
    options = parser.parse_args()
    with TemporaryDirectory(dir=options.folder) as name:
        print(f"fsync of 4 KiB: {fsync_ms(Path(name)):.2f} ms")
        for way, rows in ((batches, events(options.events)), (single, events(options.events // 4))):
            path = Path(name) / f"{way.__name__}.db"
            with SqliteLog(path) as log:
                wall, cpu = time.perf_counter(), time.process_time()
                way(log, rows)
                wall, cpu = time.perf_counter() - wall, time.process_time() - cpu
                began = time.perf_counter()
                days = log.item_days("i1")
                look = (time.perf_counter() - began) * 1_000
            rate, target = len(rows) / wall, TARGETS[way.__name__]
            print(
                f"{way.__name__}: {rate:,.0f} events a second (target {target:,}), "
                f"{cpu / len(rows) * 1e6:.1f} us of CPU an event; "
                f"item_days over {sum(count for *_, count in days):,} events {look:.1f} ms"
            )
            with SqliteLog(path) as log:
                found = log.recovery
                print(f"  opened again in {found.seconds * 1_000:.0f} ms, checked by {found.checked}")


if __name__ == "__main__":
    main()
