"""The lineup: the bundle that answers for each scenario, and how newly promoted ones take over."""

from collections.abc import Mapping
from threading import Lock, Thread
from time import monotonic

import structlog

from polyscene.artifacts.shelf import Shelf
from polyscene.core.clock import Clock
from polyscene.core.errors import BundleError, PolysceneError
from polyscene.dataset.world import World
from polyscene.jobs.canary import Canary, asks_of, refuse
from polyscene.jobs.loader import Loaded, Loader
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.answer import Served, recommend

LOOK_S = 1.0
"""How often the shelf is looked at for a newly promoted bundle."""
_log = structlog.get_logger(__name__)


class Lineup:
    """What serves. A new bundle is loaded, warmed and examined beside the old one, which answers meanwhile.

    `served` is replaced whole and never changed, so whoever took it holds one lineup to the end.
    """

    def __init__(self, workspace: Workspace, world: World, clock: Clock) -> None:
        self.loader = Loader(workspace.shelf(), world)
        self.names = tuple(sorted(workspace.scenarios()))
        self.served: Mapping[str, Served] = {}
        self._floor = workspace.train.floor
        self._world = world
        self._clock = clock
        self._loaded: dict[str, Loaded] = {}
        self._problems: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._looked = monotonic()
        self._taking = Lock()
        self.take_up()

    @property
    def shelf(self) -> Shelf:
        """All bundles."""
        return self.loader.shelf

    @property
    def problems(self) -> list[str]:
        """Why scenarios are not served by what is promoted."""
        return [f"{name}: {problem}" for name, problem in sorted(self._problems.items())]

    def metrics(self, name: str) -> dict[str, float | None]:
        """What the manifest of the bundle that serves says of its quality."""
        loaded = self._loaded.get(name)
        return dict(loaded.manifest.metrics) if loaded else {}

    def canary(self) -> Canary:
        """The examiner as of now."""
        return Canary(self.loader, self._world.now, self._clock.now(), self._floor)

    def look(self) -> None:
        """Once in `LOOK_S`, sees whether something was promoted; taking it up happens elsewhere."""
        if monotonic() - self._looked < LOOK_S:
            return
        self._looked = monotonic()
        if not self._taking.locked() and any(self._changed(name) for name in self.names):
            Thread(target=self.take_up, name="polyscene-lineup", daemon=True).start()

    def take_up(self, examined: tuple[str, str] | None = None) -> None:
        """Puts every newly promoted bundle in service; one that can't serve leaves the one before.

        Of scenarios that answer already, the canary examines the new bundle first, unless it was promoted
        by force. `examined`: scenario and bundle that it has just passed.
        """
        with self._taking:
            for name in self.names:
                if not self._changed(name):
                    continue
                try:
                    self._take_up(name, examined)
                except PolysceneError as problem:
                    self._problems[name] = str(problem)
                    _log.error("bundle_refused", scenario=name, detail=str(problem))
                    if isinstance(problem, BundleError):
                        # It can't get better; look again when another one is promoted.
                        self._refused[name] = self.shelf.current(name) or ""

    def _changed(self, name: str) -> bool:
        try:
            bundle = self.shelf.current(name)
        except PolysceneError as problem:
            self._problems[name] = str(problem)
            return False
        serving = self._loaded[name].served.bundle if name in self._loaded else None
        return bundle not in (None, serving, self._refused.get(name))

    def _take_up(self, name: str, examined: tuple[str, str] | None) -> None:
        bundle = str(self.shelf.current(name))
        loaded = self.loader.load(name, bundle)
        if name in self._loaded and examined != (name, bundle):
            self._examine(name, bundle)
        self._warm(name, loaded.served)
        self._loaded[name] = loaded
        self.served = {each: loaded.served for each, loaded in self._loaded.items()}
        self._problems.pop(name, None)
        self._refused.pop(name, None)

    def _examine(self, name: str, bundle: str) -> None:
        """Raises CanaryError where what was promoted past us, by hand or elsewhere, must not serve."""
        history = self.shelf.history(name)
        if history and history[-1].bundle == bundle and history[-1].forced:
            return
        verdict = self.canary().examine(name, bundle, self._loaded[name])
        if verdict.failed:
            refuse(verdict)

    def _warm(self, name: str, served: Served) -> None:
        """Lets it answer once, unlogged: the first client need not wait for caches to fill."""
        moment = self._world.now
        ask = asks_of(name, moment)[-1]
        with self.loader.seeing(moment):
            recommend(ask, {name: served}, moment, at=self._clock.now(), skip=(), trace=False)
