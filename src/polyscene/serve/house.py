"""What every route reaches: the engine, the limits, and the desks that keep work off the event loop."""

from dataclasses import dataclass

from starlette.requests import Request

from polyscene.core.clock import Clock
from polyscene.jobs.engine import Engine
from polyscene.serve.desk import Desk
from polyscene.serve.settings import Settings


@dataclass(frozen=True, slots=True)
class House:
    """The parts of one running service.

    `readers` score and look up; `writers` wait for the disk. They are apart, so that a slow disk does
    not hold up recommendations.
    """

    engine: Engine
    clock: Clock
    settings: Settings
    readers: Desk
    writers: Desk


def house(request: Request) -> House:
    """The house that serves this request."""
    found: House = request.app.state.house
    return found
