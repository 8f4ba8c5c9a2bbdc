"""A tiny workspace that is really fitted, and a real server over it, for whatever calls the service."""

import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event as Signal
from threading import Thread

from polyscene.core.clock import DAY_MS
from polyscene.core.contracts import silent
from polyscene.events.event import Attributes, Event, ItemPut
from polyscene.jobs import keys
from polyscene.jobs.engine import Engine
from polyscene.jobs.train import TrainRequest, train
from polyscene.jobs.workspace import Workspace
from polyscene.serve.app import create_app
from polyscene.serve.run import Server
from polyscene.serve.settings import Settings
from polyscene.testing.worlds import START_MS

GENRES = ("Drama", "Comedy")
SCENARIOS = {
    "home": """
scenario = "home"
slate = 5
fallback = "popular"

[[stages]]
kind = "union"
of = [{ kind = "covisit", take = 8 }, { kind = "popular", take = 8 }, { kind = "fresh", take = 4 }]

[[stages]]
kind = "explore"
epsilon = 0.2
""",
    "next": """
scenario = "next"
slate = 3

[[stages]]
kind = "covisit"
""",
    "popular": """
scenario = "popular"
slate = 5

[[stages]]
kind = "popular"
""",
}


def tiny_workspace(root: Path, items: int = 16, users: int = 24) -> Workspace:
    """A fitted workspace with the three `SCENARIOS`.

    Item ``i<n>`` has title "Title n", year 1980 + n, and genre Drama (even) or Comedy (odd). User ``u<n>``
    walks four steps round the circle of one genre, so what comes next is known to who sees order.
    """
    space = Workspace.create(root)
    for starter in (root / "scenarios").iterdir():
        starter.unlink()
    for name, text in SCENARIOS.items():
        (root / "scenarios" / f"{name}.toml").write_text(text, encoding="utf-8")
    log = space.log()
    log.append([_put(item) for item in range(items)])
    log.append([_event(user, step, items) for user in range(users) for step in range(4)])
    log.close()
    train(space, TrainRequest(holdout=False), silent)
    return space


@contextmanager
def live(root: Path, settings: Settings | None = None) -> Iterator[str]:
    """The URL of a server over the workspace at `root`, on a free loopback port, while it is open."""
    settings, ready = settings or Settings(), Signal()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        app = create_app(Engine.open(root), settings, keys=root / keys.FILE)
        server = Server(app, settings, ready.set)
        thread = Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
        thread.start()
        ready.wait(30)
        try:
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(30)


def _put(item: int) -> ItemPut:
    attributes: Attributes = {"title": f"Title {item}", "year": 1980 + item, "genre": [GENRES[item % 2]]}
    return ItemPut(id=f"i{item}", time=START_MS, attributes=attributes)


def _event(user: int, step: int, items: int) -> Event:
    item = (user + 2 * step) % items
    return Event(id=f"e{user}-{step}", user=f"u{user}", item=f"i{item}", time=START_MS + step * DAY_MS)
