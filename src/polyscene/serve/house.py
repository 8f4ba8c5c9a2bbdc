"""What every route reaches: the engine, the limits, and the desks that keep work off the event loop."""

from dataclasses import dataclass
from threading import Event

from starlette.requests import Request

from polyscene.core.clock import Clock
from polyscene.jobs.engine import Engine
from polyscene.observe.rates import Rates
from polyscene.serve.access import Access
from polyscene.serve.desk import Desk
from polyscene.serve.readiness import Readiness
from polyscene.serve.settings import Settings


@dataclass(frozen=True, slots=True)
class House:
    """The parts of one running service.

    `readers` score and look up; `writers` wait for the disk. They are apart, so that a slow disk does
    not hold up recommendations. `watch` answers whoever looks after the service, also when readers are
    full. `started` on the monotonic clock. `draining` is set once the service was told to end.
    """

    engine: Engine
    clock: Clock
    settings: Settings
    readers: Desk
    writers: Desk
    watch: Desk
    rates: Rates
    access: Access
    readiness: Readiness
    draining: Event
    started: float


def house(request: Request) -> House:
    """The house that serves this request."""
    found: House = request.app.state.house
    return found
