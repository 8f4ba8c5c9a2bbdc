"""Five times more requests than the service can answer, for a minute: what happens to those it accepts.

    python -m bench.overload                      the workspace that `polyscene demo` leaves behind
    python -m bench.overload --workspace W --seconds 20 --times 5

Open loop with random gaps (Poisson): requests leave on schedule, latency counts from when each was due.
First the capacity is found (four clients who ask without a pause), then 70 % of it gives the normal
latency, then the overload, then 70 % again, watched second by second for when it is as before. /healthz and
events are asked and posted five times a second all the while, on lines of their own. At the end the same
70 % beside a thousand idle lines and fifty clients that send a byte a second.
"""

import argparse
import asyncio
import json
import random
import resource
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from bench.board import Figure
from bench.load import Line, cpu_seconds
from bench.serving import WORKSPACE, url_of

SCENARIO, K = "home", 10
TIMEOUT_S = 30.0


@dataclass
class Phase:
    """What came of one stretch of load; times in seconds."""

    rate: float
    took: float = 0.0
    outcomes: Counter[str] = field(default_factory=Counter)
    accepted: list[tuple[float, float]] = field(default_factory=list)
    refused: list[float] = field(default_factory=list)
    beside: dict[str, list[float]] = field(default_factory=dict)
    no_retry: int = 0

    def p(self, share: float, values: Sequence[float] | None = None) -> float:
        """A percentile in ms; of the accepted requests without `values`."""
        values = [each for _, each in self.accepted] if values is None else values
        return float(np.percentile(values, share)) * 1e3 if values else float("nan")

    @property
    def answered(self) -> float:
        """Answers a second."""
        return len(self.accepted) / self.took

    def told(self) -> dict[str, object]:
        return {
            "rate": round(self.rate, 1),
            "answered a second": round(self.answered, 1),
            "outcomes": dict(self.outcomes),
            "accepted ms p50, p99": [round(self.p(50), 1), round(self.p(99), 1)],
            "refused ms p50, p99": [round(self.p(q, self.refused), 1) for q in (50, 99)],
            **{f"{name} ms p99": round(self.p(99, each), 1) for name, each in self.beside.items()},
        }


class Crowd:
    """Clients of one service."""

    def __init__(self, url: str, users: Sequence[str], seed: int) -> None:
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.users = users
        self.draw = random.Random(seed)
        self.free: list[Line] = []

    async def phase(self, rate: float, seconds: float) -> Phase:
        """So many requests a second for so long."""
        found, tasks = Phase(rate), []
        beside = [asyncio.create_task(self._beside(found, name)) for name in ("/healthz", "event")]
        start = due = time.perf_counter() + 0.05
        while due < start + seconds:
            await asyncio.sleep(max(0.0, due - time.perf_counter()))
            tasks.append(asyncio.create_task(self._one(found, due, due - start)))
            due += self.draw.expovariate(rate)
        await asyncio.gather(*tasks)
        found.took = time.perf_counter() - start
        for task in beside:
            task.cancel()
        await asyncio.gather(*beside, return_exceptions=True)
        return found

    async def capacity(self, seconds: float, clients: int = 4) -> float:
        """Answers a second to so many clients who ask again as soon as they are answered."""
        count, until = 0, time.perf_counter() + seconds

        async def client() -> None:
            nonlocal count
            line = Line(self.host, self.port)
            while time.perf_counter() < until:
                ask = {"scenario": SCENARIO, "user": self.draw.choice(self.users), "k": K}
                status, _ = await line.call("POST", "/v1/recommend", ask)
                count += status == 200

        await asyncio.gather(*(client() for _ in range(clients)))
        return count / seconds

    async def _one(self, found: Phase, due: float, since: float) -> None:
        line = self.free.pop() if self.free else Line(self.host, self.port)
        ask = {"scenario": SCENARIO, "user": self.draw.choice(self.users), "k": K}
        try:
            async with asyncio.timeout(TIMEOUT_S):
                status, _ = await line.call("POST", "/v1/recommend", ask)
        except (OSError, TimeoutError) as error:
            line.drop()
            found.outcomes[type(error).__name__] += 1
            return
        self.free.append(line)
        took = time.perf_counter() - due
        found.outcomes[str(status)] += 1
        if status == 200:
            found.accepted.append((since, took))
        else:
            found.refused.append(took)
            found.no_retry += "retry-after" not in line.headers

    async def idle(self, count: int = 1_000, slow: int = 50) -> list[asyncio.StreamWriter]:
        """Lines that ask nothing, and some that ask very slowly."""
        writers = []
        for number in range(count + slow):
            _, writer = await asyncio.open_connection(self.host, self.port)
            writers.append(writer)
            if number >= count:
                asyncio.get_running_loop().create_task(_drip(writer))
        return writers

    async def _beside(self, found: Phase, what: str) -> None:
        line, times = Line(self.host, self.port), found.beside.setdefault(what, [])
        while True:
            before = time.perf_counter()
            if what == "event":
                event = {"id": f"b{self.draw.getrandbits(60)}", "user": "bench-overload", "item": "1"}
                status, _ = await line.call("POST", "/v1/events", {"events": [event]})
            else:
                status, _ = await line.call("GET", what)
            times.append(time.perf_counter() - before)
            found.outcomes[f"{what} {status}"] += 1
            await asyncio.sleep(0.2)


async def _drip(writer: asyncio.StreamWriter) -> None:
    for byte in b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 100\r\n\r\n" * 10:
        if writer.is_closing():
            return
        writer.write(bytes([byte]))
        await asyncio.sleep(1)


def recovery(after: Phase, normal_p99_ms: float) -> float:
    """Seconds into a phase after which the p90 of every second stays within twice the normal p99."""
    last = 0.0
    for second in range(int(after.took) + 1):
        here = [each for since, each in after.accepted if second <= since < second + 1]
        if here and float(np.percentile(here, 90)) * 1e3 > 2 * normal_p99_ms:
            last = second + 1.0
    return last


async def measure(options: argparse.Namespace, url: str, pid: int) -> dict[str, object]:
    probe = Crowd(url, ["none"], 0)
    _, found = await Line(probe.host, probe.port).call("GET", "/v1/users?n=1000")
    crowd = Crowd(url, found["users"], options.seed)
    await crowd.phase(20, 3)
    capacity = options.capacity or await crowd.capacity(10)
    normal = await crowd.phase(0.7 * capacity, options.normal)
    before = cpu_seconds(pid)
    over = await crowd.phase(options.times * capacity, options.seconds)
    cpu = cpu_seconds(pid) - before
    after = await crowd.phase(0.7 * capacity, 15)
    idle = await crowd.idle()
    crowded = await crowd.phase(0.7 * capacity, options.normal)
    for writer in idle:
        writer.close()
    return {
        "capacity": round(capacity, 1),
        "normal": normal.told(),
        "overload": over.told(),
        "after": after.told(),
        "beside idle lines": crowded.told(),
        "p99 ratio": round(over.p(99) / normal.p(99), 2),
        "p99 ratio beside idle lines": round(crowded.p(99) / normal.p(99), 2),
        "answered in overload over capacity": round(over.answered / capacity, 2),
        "refused without Retry-After": over.no_retry,
        "server CPU s in overload": round(cpu, 1),
        "recovery s": recovery(after, normal.p(99)),
        "normal refused share": round(len(normal.refused) / max(1, sum(normal.outcomes.values())), 4),
    }


def overload(options: argparse.Namespace | None = None) -> dict[str, object]:
    """Starts the service on the workspace and measures."""
    options = options or parser().parse_args([])
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 8_192), most))
    serve = [sys.executable, "-m", "polyscene", "serve", "-w", str(options.workspace), "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log, subprocess.Popen(serve, stderr=log) as service:
        try:
            return asyncio.run(measure(options, url_of(Path(log.name)), service.pid))
        finally:
            service.terminate()


def figures() -> Sequence[Figure]:
    """The overload beside its targets."""
    if not WORKSPACE.is_dir():
        print(f"overload: no {WORKSPACE}; `polyscene demo --no-serve` makes it", file=sys.stderr)
        return []
    found = overload()
    other = {each: n for each, n in found["overload"]["outcomes"].items() if each not in ("200", "503")}
    faults = sum(n for each, n in other.items() if not each.endswith(" 200"))
    return [
        Figure("overload: p99 of accepted over normal", found["p99 ratio"], at_most=2),
        Figure("1,000 idle lines: p99 over normal", found["p99 ratio beside idle lines"], at_most=1.5),
        Figure("overload: neither 200 nor 503", faults, at_most=0, note=str(other)),
        Figure("overload: seconds to recover", found["recovery s"], at_most=10),
        Figure("overload: answered, share of capacity", found["answered in overload over capacity"]),
    ]


def parser() -> argparse.ArgumentParser:
    made = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    made.add_argument("--workspace", type=Path, default=WORKSPACE)
    made.add_argument("--seconds", type=float, default=60, help="how long the overload lasts")
    made.add_argument("--normal", type=float, default=30, help="how long the normal load before it")
    made.add_argument("--times", type=float, default=5)
    made.add_argument("--capacity", type=float, help="skips finding it")
    made.add_argument("--seed", type=int, default=0)
    return made


def main() -> int:
    found = overload(parser().parse_args())
    json.dump(found, sys.stdout, indent=2)
    print()
    return 1 if found["p99 ratio"] > 2 or found["recovery s"] > 10 else 0


if __name__ == "__main__":
    sys.exit(main())
