"""Bundles made ready to answer: loaded once, kept, and given the catalogue of the moment they answer in."""

from collections import deque
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from dataclasses import dataclass
from threading import Lock
from weakref import WeakValueDictionary

from polyscene.artifacts.bundle import Manifest
from polyscene.artifacts.shelf import Shelf
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Run, View
from polyscene.dataset.moment import Moment
from polyscene.scenario.answer import Served
from polyscene.scenario.file import read_scenario

KEPT = 4
"""Loaded bundles that stay in memory for replays, besides those that somebody holds on to."""


class MomentView:
    """Items and users as of the moment that is being answered; outside of an answer, the live ones.

    One loaded bundle thus serves the present and replays the past.
    """

    def __init__(self, live: View) -> None:
        self._live = live
        self._moment: ContextVar[Moment | None] = ContextVar("polyscene_moment", default=None)

    @property
    def catalogue(self) -> Catalogue:
        """The items as the present answer may see them."""
        moment = self._moment.get()
        return self._live.catalogue if moment is None else moment.catalogue

    @property
    def people(self) -> Catalogue:
        """The users as the present answer may see them."""
        moment = self._moment.get()
        return self._live.people if moment is None else moment.people

    @contextmanager
    def at(self, moment: Moment) -> Iterator[None]:
        """While open, parts see the items and users of `moment`."""
        token = self._moment.set(moment)
        try:
            yield
        finally:
            self._moment.reset(token)


@dataclass(frozen=True, slots=True, weakref_slot=True)
class Loaded:
    """A bundle in memory: what answers, and what is written of it."""

    served: Served
    manifest: Manifest


class Loader:
    """Loads bundles of a shelf into served scenarios.

    What somebody holds is never loaded twice; of the rest the latest few stay, so that swapping bundles for
    ever needs no more memory than the few.
    """

    def __init__(self, shelf: Shelf, live: View) -> None:
        self.shelf = shelf
        self._view = MomentView(live)
        self._alive: WeakValueDictionary[tuple[str, str], Loaded] = WeakValueDictionary()
        self._latest: deque[Loaded] = deque(maxlen=KEPT)
        self._lock = Lock()

    def load(self, name: str, bundle: str) -> Loaded:
        """A scenario as the bundle holds it: recipe and tensors, checked against their digests.

        Nobody waits for a bundle that another thread loads, so two threads may load the same one at once.

        Raises:
            NotFoundError: No such bundle, or it was collected.
            BundleError: It is damaged.
        """
        key = (name, bundle)
        found = self._alive.get(key)
        if found is None:
            manifest, state = self.shelf.read(name, bundle)
            scenario = read_scenario(manifest.config, f"bundle {name}/{bundle}")
            pipeline = scenario.load(state, Run(view=self._view, threads=1))
            found = Loaded(Served(scenario, pipeline, bundle), manifest)
        with self._lock:
            found = self._alive.setdefault(key, found)
            if all(found is not each for each in self._latest):
                self._latest.append(found)
        return found

    def seeing(self, moment: Moment) -> AbstractContextManager[None]:
        """While open, every loaded part sees the catalogue of `moment`."""
        return self._view.at(moment)
