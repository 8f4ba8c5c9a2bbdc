"""Open-loop load on a running service: requests leave on schedule, however slow the answers are.

Latency counts from the moment a request was due, so a stalled server can't hide behind a waiting client.
Prints one JSON object. CPU is the server process's own user and system time (Linux).

    python -m bench.load http://127.0.0.1:8000 --rate 50 --seconds 120 --pid $(pgrep -f "polyscene serve")
"""

import argparse
import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from urllib.parse import urlsplit

import httptools
import numpy as np


class Reply:
    """Collects one HTTP reply; a callback object for the parser."""

    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.parts: list[bytes] = []
        self.done = False

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.parts.append(body)

    def on_message_complete(self) -> None:
        self.done = True


class Line:
    """One kept-open connection."""

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.reader: asyncio.StreamReader | None = None
        self.writer: asyncio.StreamWriter | None = None
        self.headers: dict[str, str] = {}
        """Of the last reply."""

    async def call(self, method: str, path: str, body: object = None) -> tuple[int, object]:
        if self.writer is None:
            self.reader, self.writer = await asyncio.open_connection(self.host, self.port)
        raw = b"" if body is None else json.dumps(body).encode()
        head = (
            f"{method} {path} HTTP/1.1\r\nHost: {self.host}:{self.port}\r\n"
            f"Content-Type: application/json\r\nContent-Length: {len(raw)}\r\n\r\n"
        )
        self.writer.write(head.encode() + raw)
        reply = Reply()
        parser = httptools.HttpResponseParser(reply)
        while not reply.done:
            data = await self.reader.read(65536)
            if not data:
                raise ConnectionError("the service closed the connection")
            parser.feed_data(data)
        self.headers = reply.headers
        if not parser.should_keep_alive():
            self.drop()
        return parser.get_status_code(), json.loads(b"".join(reply.parts) or b"null")

    def drop(self) -> None:
        if self.writer is not None:
            self.writer.close()
        self.reader = self.writer = None


class Load:
    """What is sent, and what came of it."""

    def __init__(self, url: str, scenario: str | None, k: int) -> None:
        parts = urlsplit(url)
        self.host, self.port = parts.hostname or "127.0.0.1", parts.port or 80
        self.scenario, self.k = scenario, k
        self.free: list[Line] = []
        self.latencies: list[float] = []
        self.outcomes: Counter[str] = Counter()
        self.degraded = self.short = 0

    async def prepare(self, users: int) -> list[str]:
        line = Line(self.host, self.port)
        _, scenarios = await line.call("GET", "/v1/scenarios")
        if self.scenario is None:
            self.scenario = scenarios["scenarios"][0]["name"]
        _, found = await line.call("GET", f"/v1/users?n={users}&sample=true")
        self.free.append(line)
        return found["users"]

    async def one(self, user: str, due: float) -> None:
        line = self.free.pop() if self.free else Line(self.host, self.port)
        try:
            ask = {"scenario": self.scenario, "user": user, "k": self.k}
            status, answer = await line.call("POST", "/v1/recommend", ask)
        except (OSError, httptools.HttpParserError, ValueError) as error:
            line.drop()
            self.outcomes[type(error).__name__] += 1
            return
        self.free.append(line)
        self.latencies.append(time.perf_counter() - due)
        self.outcomes[str(status)] += 1
        if status == 200:
            self.degraded += answer["degraded"]
            self.short += len(answer["items"]) < self.k

    async def run(self, users: list[str], rate: float, seconds: float, seed: int) -> None:
        draw = random.Random(seed)
        start = time.perf_counter() + 0.1
        tasks = []
        for number in range(int(rate * seconds)):
            due = start + number / rate
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self.one(draw.choice(users), due)))
        await asyncio.gather(*tasks)


def cpu_seconds(pid: int) -> float:
    """User and system time of a process so far."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


async def measure(options: argparse.Namespace) -> dict[str, object]:
    load = Load(options.url, options.scenario, options.k)
    users = await load.prepare(options.users)
    await load.run(users, options.rate, min(options.warm, options.seconds), options.seed + 1)
    load.latencies.clear()
    load.outcomes.clear()
    load.degraded = load.short = 0
    before = cpu_seconds(options.pid) if options.pid else 0.0
    start = time.perf_counter()
    await load.run(users, options.rate, options.seconds, options.seed)
    took = time.perf_counter() - start
    total = sum(load.outcomes.values())
    cpu = (cpu_seconds(options.pid) - before) / max(1, total) if options.pid else None
    ms = np.percentile(load.latencies or [float("nan")], [50, 95, 99, 100]) * 1e3
    return {
        "scenario": load.scenario,
        "rate": options.rate,
        "seconds": round(took, 1),
        "requests": total,
        "errors": total - load.outcomes["200"],
        "outcomes": dict(load.outcomes),
        "degraded": load.degraded,
        "short_slates": load.short,
        "latency_ms": dict(
            zip(("p50", "p95", "p99", "max"), (round(float(x), 2) for x in ms), strict=True)
        ),
        "server_cpu_ms_per_request": None if cpu is None else round(cpu * 1e3, 3),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("url")
    parser.add_argument("--rate", type=float, default=50, help="requests a second")
    parser.add_argument("--seconds", type=float, default=120)
    parser.add_argument("--warm", type=float, default=5, help="seconds of load before counting starts")
    parser.add_argument("--scenario", help="the first one without it")
    parser.add_argument("--k", type=int, default=10)
    parser.add_argument("--users", type=int, default=1000, help="how many users to draw from")
    parser.add_argument("--pid", type=int, help="the server's process, for its CPU time")
    parser.add_argument("--seed", type=int, default=0)
    result = asyncio.run(measure(parser.parse_args()))
    json.dump(result, sys.stdout, indent=2)
    print()
    return 1 if result["errors"] else 0


if __name__ == "__main__":
    sys.exit(main())
