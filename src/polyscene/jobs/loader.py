"""Bundles made ready to answer: loaded once, kept, and given the catalogue of the moment they answer in."""

from collections import OrderedDict
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from threading import Lock

from polyscene.artifacts.bundle import Manifest
from polyscene.artifacts.shelf import Shelf
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Run, View
from polyscene.dataset.moment import Moment
from polyscene.scenario.answer import Served
from polyscene.scenario.file import read_scenario

KEPT = 16
"""Loaded bundles that stay in memory: those that serve, and some that replays asked for."""


class MomentView:
    """The catalogue of the moment that is being answered; outside of an answer, the live one.

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

    @contextmanager
    def at(self, moment: Moment) -> Iterator[None]:
        """While open, parts see the catalogue of `moment`."""
        token = self._moment.set(moment)
        try:
            yield
        finally:
            self._moment.reset(token)


class Loader:
    """Loads bundles of a shelf into served scenarios and keeps the latest."""

    def __init__(self, shelf: Shelf, live: View) -> None:
        self.shelf = shelf
        self._view = MomentView(live)
        self._kept: OrderedDict[tuple[str, str], tuple[Served, Manifest]] = OrderedDict()
        self._lock = Lock()

    def served(self, name: str, bundle: str) -> Served:
        """A scenario as the bundle holds it: recipe and tensors, checked against their digests.

        Raises:
            NotFoundError: No such bundle, or it was collected.
            BundleError: It is damaged.
        """
        return self._load(name, bundle)[0]

    def metrics(self, name: str, bundle: str) -> Mapping[str, float | None]:
        """What the bundle's manifest says of its quality."""
        return self._load(name, bundle)[1].metrics

    def seeing(self, moment: Moment) -> AbstractContextManager[None]:
        """While open, every loaded part sees the catalogue of `moment`."""
        return self._view.at(moment)

    def _load(self, name: str, bundle: str) -> tuple[Served, Manifest]:
        key = (name, bundle)
        with self._lock:
            if key not in self._kept:
                manifest, state = self.shelf.read(name, bundle)
                scenario = read_scenario(manifest.config, f"bundle {name}/{bundle}")
                pipeline = scenario.load(state, Run(view=self._view, threads=1))
                self._kept[key] = (Served(scenario, pipeline, bundle), manifest)
                if len(self._kept) > KEPT:
                    self._kept.popitem(last=False)
            self._kept.move_to_end(key)
            return self._kept[key]
