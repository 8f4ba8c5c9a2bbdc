"""What the console shows beyond the API of clients."""

from typing import Annotated, Any

import msgspec

from polyscene.dataset.quality.finding import Quality
from polyscene.jobs.glance import DayCount, RequestLine, State
from polyscene.observe.rates import Figures
from polyscene.scenario.ask import Answer
from polyscene.serve.wire.answers import Context, PastBody
from polyscene.serve.wire.base import Cursor, Id, Strict


class OverviewParams(Strict, frozen=True, kw_only=True):
    """Seconds that one point of the curves stands for."""

    step: Annotated[int, msgspec.Meta(ge=1, le=60)] = 5


class Traffic(msgspec.Struct, frozen=True, kw_only=True):
    """The last minutes; all lists are equally long, oldest first, one place a step.

    `starts`: UTC ms. `requests`: by route group. `refused` (4xx), `failed` (5xx) and times over all groups.
    """

    step_s: int
    starts: list[int]
    requests: dict[str, list[int]]
    refused: list[int]
    failed: list[int]
    p50_ms: list[float | None]
    p95_ms: list[float | None]
    p99_ms: list[float | None]
    groups: dict[str, Figures]


class Queue(msgspec.Struct, frozen=True, kw_only=True):
    """Calls that are in the house, and how many may be before new ones are turned away."""

    name: str
    inside: int
    limit: int


class Overview(msgspec.Struct, frozen=True, kw_only=True):
    """How the service is. `now` in UTC ms, `memory` (resident) in bytes."""

    version: str
    now: int
    uptime_s: float
    memory: int
    traffic: Traffic
    queues: list[Queue]
    state: State
    problems: list[str]


class RequestsParams(Strict, frozen=True, kw_only=True):
    """Whose requests, how many, from where; everybody's without a `user`."""

    user: Id | None = None
    cursor: Cursor | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20


class RequestPlace(msgspec.Struct, frozen=True, array_like=True):
    """Where a list of requests goes on."""

    time: Annotated[int, msgspec.Meta(ge=0, lt=1 << 62)]
    request_id: Id


class Requests(msgspec.Struct, frozen=True, kw_only=True):
    """Logged requests, newest first. `cursor` leads to earlier ones; None at the end."""

    requests: list[RequestLine]
    cursor: str | None = None


class Activity(msgspec.Struct, frozen=True, kw_only=True):
    """What was done with an item, by day, then action."""

    item: str
    days: list[DayCount]


class QualityReport(msgspec.Struct, frozen=True, kw_only=True):
    """The newest report on the data; None before the first job of the kind ``quality`` is done."""

    report: Quality | None


class TryBody(Strict, frozen=True, kw_only=True):
    """An ask that nobody is shown the answer of; the fields are those of `POST /v1/recommend`."""

    user: Id | None = None
    history: Annotated[list[PastBody], msgspec.Meta(max_length=1000)] | None = None
    k: Annotated[int, msgspec.Meta(ge=1, le=200)] | None = None
    context: Context = {}
    filter: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    exclude: Annotated[list[Id], msgspec.Meta(max_length=1000)] = []


class Tried(msgspec.Struct, frozen=True, kw_only=True):
    """The answer that would be given, and as in a trace how it came about."""

    answer: Answer
    chain: list[dict[str, Any]]
