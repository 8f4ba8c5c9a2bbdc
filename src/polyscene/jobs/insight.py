"""What an operator or an analyst wants to see of a running workspace, and no client needs."""

import shutil
from collections.abc import Callable, Mapping
from threading import Lock
from typing import Any

import msgspec

from polyscene.artifacts.bundle import Manifest
from polyscene.artifacts.shelf import Shelf
from polyscene.core.errors import NotFoundError, StoreError, nearest
from polyscene.dataset.quality.finding import Quality
from polyscene.dataset.world import World
from polyscene.events.log import LogReader
from polyscene.jobs.glance import DayCount, InService, RequestLine, State
from polyscene.jobs.recipe import Recipe, recipe
from polyscene.jobs.workspace import NEWEST_QUALITY, Workspace
from polyscene.scenario.answer import Served

FIRST_ITEMS = 5
"""Items of a logged slate that a list of requests names."""


class Insight:
    """Looks at a live workspace; safe to call from several threads, changes nothing."""

    def __init__(
        self,
        workspace: Workspace,
        log: LogReader,
        world: World,
        served: Callable[[], Mapping[str, Served]],
    ) -> None:
        self._root = workspace.root
        self._shelf: Shelf = workspace.shelf()
        self._log = log
        self._world = world
        self._served = served
        self._names = tuple(sorted(workspace.scenarios()))
        self._lock = Lock()
        self._newest: tuple[int, int | None] = (-1, None)
        self._manifests: dict[tuple[str, str], Manifest] = {}

    def state(self) -> State:
        """Where the workspace stands now."""
        served, moment, disk = self._served(), self._world.now, shutil.disk_usage(self._root)
        position = self._log.position
        return State(
            position=position,
            absorbed=moment.position,
            newest_event=self._newest_event(position),
            users=len(moment.users.ids),
            items=moment.catalogue.size,
            log_bytes=sum(path.stat().st_size for path in self._root.glob("events.db*")),
            disk_free=disk.free,
            disk_total=disk.total,
            in_service=[
                self._in_service(name, served[name].bundle, position)
                for name in self._names
                if name in served
            ],
            untrained=[name for name in self._names if name not in served],
        )

    def recipe(self, name: str) -> Recipe:
        """A scenario with its stages and its file.

        Raises:
            NotFoundError: No scenario has this name.
        """
        found = recipe(self._root / "scenarios", name, self._served().get(name))
        if found is None:
            raise NotFoundError(f"scenarios: no scenario {name!r}{nearest(name, self._names)}")
        return found

    def requests(self, user: str | None, n: int, after: tuple[int, str] | None = None) -> list[RequestLine]:
        """The newest `n` logged requests (of one user), newest first, behind a time and request id."""
        return [
            RequestLine(
                request_id=each.request_id,
                scenario=each.scenario,
                bundle=each.bundle,
                user=each.user,
                time=each.time,
                count=len(each.items),
                items=each.items[:FIRST_ITEMS],
                skipped=each.skipped,
                notes=_notes(each.trace),
            )
            for each in self._log.exposures(user, n, after)
        ]

    def item_days(self, item: str) -> list[DayCount]:
        """What was done with an item, day by day; none for an unknown one."""
        return [DayCount(*each) for each in self._log.item_days(item)]

    def quality(self) -> Quality | None:
        """The newest report on the quality of the log's data; None before the first job of that kind.

        Raises:
            StoreError: The file of the report can't be read.
        """
        path = self._root / NEWEST_QUALITY
        if not path.is_file():
            return None
        try:
            return msgspec.json.decode(path.read_bytes(), type=Quality)
        except msgspec.DecodeError as problem:
            raise StoreError(f"{path}: no report ({problem}); start the job 'quality' again") from problem

    def _newest_event(self, position: int) -> int | None:
        """Looked up again only when the log grew: it may have to read every event."""
        with self._lock:
            if self._newest[0] != position:
                self._newest = (position, self._log.newest_time())
            return self._newest[1]

    def _in_service(self, name: str, bundle: str, position: int) -> InService:
        """A bundle never changes, so its manifest is read once."""
        with self._lock:
            if (name, bundle) not in self._manifests:
                self._manifests |= {(name, each.id): each.manifest for each in self._shelf.list(name)}
            facts = self._manifests[name, bundle]
        behind = None if facts.log_position is None else position - facts.log_position
        return InService(name, bundle, facts.created, behind, dict(facts.metrics))


def _notes(trace: Mapping[str, Any]) -> list[str]:
    return [str(note) for note in trace.get("notes", [])]
