"""Fifty hot swaps of a bundle under load: failed requests, latency, and memory before and after.

A real server process over a copy of the workspace that `make demo` leaves behind, or over a small one. Two
bundles of one scenario are promoted in turn over the API, canary and all, while clients keep asking.

    python -m bench.swap --swaps 50
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event

import httpx
import numpy as np

from polyscene.artifacts.bundle import Facts
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import tiny_workspace

WORKSPACE = Path("polyscene-demo")
SETTLE_S = 3.0


@dataclass
class Load:
    """Clients that ask one after another, each on a line of its own, until it is over."""

    url: str
    scenario: str
    users: list[str]
    over: Event = field(default_factory=Event)
    outcomes: Counter[str] = field(default_factory=Counter)
    seconds: list[float] = field(default_factory=list)

    def ask(self, seed: int, pause_s: float) -> None:
        draw = np.random.default_rng(seed)
        with httpx.Client(base_url=self.url, timeout=30) as client:
            while not self.over.is_set():
                body = {"scenario": self.scenario, "user": str(draw.choice(self.users)), "k": 10}
                start = time.perf_counter()
                try:
                    reply = client.post("/v1/recommend", json=body)
                    good = reply.status_code == 200 and reply.json()["items"]
                    self.outcomes[
                        str(reply.status_code) if good or reply.status_code != 200 else "empty"
                    ] += 1
                except httpx.HTTPError as error:
                    self.outcomes[type(error).__name__] += 1
                self.seconds.append(time.perf_counter() - start)
                self.over.wait(pause_s)


def resident_mb(pid: int) -> float:
    """Memory of a process in MB (Linux)."""
    text = Path(f"/proc/{pid}/status").read_text()
    return int(re.search(r"VmRSS:\s+(\d+)", text)[1]) * 1024 / 1e6


def threads(pid: int) -> int:
    """Threads of a process (Linux)."""
    return int(re.search(r"Threads:\s+(\d+)", Path(f"/proc/{pid}/status").read_text())[1])


def prepare(folder: Path) -> tuple[Path, str, list[str]]:
    """A workspace of our own, the scenario to swap, and two of its bundles."""
    if WORKSPACE.is_dir():
        space = Workspace.open(Path(shutil.copytree(WORKSPACE, folder / "w")))
    else:
        space = tiny_workspace(folder / "w", items=2_000, users=500)
    shelf, scenario = space.shelf(), "home"
    first = shelf.current(scenario)
    manifest, state = shelf.read(scenario, first)
    facts = {name: getattr(manifest, name) for name in Facts.__struct_fields__}
    second = shelf.add(scenario, state, Facts(**facts | {"created": manifest.created + 1}))
    return space.root, scenario, [first, second]


def swap(client: httpx.Client, scenario: str, bundle: str) -> float:
    start = time.perf_counter()
    client.post(f"/v1/bundles/{scenario}/promote", json={"bundle": bundle}).raise_for_status()
    return time.perf_counter() - start


def measure(swaps: int, clients: int, pause_s: float) -> dict[str, object]:
    """What swapping does to those who ask."""
    with tempfile.TemporaryDirectory() as folder:
        root, scenario, bundles = prepare(Path(folder))
        serve = [sys.executable, "-m", "polyscene", "serve", "-w", str(root), "--port", "0"]
        with tempfile.NamedTemporaryFile("w+") as log, subprocess.Popen(serve, stderr=log) as service:
            try:
                return _under(
                    service.pid, _url(Path(log.name)), scenario, bundles, (swaps, clients, pause_s)
                )
            finally:
                service.terminate()


def _under(
    pid: int, url: str, scenario: str, bundles: list[str], plan: tuple[int, int, float]
) -> dict[str, object]:
    swaps, clients, pause_s = plan
    with httpx.Client(base_url=url, timeout=120) as admin, ThreadPoolExecutor(clients) as pool:
        load = Load(url, scenario, admin.get("/v1/users?n=200").json()["users"])
        asking = [pool.submit(load.ask, seed, pause_s) for seed in range(clients)]
        try:
            for number in range(6):  # both bundles once loaded, every cache filled
                swap(admin, scenario, bundles[number % 2])
            time.sleep(SETTLE_S)
            quiet, count = _ms(load.seconds), len(load.seconds)
            memory, at_work = resident_mb(pid), threads(pid)
            took = [swap(admin, scenario, bundles[number % 2]) for number in range(swaps)]
            time.sleep(SETTLE_S)
            after, at_work_after = resident_mb(pid), threads(pid)
        finally:
            load.over.set()
        for each in asking:
            each.result()
    return {
        "swaps": swaps,
        "requests": sum(load.outcomes.values()),
        "failed": sum(load.outcomes.values()) - load.outcomes["200"],
        "outcomes": dict(load.outcomes),
        "latency_ms_before": quiet,
        "latency_ms_during": _ms(load.seconds[count:]),
        "promote_s_median": round(float(np.median(took)), 3),
        "rss_mb": [round(memory, 1), round(after, 1)],
        "rss_ratio": round(after / memory, 4),
        "threads": [at_work, at_work_after],
    }


def _ms(seconds: list[float]) -> dict[str, float]:
    values = np.percentile(np.array(seconds) * 1e3, (50, 99))
    return dict(zip(("p50", "p99"), (round(float(each), 1) for each in values), strict=True))


def _url(log: Path) -> str:
    for _ in range(1_200):
        told = re.search(r"http://[^/\s]+", log.read_text(encoding="utf-8"))
        if told:
            return told[0]
        time.sleep(0.1)
    raise TimeoutError(f"the service told no address: {log.read_text(encoding='utf-8')}")


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--swaps", type=int, default=50)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--pause", type=float, default=0.02, help="seconds a client thinks between asks")
    options = parser.parse_args()
    found = measure(options.swaps, options.clients, options.pause)
    print(json.dumps(found, indent=2))
    return 1 if found["failed"] or found["rss_ratio"] > 1.05 else 0


if __name__ == "__main__":
    sys.exit(main())
