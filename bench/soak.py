"""A service for as long as you like at 70 % of what it can: answers, events, swaps and hostile requests.

    python -m bench.soak --minutes 30                    the workspace that `polyscene demo` leaves behind
    python -m bench.soak --minutes 2 --workspace W --rate 20

Prints a row a minute (p99 of answers from when each was due, refusals, errors, memory, open files), then
the slope of the memory over the second half, in MB an hour. Ends with 1 when a request failed or files
leaked.
"""

import argparse
import asyncio
import json
import os
import random
import subprocess
import sys
import tempfile
from collections import Counter
from pathlib import Path

import numpy as np

from bench.load import Line
from bench.overload import SCENARIO, Crowd, Phase
from bench.serving import WORKSPACE, url_of
from polyscene.jobs.workspace import Workspace
from polyscene.serve.app import OPERATIONS
from polyscene.testing.hostile import hostile
from polyscene.testing.raw import send

SWAP_S, HOSTILE_S, EVENT_S = 20.0, 1.0, 0.2
NO_JOBS = [each for each in OPERATIONS if not each.path.startswith(("/v1/jobs", "/v1/bundles"))]


def memory_mb(pid: int) -> float:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") / 1e6


def files(pid: int) -> int:
    return len(list(Path(f"/proc/{pid}/fd").iterdir()))


class Soak:
    """What runs beside the answers, and what came of it."""

    def __init__(self, url: str, workspace: Path, seed: int) -> None:
        self.url, self.draw = url, random.Random(seed)
        self.host, _, port = url.removeprefix("http://").partition(":")
        self.port = int(port)
        self.shelf = Workspace.open(workspace).shelf()
        self.bundles = [each.id for each in self.shelf.list(SCENARIO)][:2]
        self.attack = hostile(NO_JOBS, 1_000, seed)
        self.outcomes: Counter[str] = Counter()

    async def events(self) -> None:
        line = Line(self.host, self.port)
        while True:
            event = {
                "id": f"s{self.draw.getrandbits(60)}",
                "user": f"soak-{self.draw.randrange(100)}",
                "item": "1",
            }
            status, _ = await line.call("POST", "/v1/events", {"events": [event]})
            self.outcomes[f"event {status}"] += 1
            await asyncio.sleep(EVENT_S)

    async def swaps(self) -> None:
        for turn in range(1_000_000):
            await asyncio.sleep(SWAP_S)
            if len(self.bundles) > 1:
                bundle = self.bundles[turn % 2]
                await asyncio.to_thread(self.shelf.promote, SCENARIO, bundle, forced="soak")
                self.outcomes["swap"] += 1

    async def attacks(self) -> None:
        while True:
            await asyncio.sleep(HOSTILE_S)
            for reply in await asyncio.to_thread(send, self.url, self.draw.choice(self.attack).parts, 2.0):
                self.outcomes[f"hostile {reply.status // 100}xx"] += reply.status != 503

    async def run(self, rate: float, minutes: float, pid: int) -> list[dict[str, object]]:
        _, found = await Line(self.host, self.port).call("GET", "/v1/users?n=1000")
        crowd = Crowd(self.url, found["users"], 1)
        if not rate:
            rate = 0.7 * await crowd.capacity(10)
        beside = [asyncio.create_task(each()) for each in (self.events, self.swaps, self.attacks)]
        rows = []
        for minute in range(max(1, round(minutes))):
            phase = await crowd.phase(rate, min(60.0, minutes * 60))
            rows.append(self._row(minute, phase, pid))
            print(json.dumps(rows[-1]), flush=True)
        for task in beside:
            task.cancel()
        for ended in await asyncio.gather(*beside, return_exceptions=True):
            if not isinstance(ended, asyncio.CancelledError):
                raise ended
        return rows

    def _row(self, minute: int, phase: Phase, pid: int) -> dict[str, object]:
        row = {
            "minute": minute,
            "rate": round(phase.rate, 1),
            "p99 ms": round(phase.p(99), 1),
            "outcomes": dict(phase.outcomes + self.outcomes),
            "memory MB": round(memory_mb(pid), 1),
            "files": files(pid),
        }
        self.outcomes.clear()
        return row


def told(rows: list[dict[str, object]]) -> dict[str, object]:
    later = rows[len(rows) // 2 :]
    memory = [float(str(row["memory MB"])) for row in later]
    slope = float(np.polyfit(range(len(memory)), memory, 1)[0]) * 60 if len(memory) > 1 else 0.0
    good = {"200", "503", "/healthz 200", "event 200", "swap", "hostile 1xx", "hostile 2xx", "hostile 3xx"}
    good |= {"hostile 4xx", "event 503"}
    bad: Counter[str] = Counter()
    for row in rows:
        outcomes: dict[str, int] = row["outcomes"]  # type: ignore[assignment]
        bad.update({name: n for name, n in outcomes.items() if name not in good and n})
    return {
        "memory slope, MB an hour": round(slope, 1),
        "files": [row["files"] for row in rows],
        "errors": dict(bad),
    }


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--minutes", type=float, default=30)
    parser.add_argument("--workspace", type=Path, default=WORKSPACE)
    parser.add_argument(
        "--rate", type=float, default=0, help="requests a second; 70 %% of the found capacity without"
    )
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    serve = [sys.executable, "-m", "polyscene", "serve", "-w", str(options.workspace), "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log, subprocess.Popen(serve, stderr=log) as service:
        try:
            url = url_of(Path(log.name))
            soak = Soak(url, options.workspace, options.seed)
            found = told(asyncio.run(soak.run(options.rate, options.minutes, service.pid)))
        finally:
            service.terminate()
    print(json.dumps(found, indent=2))
    counts = [int(str(n)) for n in found["files"]]  # type: ignore[union-attr]
    return 1 if found["errors"] or counts[-1] > counts[len(counts) // 2] + 20 else 0


if __name__ == "__main__":
    sys.exit(main())
