"""What a look at a running workspace answers with: plain records, which clients read too."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec


@dataclass(frozen=True, slots=True)
class InService:
    """A bundle that answers; `behind`: records that came after its fit. Times in UTC ms."""

    scenario: str
    bundle: str
    created: int
    behind: int | None
    metrics: dict[str, float | None]


@dataclass(frozen=True, slots=True)
class State:
    """Where the workspace stands.

    `absorbed`: log position up to which answers see everything. `newest_event`: its time (UTC ms; None:
    no event yet). Sizes in bytes. `untrained`: scenarios without a bundle.
    """

    position: int
    absorbed: int
    newest_event: int | None
    users: int
    items: int
    log_bytes: int
    disk_free: int
    disk_total: int
    in_service: list[InService]
    untrained: list[str]


@dataclass(frozen=True, slots=True)
class RequestLine:
    """One logged request in short; `items` are the first of `count`."""

    request_id: str
    scenario: str
    bundle: str
    user: str | None
    time: int
    count: int
    items: list[str]
    skipped: list[str]
    notes: list[str]


@dataclass(frozen=True, slots=True)
class DayCount:
    """How often something was done with an item on a UTC day (ms of its start); a slate is an exposure."""

    day: int
    action: str
    count: int


class BundleDetail(msgspec.Struct, frozen=True, kw_only=True):
    """All that is known of one bundle. `size` in bytes; `created` UTC ms; `config` is its scenario."""

    scenario: str
    bundle: str
    current: bool
    size: int
    created: int
    parent: str | None
    metrics: Mapping[str, float | None]
    notes: tuple[str, ...]
    log_position: int | None
    data: str
    code: str
    config: Mapping[str, Any]


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What serves now, what did before, and the checks that it failed where it was forced."""

    scenario: str
    bundle: str
    instead_of: str | None
    forced: str = ""
