"""A service under open-loop load, started on the workspace that `make demo` leaves behind."""

import json
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import torch
from threadpoolctl import threadpool_limits

from bench.board import Figure
from polyscene.jobs.engine import Engine
from polyscene.scenario.ask import Ask

WORKSPACE = Path("polyscene-demo")
RATE, SECONDS = 50, 120


def under_load() -> Sequence[Figure]:
    """50 requests a second for two minutes to the front page; latency counts from when each was due."""
    if not WORKSPACE.is_dir():
        print(f"serving: no {WORKSPACE}; `polyscene demo --no-serve` makes it", file=sys.stderr)
        return []
    alone_ms = _engine_alone()
    serve = [sys.executable, "-m", "polyscene", "serve", "-w", str(WORKSPACE), "--port", "0"]
    with tempfile.NamedTemporaryFile("w+") as log, subprocess.Popen(serve, stderr=log) as service:
        try:
            found = _load(url_of(Path(log.name)), service.pid)
        finally:
            service.terminate()
    latency = found["latency_ms"]
    return [
        Figure("errors", found["errors"], at_most=0, note=f"of {found['requests']} requests"),
        Figure("CPU ms a request", found["server_cpu_ms_per_request"], at_most=6, note="whole process"),
        Figure("CPU ms a request, engine alone", alone_ms, note="no HTTP, one after another, warm caches"),
        Figure("latency p50, ms", latency["p50"], note=f"p95 {latency['p95']}, p99 {latency['p99']}"),
    ]


def _engine_alone(warm: int = 50, count: int = 300) -> float:
    """CPU milliseconds of one recommendation in this process, each for another user."""
    with threadpool_limits(1), Engine.open(WORKSPACE) as engine:
        torch.set_num_threads(1)
        asks = [Ask(scenario="home", user=user, k=10) for user in engine.lookup.sample(warm + count)]
        for ask in asks[:warm]:
            engine.recommend(ask)
        before = time.process_time()
        for ask in asks[warm:]:
            engine.recommend(ask)
        return (time.process_time() - before) / count * 1e3


def url_of(log: Path) -> str:
    """The address that the service tells once it accepts requests; TimeoutError after a minute."""
    for _ in range(600):
        told = re.search(r"http://[^/\s]+", log.read_text(encoding="utf-8"))
        if told:
            return told[0]
        time.sleep(0.1)
    raise TimeoutError(f"the service told no address: {log.read_text(encoding='utf-8')}")


def _load(url: str, pid: int) -> dict:
    words = {"--rate": RATE, "--seconds": SECONDS, "--warm": 10, "--scenario": "home", "--pid": pid}
    script = Path(__file__).with_name("load.py")
    command = [sys.executable, str(script), url, *(str(word) for pair in words.items() for word in pair)]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return json.loads(done.stdout)
