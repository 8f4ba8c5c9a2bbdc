"""The way in over HTTP: single events, batches, and how soon an answer knows of an event.

    python -m bench.intake                 30 s each
    python -m bench.intake --seconds 5

A service of its own runs on a small fitted workspace in a temporary folder. Clients keep their lines open
and send the next request when the answer is there; the server's CPU is what the system charges its process.
A server and its clients share the machine, so the rates are those of both together.
"""

import argparse
import asyncio
import json
import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import numpy as np

from bench.board import Figure
from bench.load import Line, cpu_seconds
from bench.serving import url_of
from polyscene.testing.service import tiny_workspace

SECONDS, WARM_S = 30.0, 2.0
CLIENTS, USERS, ITEMS = 32, 2_000, 400
BATCH, BATCHERS = 100, 4
RATE = 50


class Post(asyncio.Protocol):
    """One client on one open line: posts, waits, posts again; as little work as Python allows."""

    def __init__(self, bodies: Iterator[bytes], path: str, done: Counter[int]) -> None:
        self.bodies, self.path, self.done = bodies, path.encode(), done
        self.latencies: list[float] = []
        self.going = True
        self.gone = asyncio.get_running_loop().create_future()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport
        self.send()

    def send(self) -> None:
        body = next(self.bodies)
        self.parser = httptools.HttpResponseParser(self)
        self.sent = time.perf_counter()
        self.transport.write(
            b"POST %b HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
            b"Content-Length: %d\r\n\r\n%b" % (self.path, len(body), body)
        )

    def data_received(self, data: bytes) -> None:
        self.parser.feed_data(data)

    def on_message_complete(self) -> None:
        self.latencies.append(time.perf_counter() - self.sent)
        self.done[self.parser.get_status_code()] += 1
        if self.going:
            asyncio.get_running_loop().call_soon(self.send)
        else:
            self.transport.close()

    def connection_lost(self, problem: Exception | None) -> None:
        self.gone.set_result(None)


def one(number: int) -> dict[str, object]:
    """An event of some user with some item; no two have one id."""
    return {"id": f"bench-{number}", "user": f"u{number * 7 % USERS}", "item": f"i{number * 11 % ITEMS}"}


async def posts(
    url: str, pid: int, path: str, bodies: Iterator[bytes], clients: int, seconds: float
) -> dict[str, float]:
    """Posts a second of some clients, the server's CPU for each (ms), and latency (ms)."""
    where, done = urlsplit(url), Counter[int]()
    loop = asyncio.get_running_loop()
    lines = [
        (await loop.create_connection(lambda: Post(bodies, path, done), where.hostname, where.port))[1]
        for _ in range(clients)
    ]
    await asyncio.sleep(min(WARM_S, seconds))
    for line in lines:
        line.latencies.clear()
    done.clear()
    start, cpu = time.perf_counter(), cpu_seconds(pid)
    await asyncio.sleep(seconds)
    took, cpu, kept = time.perf_counter() - start, cpu_seconds(pid) - cpu, done.copy()
    latencies = np.concatenate([line.latencies for line in lines]) * 1e3
    for line in lines:
        line.going = False
    await asyncio.gather(*(line.gone for line in lines))
    return {
        "rate": kept[200] / took,
        "refused": kept.total() - kept[200],
        "cpu_ms": cpu / kept[200] * 1e3,
        "p50": float(np.percentile(latencies, 50)),
        "p99": float(np.percentile(latencies, 99)),
    }


class Freshness:
    """Posts an event on a shown item and asks until it is not shown any more: how long after the answer?"""

    def __init__(self, url: str) -> None:
        where = urlsplit(url)
        self.host, self.port = where.hostname or "", where.port or 0
        self.free: list[Line] = []
        self.numbers = count()
        self.waits: list[float] = []
        self.asked_again = self.failed = 0

    async def look(self, user: str) -> None:
        line = self.free.pop() if self.free else Line(self.host, self.port)
        ask = {"scenario": "home", "user": user, "k": 5}
        _, before = await line.call("POST", "/v1/recommend", ask)
        if before["items"]:
            item = before["items"][0]["id"]
            event = {"id": f"fresh-{next(self.numbers)}", "user": user, "item": item}
            status, _ = await line.call("POST", "/v1/event", event)
            acknowledged = time.perf_counter()
            while not await self.knows(line, ask, item):
                self.asked_again += 1
            self.waits.append(time.perf_counter() - acknowledged)
            self.failed += status != 200
        self.free.append(line)

    async def knows(self, line: Line, ask: dict[str, object], item: str) -> bool:
        status, answer = await line.call("POST", "/v1/recommend", ask)
        return status == 200 and item not in [each["id"] for each in answer["items"]]

    async def run(self, seconds: float, seed: int = 0) -> None:
        draw, tasks = random.Random(seed), []
        start = time.perf_counter() + 0.1
        looks = RATE / 3  # a look is three requests
        for number in range(int(looks * seconds)):
            await asyncio.sleep(max(0.0, start + number / looks - time.perf_counter()))
            tasks.append(asyncio.create_task(self.look(f"fresh-user-{draw.randrange(1 << 30)}")))
        await asyncio.gather(*tasks)


@contextmanager
def service(folder: Path) -> Iterator[tuple[str, int]]:
    """The address and process of a server on a small fitted workspace."""
    tiny_workspace(folder, items=ITEMS, users=400)
    command = [sys.executable, "-m", "polyscene", "serve", "-w", str(folder), "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log, subprocess.Popen(command, stderr=log) as process:
        try:
            yield url_of(Path(log.name)), process.pid
        finally:
            process.terminate()


def way_in(seconds: float = SECONDS) -> Sequence[Figure]:
    """Single posts, batches and freshness, one after another on the same server."""
    numbers = count()
    singles = (json.dumps(one(number)).encode() for number in numbers)
    batches = (json.dumps({"events": [one(next(numbers)) for _ in range(BATCH)]}).encode() for _ in count())
    with tempfile.TemporaryDirectory() as folder, service(Path(folder)) as (url, pid):
        single = asyncio.run(posts(url, pid, "/v1/event", singles, CLIENTS, seconds))
        batch = asyncio.run(posts(url, pid, "/v1/events", batches, BATCHERS, seconds))
        fresh = Freshness(url)
        asyncio.run(fresh.run(seconds))
    waits = np.percentile(fresh.waits, [50, 99]) * 1e3
    return [
        Figure(
            f"single posts a second, {CLIENTS} clients",
            single["rate"],
            at_least=1_000,
            note=f"p50 {single['p50']:.1f} ms, p99 {single['p99']:.1f} ms",
        ),
        Figure("server CPU ms a post", single["cpu_ms"], at_most=0.5),
        Figure("posts refused", single["refused"] + batch["refused"], at_most=0),
        Figure(
            f"events a second, batches of {BATCH}",
            batch["rate"] * BATCH,
            at_least=5_000,
            note=f"{BATCHERS} clients, p99 {batch['p99']:.0f} ms a batch",
        ),
        Figure("server CPU ms an event in batches", batch["cpu_ms"] / BATCH),
        Figure(
            "ms from acknowledgement to an answer that knows, p99",
            waits[1],
            at_most=50,
            note=f"p50 {waits[0]:.1f}, {len(fresh.waits)} looks at {RATE} requests a second, "
            f"{fresh.asked_again} asked again",
        ),
    ]


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--seconds", type=float, default=SECONDS, help="of each of the three")
    missed = 0
    for each in way_in(parser.parse_args().seconds):
        print(f"{each.what:54} {each.value:>10.4g}  {each.target:8} {each.verdict:8} {each.note}")
        missed += each.verdict == "MISSED"
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
