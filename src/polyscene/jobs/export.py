"""Recommendations for everybody at once, into a file: for mail, for a cache, for a partner."""

import csv
import io
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Annotated, Any, Literal

import msgspec

from polyscene.artifacts.files import refused, replace_synced
from polyscene.core.clock import SystemClock
from polyscene.core.contracts import Progress, bars
from polyscene.core.errors import ConflictError, NotFoundError
from polyscene.dataset.moment import Moment
from polyscene.dataset.world import World
from polyscene.events.event import Exposure
from polyscene.events.log import LogReader
from polyscene.jobs.answers import exposure_of
from polyscene.jobs.loader import Loader
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.answer import Served, recommend_all
from polyscene.scenario.ask import Answer, Ask

BLOCK = 256
"""Users that are answered in one run."""
COLUMNS = ("user", "position", "item", "score", "scenario", "bundle", "request_id")
FORMULA = ("=", "+", "-", "@", "\t", "\r")
"""Heads of cells that a spreadsheet would calculate; such a text gets an apostrophe before it."""
Keep = Callable[[Exposure], None]


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Whom to recommend what. `users` None: everybody who is known.

    `log_exposures`: the slates count as shown, so that later events can be attributed to them. `resume`: id
    of an export job that did not end; its file is continued, as of its moment.
    """

    scenario: Annotated[str, msgspec.Meta(min_length=1, max_length=128)]
    k: Annotated[int, msgspec.Meta(ge=1, le=1000)] | None = None
    users: Annotated[list[str], msgspec.Meta(max_length=100_000)] | None = None
    format: Literal["ndjson", "csv"] = "ndjson"
    filter: Annotated[str, msgspec.Meta(max_length=2000)] | None = None
    context: dict[str, str | float] = {}
    log_exposures: bool = False
    resume: str | None = None


class ExportReport(msgspec.Struct, frozen=True, kw_only=True):
    """What is in the file: users asked for, those among them with an empty slate, items in all."""

    users: int
    empty: int
    items: int
    size: int


class _Mark(msgspec.Struct, kw_only=True):
    """How far an export came: what stands beside its file until it is whole."""

    request: ExportRequest
    position: int
    at: int
    bundles: dict[str, str]
    done: int = 0
    size: int = 0
    users: int = 0
    empty: int = 0
    items: int = 0


def export(
    workspace: Workspace,
    request: ExportRequest,
    path: Path,
    progress: Progress,
    *,
    log: LogReader,
    keep: Keep | None = None,
) -> ExportReport:
    """Answers every user in blocks, as of one moment, through the pipeline that serves.

    Until it is whole the file is ``<path>.part``. Where that is there already it is continued, after the
    last user who is wholly in it.

    Args:
        workspace: Whose users and bundles.
        request: What to export.
        path: The file to make.
        progress: Told of every block.
        log: The workspace's log.
        keep: Given every exposure, if they are to be logged.

    Raises:
        NotFoundError: The scenario has no bundle, or the one that a resumed export needs is gone.
        ConflictError: The unfinished file is of another request.
        InputError: A wrong filter or context.
        StoreError: The disk refused; export again to continue.
    """
    world, part = World.open(log), path.with_name(path.name + ".part")
    loader = Loader(workspace.shelf(), world)
    mark = _begin(workspace, request, part, world)
    loaded = {name: loader.load(name, bundle) for name, bundle in mark.bundles.items()}
    # By code, so that a resumed export goes on at the right place even if somebody was erased meanwhile.
    users = request.users if request.users is not None else world.users.ids
    starts = range(mark.done, len(users), BLOCK)
    with refused(part, "write"), part.open("r+b" if part.exists() else "w+b") as file:
        file.truncate(mark.size)
        file.seek(mark.size)
        moment = world.as_of(mark.position)
        served = {name: each.served for name, each in loaded.items()}
        writer = _Writer(mark, served, moment, path.stem, file)
        with bars(progress, "export", starts, len(starts)) as walk, loader.seeing(moment):
            for start in walk:
                for exposure in writer.block(users[start : start + BLOCK], start):
                    if keep is not None:
                        keep(exposure)
                file.flush()
                mark.done, mark.size = min(start + BLOCK, len(users)), file.tell()
                replace_synced(_mark_of(part), msgspec.json.encode(mark))
        os.fsync(file.fileno())
        part.rename(path)
    _mark_of(part).unlink(missing_ok=True)
    return ExportReport(users=mark.users, empty=mark.empty, items=mark.items, size=path.stat().st_size)


@dataclass(frozen=True, slots=True)
class _Writer:
    """Answers users and writes what they get."""

    mark: _Mark
    served: Mapping[str, Served]
    moment: Moment
    name: str
    file: IO[bytes]

    def block(self, users: Sequence[str], start: int) -> Iterator[Exposure]:
        """Writes the answers of some users, who begin at `start`; gives what would be logged of each."""
        request, mark = self.mark.request, self.mark
        asks = [
            Ask(
                scenario=request.scenario,
                user=user,
                k=request.k,
                filter=request.filter,
                context=dict(request.context),
                request_id=f"{self.name}/{start + place}",
            )
            for place, user in enumerate(users)
            if not user.startswith("\x00")
        ]
        found = recommend_all(asks, self.served, self.moment, at=mark.at)
        pairs = [(ask.user or "", each.answer) for ask, each in zip(asks, found, strict=True)]
        if request.format == "csv":
            head = [] if mark.size else [COLUMNS]
            self.file.write(
                _lines([*head, *(row for user, answer in pairs for row in _rows(user, answer))])
            )
        else:
            self.file.writelines(
                msgspec.json.encode(_record(user, answer)) + b"\n" for user, answer in pairs
            )
        mark.users += len(pairs)
        mark.items += sum(len(answer.items) for _, answer in pairs)
        mark.empty += sum(not answer.items for _, answer in pairs)
        for ask, each in zip(asks, found, strict=True):
            yield exposure_of(ask, each, self.served, self.moment, mark.at)


def _begin(workspace: Workspace, request: ExportRequest, part: Path, world: World) -> _Mark:
    """Where to go on, or a new beginning."""
    kept = _mark_of(part)
    if part.exists() and kept.exists():
        mark = msgspec.json.decode(kept.read_bytes(), type=_Mark)
        if msgspec.structs.replace(mark.request, resume=None) != msgspec.structs.replace(
            request, resume=None
        ):
            raise ConflictError(f"{part}: belongs to another export; delete it, or name another file")
        return mark
    shelf, bundles = workspace.shelf(), dict[str, str]()
    scenarios = workspace.scenarios()
    name: str | None = request.scenario
    while name is not None and name not in bundles and name in scenarios:
        bundle = shelf.current(name)
        if bundle is None:
            break
        bundles[name] = bundle
        name = scenarios[name].fallback
    if request.scenario not in bundles:
        raise NotFoundError(
            f"export: scenario {request.scenario!r} has no bundle; run `polyscene train {request.scenario}`"
        )
    part.unlink(missing_ok=True)
    return _Mark(request=request, position=world.position, at=SystemClock().now(), bundles=bundles)


def _mark_of(part: Path) -> Path:
    return part.with_name(part.name + ".mark")


def _record(user: str, answer: Answer) -> dict[str, Any]:
    return {
        "user": user,
        "scenario": answer.scenario,
        "bundle": answer.bundle,
        "request_id": answer.request_id,
        "items": [{"id": shown.id, "score": shown.score} for shown in answer.items],
    }


def _rows(user: str, answer: Answer) -> Iterator[tuple[object, ...]]:
    for shown in answer.items:
        yield (
            user,
            shown.position,
            shown.id,
            shown.score,
            answer.scenario,
            answer.bundle,
            answer.request_id,
        )


def _lines(rows: Sequence[Sequence[object]]) -> bytes:
    """Rows as CSV in which no text is a formula; numbers stay as they are."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerows([safe_cell(cell) if isinstance(cell, str) else cell for cell in row] for row in rows)
    return text.getvalue().encode()


def safe_cell(text: str) -> str:
    """The text as a spreadsheet shows it and never calculates it."""
    return f"'{text}" if text.startswith(FORMULA) else text
