"""The console on 100,000 items: what each of its calls costs the service, one after another.

    python -m bench.console

Makes a workspace of 100,000 items, 20,000 users and 500,000 events in a temporary folder, serves it, and
asks what the pages ask. CPU milliseconds of the whole process a call, median of `ROUNDS`, after a warm-up.
"""

import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import numpy as np

from polyscene.core.clock import SystemClock
from polyscene.core.contracts import silent
from polyscene.events.event import ItemPut
from polyscene.events.log import Bulk
from polyscene.jobs.train import TrainRequest, train
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import live

ITEMS, USERS, EVENTS, ROUNDS = 100_000, 20_000, 500_000, 7
SCENARIOS = {
    "home": """[[stages]]
kind = "union"
of = [{ kind = "covisit", take = 100 }, { kind = "popular", take = 50 }]""",
    "related": 'anchors = "context"\n[[stages]]\nkind = "covisit"',
}
ADJECTIVES, NOUNS = ("red", "quiet", "last", "second", "northern"), ("river", "house", "letter", "garden")


def main() -> None:
    """Prints a line per call."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "workspace"
        _fill(root)
        with live(root) as url, httpx.Client(base_url=url, timeout=60) as client:
            sys.stdout.write(f"{'call':<28} {'CPU ms':>8} {'wall ms':>8} {'KB':>8}\n")
            for name, call in _calls(client):
                _measure(name, call)


def _fill(root: Path) -> None:
    space, rng, now = Workspace.create(root), np.random.default_rng(7), SystemClock().now()
    for path in (root / "scenarios").iterdir():
        path.unlink()
    for name, text in SCENARIOS.items():
        (root / "scenarios" / f"{name}.toml").write_text(f'scenario = "{name}"\n{text}\n', encoding="utf-8")
    log = space.log()
    for start in range(0, ITEMS, 10_000):
        log.append([_put(number, now) for number in range(start, start + 10_000)])
    items = np.minimum(rng.zipf(1.2, EVENTS) - 1, ITEMS - 1)
    log.append_columns(
        Bulk(
            source="made",
            rows=range(EVENTS),
            users=[f"u{each}" for each in rng.integers(0, USERS, EVENTS)],
            items=[f"i{each}" for each in items],
            actions=["click"] * EVENTS,
            scenarios=[""] * EVENTS,
            times=(now - rng.integers(0, 90 * 86_400_000, EVENTS)).tolist(),
            values=[1.0] * EVENTS,
        )
    )
    log.close()
    train(space, TrainRequest(holdout=False), silent)


def _put(number: int, now: int) -> ItemPut:
    words = (ADJECTIVES[number % 5], NOUNS[number // 5 % 4])
    title = f"The {words[0]} {words[1]} {number}"
    return ItemPut(id=f"i{number}", time=now, attributes={"title": title, "year": 1950 + number % 75})


def _calls(client: httpx.Client) -> Iterator[tuple[str, Callable[[], httpx.Response]]]:
    gets = {
        "overview": "/v1/overview",
        "scenarios": "/v1/scenarios",
        "scenario": "/v1/scenarios/home",
        "items, first page": "/v1/items?n=50",
        "search, two words": "/v1/items?query=river+777&n=8",
        "search, 20,000 hits": "/v1/items?query=red&n=200",
        "users, first page": "/v1/users?n=50",
        "user": "/v1/users/u7",
        "history": "/v1/users/u7/history?n=20",
        "item": "/v1/items/i0",
        "item, days": "/v1/items/i0/activity",
        "item, events": "/v1/events?item=i0&n=20",
        "events": "/v1/events?n=20",
        "requests": "/v1/requests?n=50",
        "bundles": "/v1/bundles",
    }
    for name, path in gets.items():
        yield name, lambda path=path: client.get(path)
    yield "rehearsal of home", lambda: client.post("/v1/scenarios/home/try", json={"user": "u7", "k": 10})
    near = {"context": {"anchors": ["i0"]}, "k": 10}
    yield "rehearsal of related", lambda: client.post("/v1/scenarios/related/try", json=near)


def _measure(name: str, call: Callable[[], httpx.Response]) -> None:
    reply = call().raise_for_status()
    cpu, wall = [], []
    for _ in range(ROUNDS):
        spent, began = time.process_time(), time.perf_counter()
        call().raise_for_status()
        cpu.append((time.process_time() - spent) * 1e3)
        wall.append((time.perf_counter() - began) * 1e3)
    kilobytes = len(reply.content) / 1e3
    cells = f"{statistics.median(cpu):>8.1f} {statistics.median(wall):>8.1f} {kilobytes:>8.1f}"
    sys.stdout.write(f"{name:<28} {cells}\n")


if __name__ == "__main__":
    main()
