"""What a record must be before the log takes it; errors name the index and the field."""

import math
import re
from collections.abc import Iterator, Sequence

import numpy as np

from polyscene.core.clock import DAY_MS, show_time
from polyscene.core.errors import ConflictError, InputError
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, Merge, Posted, UserPut
from polyscene.events.log import Bulk, Once

OLDEST = 631_152_000_000
"""1990-01-01 in UTC ms; what is older is most likely a time in seconds."""
SKEW_MS = DAY_MS
"""How far a client's clock may run ahead."""
MAX_ATTRIBUTES = 256
MAX_ATTRIBUTE_CHARACTERS = 65_536
_EXACT = 1 << 53
"""Up to here every integer is a double, so no reader in another language or column reads it wrong."""
_BAD_TEXT = re.compile(r"[\x00-\x1f\x7f-\x9f\ud800-\udfff]")
_BAD_INSIDE = re.compile(r"[\ud800-\udfff\x00]")
_KEY = re.compile(r"[\x20-\x7e]{1,255}")


def check_records(records: Sequence[Posted], now: int | None = None) -> None:
    """Nothing, if every record may be kept.

    Args:
        records: What a client wants to append.
        now: UTC ms; times must lie between 1990 and a day after it. None (imports without a clock) takes
            any number below 2**53.

    Raises:
        InputError: The first problem, such as ``records[3].value: expected a finite number, got nan``.
    """
    for index, record in enumerate(records):
        for problem in _problems(record, now):
            raise InputError(
                f"records[{index}].{problem}; nothing of this batch was kept: mend it, send it again"
            )


def fault_of(record: Posted, now: int | None = None) -> str:
    """The first thing that `check_records` would refuse a record for, field first; empty if none."""
    return next(_problems(record, now), "")


def check_once(once: Once) -> None:
    """Nothing, if an idempotency key may be kept. Raises InputError with the field otherwise."""
    if not isinstance(once.key, str) or not _KEY.fullmatch(once.key):
        raise InputError(f"once.key: expected 1 to 255 printable ASCII characters, got {once.key!r}")
    if not isinstance(once.digest, bytes) or len(once.digest) != 16:
        raise InputError(f"once.digest: expected 16 bytes, got {once.digest!r}")


def other_digest(once: Once) -> ConflictError:
    """What a log raises when a key comes again with a request that says something else."""
    return ConflictError(
        f"idempotency key {once.key!r}: it was used for another request within the last day; "
        "give every new request a key of its own; nothing of this one was kept"
    )


def check_exposure(exposure: Exposure) -> None:
    """Nothing, if an exposure may be kept. Raises InputError with the field otherwise."""
    count = len(exposure.items)
    if not len(exposure.scores) == len(exposure.propensities) == count:
        raise InputError(
            f"exposure.scores, exposure.propensities: expected {count} each, as many as items, got "
            f"{len(exposure.scores)} and {len(exposure.propensities)}"
        )
    for problem in (_id("request_id", exposure.request_id), exposure.user and _id("user", exposure.user)):
        if problem:
            raise InputError(f"exposure.{problem}")


def check_bulk(bulk: Bulk) -> None:
    """Nothing, if all interactions of a bulk may be kept.

    Raises:
        InputError: Columns of unequal length, a bad id, or a number that is not finite.
    """
    columns = {name: getattr(bulk, name) for name in ("users", "items", "actions", "scenarios")}
    for name in ("times", "values"):
        columns[name] = getattr(bulk, name)
    for name, column in columns.items():
        if len(column) != len(bulk):
            raise InputError(
                f"{bulk.source}.{name}: expected {len(bulk)} values, as many as rows, got {len(column)}"
            )
    limits = {"users": (512, 1), "items": (512, 1), "actions": (128, 1), "scenarios": (128, 0)}
    for name, (most, least) in limits.items():
        for text in set(columns[name]):
            if problem := _id(name, text, most, least):
                raise InputError(f"{bulk.source}.{problem} in row {bulk.rows[columns[name].index(text)]}")
    bad = np.flatnonzero(~np.isfinite(np.asarray(bulk.values, np.float64)))
    if len(bad):
        first = bad[0]
        raise InputError(
            f"{bulk.source}.values: expected finite numbers, "
            f"got {bulk.values[first]} in row {bulk.rows[first]}"
        )


def _problems(record: object, now: int | None) -> Iterator[str]:
    if isinstance(record, Event):
        found = (*_event_problems(record), _time(record.time, now), _attributes(record.attributes))
    elif isinstance(record, ItemPut):
        found = (
            _id("id", record.id),
            _id("kind", record.kind, 128),
            _time(record.time, now),
            _attributes(record.attributes),
        )
    elif isinstance(record, UserPut):
        found = (_id("id", record.id), _time(record.time, now), _attributes(record.attributes))
    elif isinstance(record, EdgePut):
        found = (*_edge_problems(record), _time(record.time, now))
    elif isinstance(record, Merge):
        found = (*_merge_problems(record), _time(record.time, now))
    else:
        kinds = "Event, ItemPut, UserPut, EdgePut or Merge"
        found = (f"type: expected {kinds}, got {type(record).__name__}",)
    return filter(None, found)


def _event_problems(event: Event) -> Iterator[str]:
    yield _id("id", event.id)
    yield _id("user", event.user)
    yield _id("item", event.item)
    yield _id("action", event.action, 128)
    yield _id("scenario", event.scenario, 128, least=0)
    if event.request_id is not None:
        yield _id("request_id", event.request_id)
    if event.position is not None and not 0 <= event.position <= _EXACT:
        yield f"position: expected a place from 0 on, got {event.position!r}"
    if not _finite(event.value):
        yield f"value: expected a finite number, got {event.value!r}"


def _edge_problems(edge: EdgePut) -> Iterator[str]:
    yield _id("source", edge.source)
    yield _id("relation", edge.relation, 128)
    yield _id("target", edge.target)
    if not _finite(edge.weight):
        yield f"weight: expected a finite number, got {edge.weight!r}"


def _merge_problems(merge: Merge) -> Iterator[str]:
    yield _id("source", merge.source)
    yield _id("target", merge.target)
    if merge.source == merge.target:
        yield f"source: expected another user than the target, got {merge.source!r} for both"


def _id(field: str, text: object, most: int = 512, least: int = 1) -> str:
    if not isinstance(text, str):
        return f"{field}: expected text, got {text!r}"
    if not least <= len(text) <= most:
        return f"{field}: expected {least} to {most} characters, got {len(text)}"
    if _BAD_TEXT.search(text):
        return f"{field}: control characters and lone surrogates are not allowed, got {text!r}"
    return ""


def _finite(value: object) -> bool:
    if isinstance(value, int):
        return -_EXACT <= value <= _EXACT
    return isinstance(value, float) and math.isfinite(value)


def _time(time: object, now: int | None) -> str:
    if type(time) is not int or not -_EXACT <= time <= _EXACT:
        return f"time: expected UTC milliseconds as an integer below 2**53, got {time!r}"
    if now is not None and not OLDEST <= time <= now + SKEW_MS:
        last = show_time(now + SKEW_MS)
        return f"time: expected UTC milliseconds from 1990 to {last}, got {time} (seconds? times 1000)"
    return ""


def _attributes(attributes: object) -> str:
    if not isinstance(attributes, dict):
        return f"attributes: expected a flat table, got {type(attributes).__name__}"
    if len(attributes) > MAX_ATTRIBUTES:
        return f"attributes: expected at most {MAX_ATTRIBUTES}, got {len(attributes)}"
    size = 0
    for key, value in attributes.items():
        texts = value if isinstance(value, list) else [value] if isinstance(value, str) else []
        if problem := _id("name", key, 128) or _attribute(value, texts):
            return f"attributes[{key!r}]: {problem}"
        size += sum(map(len, texts)) + len(texts) + len(key)
    if size > MAX_ATTRIBUTE_CHARACTERS:
        return f"attributes: expected at most {MAX_ATTRIBUTE_CHARACTERS} characters in all, got {size}"
    return ""


def _attribute(value: object, texts: list[object]) -> str:
    if not all(isinstance(text, str) and not _BAD_INSIDE.search(text) for text in texts):
        return "expected text without NUL or lone surrogates, or a list of such texts"
    if not (value is None or isinstance(value, str | list | bool) or _finite(value)):
        return f"expected a finite number, text, true or false, or a list of texts, got {value!r}"
    return ""
