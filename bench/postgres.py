"""The log in PostgreSQL beside the one in SQLite: durable appends, imports, reads for training.

Both write to the same disk and wait for it. CPU seconds of PostgreSQL are those of this process and of the
server together (Linux).

    python -m bench.postgres
    python -m bench.postgres --events 200000 --seconds 3
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from itertools import count
from pathlib import Path

import numpy as np

from bench.board import Figure
from polyscene.events.event import Event
from polyscene.events.log import Bulk, EventLog
from polyscene.events.postgres import PostgresLog
from polyscene.events.sqlite import SqliteLog
from polyscene.testing.postgres import Cluster, cluster

DURABLE = "listen_addresses='' shared_buffers=256MB max_wal_size=2GB"
USERS, ITEMS, BATCH, CLIENTS = 20_000, 5_000, 100, 32
ROUNDS = 3


def beside_sqlite(events: int = 1_000_000, seconds: float = 10.0) -> Sequence[Figure]:
    """Every measurement on both logs in turns; the ratio is PostgreSQL's figure over SQLite's."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        server = stack.enter_context(cluster(DURABLE))
        file, remote = SqliteLog(folder / "log.db"), PostgresLog(server.dsn)
        with file, remote:
            figures = []
            for what, measure in (
                (f"events a second, batches of {BATCH}", lambda log: rate(log, BATCH, 1, seconds)),
                (f"events a second, single, {CLIENTS} clients", lambda log: rate(log, 1, CLIENTS, seconds)),
            ):
                figures += compared(what, measure(file), measure(remote))
            rows = bulk(events)
            figures += compared(
                f"CPU s to import {events:,} events",
                cpu(lambda: file.append_columns(rows)),
                cpu(lambda: remote.append_columns(rows), server),
            )
            reads = [
                (cpu(file.columns), cpu(remote.columns, server), cpu(remote.columns)) for _ in range(ROUNDS)
            ]
            plain, both, client = np.median(reads, axis=0).tolist()
            figures += compared("CPU s to read all columns", plain, both)
            figures.append(Figure("of which this process, PostgreSQL", client))
            tails = [(tail_us(file), tail_us(remote)) for _ in range(ROUNDS)]
            figures += compared("µs for a user's past", *np.median(tails, axis=0).tolist())
    return figures


def compared(what: str, plain: float, remote: float) -> list[Figure]:
    return [
        Figure(f"{what}, SQLite", plain),
        Figure(f"{what}, PostgreSQL", remote),
        Figure(f"{what}, ratio", remote / plain),
    ]


_NUMBERS = count()


def rate(log: EventLog, size: int, clients: int, seconds: float) -> float:
    """Acknowledged events a second of `clients` threads that each send one batch after another."""
    end = time.monotonic() + seconds

    def send(_: int) -> int:
        sent = 0
        while time.monotonic() < end:
            log.append([event(next(_NUMBERS)) for _ in range(size)])
            sent += size
        return sent

    began = time.monotonic()
    with ThreadPoolExecutor(clients) as pool:
        sent = sum(pool.map(send, range(clients)))
    return sent / (time.monotonic() - began)


def event(number: int) -> Event:
    return Event(id=f"b{number}", user=f"u{number % USERS}", item=f"i{number * 7 % ITEMS}", time=number)


def bulk(size: int) -> Bulk:
    rng = np.random.default_rng(1)
    users, items = rng.integers(0, USERS, size), rng.integers(0, ITEMS, size)
    return Bulk(
        "bench",
        range(size),
        [f"u{user}" for user in users],
        [f"i{item}" for item in items],
        ["view"] * size,
        [""] * size,
        np.arange(size) * 1_000,
        np.ones(size),
    )


def cpu(work: Callable[[], object], server: Cluster | None = None) -> float:
    """CPU seconds of this process, and of all processes of a server."""
    before = time.process_time() + (server_cpu(server) if server else 0.0)
    work()
    return time.process_time() + (server_cpu(server) if server else 0.0) - before


def server_cpu(server: Cluster) -> float:
    first = (server.folder / "data" / "postmaster.pid").read_text().split()[0]
    total = sum(_times(first))  # with the children that ended
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if fields[1] == first:
            total += sum(map(int, fields[11:13])) / os.sysconf("SC_CLK_TCK")
    return total


def _times(pid: str) -> list[float]:
    fields = Path("/proc", pid, "stat").read_text().rpartition(")")[2].split()
    return [int(field) / os.sysconf("SC_CLK_TCK") for field in fields[11:15]]


def tail_us(log: EventLog, reads: int = 500) -> float:
    """Median wall microseconds to read the history of a user that is not in memory."""
    taken = []
    for number in range(reads):
        began = time.perf_counter()
        log.columns(user=f"u{number * 37 % USERS}")
        taken.append(time.perf_counter() - began)
    return float(np.median(taken)) * 1e6


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=1_000_000, help="events to import and read")
    parser.add_argument("--seconds", type=float, default=10.0, help="how long each rate is measured")
    options = parser.parse_args()
    for figure in beside_sqlite(options.events, options.seconds):
        print(f"{figure.what:50} {figure.value:>12,.4g}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
