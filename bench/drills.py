"""The fault drills at full length: twenty kills of a loaded server, and how soon it is ready again.

    python -m bench.drills               the suites of tests/faults with twenty kills, then restarts
    python -m bench.drills --kills 50

Ready means that /readyz says so, five seconds at most; a quiet machine is assumed.
"""

import argparse
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import httpx

from polyscene.testing.service import tiny_workspace

LIMIT_S = 5.0
BORN = 1_700_000_000_000


def start(root: Path) -> tuple[subprocess.Popen[bytes], str, float]:
    """A serving process, its URL, and the seconds until it was ready."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    began = time.perf_counter()
    command = [sys.executable, "-m", "polyscene", "serve", "-w", str(root), "--port", str(port)]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    url = f"http://127.0.0.1:{port}"
    with httpx.Client(base_url=url) as client:
        while True:
            try:
                if client.get("/readyz").status_code == 200:
                    return process, url, time.perf_counter() - began
            except httpx.TransportError:
                time.sleep(0.02)


def restarts(kills: int) -> list[float]:
    """Seconds until ready after each kill under posts."""
    chance, seconds = random.Random(7), []
    with TemporaryDirectory() as name:
        root = tiny_workspace(Path(name) / "w").root
        for round_ in range(kills + 1):
            process, url, ready = start(root)
            if round_:
                seconds.append(ready)
            with httpx.Client(base_url=url) as client:
                for number in range(chance.randrange(50, 300)):
                    body = {"id": f"{round_}-{number}", "user": "u1", "item": "i1", "time": BORN + number}
                    client.post("/v1/event", json=body).raise_for_status()
            os.kill(process.pid, signal.SIGKILL)
            process.wait()
    return seconds


def main() -> None:
    """Runs the suites, then the restarts; exits with 1 when a drill fails."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--kills", type=int, default=20)
    kills = parser.parse_args().kills
    suite = [sys.executable, "-m", "pytest", "-q", "tests/faults"]
    failed = subprocess.run(
        suite, env={**os.environ, "POLYSCENE_DRILL_KILLS": str(kills)}, check=False
    ).returncode
    seconds = restarts(kills)
    worst = max(seconds)
    print(
        f"ready again after a kill: median {statistics.median(seconds):.2f} s, "
        f"worst {worst:.2f} s, limit {LIMIT_S} s"
    )
    raise SystemExit(1 if failed or worst > LIMIT_S else 0)


if __name__ == "__main__":
    main()
