"""The bundles of a workspace: what is there, what serves, and how that changes."""

from pathlib import Path
from typing import Any

from polyscene.artifacts.bundle import Manifest
from polyscene.artifacts.shelf import Promotion, Shelf
from polyscene.core.clock import SystemClock
from polyscene.core.contracts import Part
from polyscene.core.errors import NotFoundError, nearest
from polyscene.dataset.world import World
from polyscene.jobs.canary import Canary
from polyscene.jobs.glance import BundleDetail, Change
from polyscene.jobs.lineup import Lineup
from polyscene.jobs.loader import Loader
from polyscene.jobs.workspace import Workspace
from polyscene.lean.folder import Leans, write_lean


class Bundles:
    """The shelf as a running service sees it; what is promoted here answers the next request."""

    def __init__(self, lineup: Lineup) -> None:
        self._lineup = lineup

    def listing(self) -> list[dict[str, Any]]:
        """Every bundle of every scenario, newest first within one."""
        return on_shelf(self._lineup.shelf)

    def detail(self, scenario: str, bundle: str) -> BundleDetail:
        """One bundle. Raises NotFoundError if there is none of that id."""
        shelf = self._known(scenario)
        found = {each.id: each.manifest for each in shelf.list(scenario)}
        if bundle not in found:
            raise NotFoundError(f"bundles: {scenario!r} has no bundle {bundle!r}{nearest(bundle, found)}")
        return _detail(scenario, bundle, found[bundle], current=shelf.current(scenario) == bundle)

    def history(self, scenario: str) -> list[Promotion]:
        """Every promotion and way back of a scenario, newest first."""
        return list(reversed(self._known(scenario).history(scenario)))

    def promote(
        self, scenario: str, bundle: str, *, force: bool = False, instead_of: str | None = None
    ) -> Change:
        """Makes a bundle serve, once the canary found it sound.

        Raises:
            NotFoundError: No such scenario or bundle.
            CanaryError: The bundle failed a check, and `force` is not given.
            ConflictError: Another bundle than `instead_of` is current.
        """
        before = self._known(scenario).current(scenario)
        verdict = self._lineup.canary().promote(scenario, bundle, force=force, instead_of=instead_of)
        self._lineup.take_up(examined=(scenario, bundle))
        return Change(scenario=scenario, bundle=bundle, instead_of=before, forced=verdict.why)

    def roll_back(self, scenario: str, *, instead_of: str) -> Change:
        """Makes the bundle before the current one serve again; it did so before, so it is not examined.

        Raises:
            NotFoundError: No such scenario, or nothing to go back to.
            ConflictError: Another bundle than `instead_of` is current.
        """
        bundle = self._known(scenario).roll_back(scenario, instead_of=instead_of)
        self._lineup.take_up(examined=(scenario, bundle))
        return Change(scenario=scenario, bundle=bundle, instead_of=instead_of)

    def _known(self, scenario: str) -> Shelf:
        """The shelf. Raises NotFoundError where it has nothing of that name."""
        names = self._lineup.shelf.names()
        if scenario not in names:
            raise NotFoundError(f"bundles: no bundles of a scenario {scenario!r}{nearest(scenario, names)}")
        return self._lineup.shelf


def promote(root: Path, scenario: str, bundle: str, *, force: bool = False) -> Change:
    """As `Bundles.promote`, for a workspace that nobody need serve; a service takes it up by itself."""
    space = Workspace.open(root)
    shelf = space.shelf()
    before = shelf.current(scenario)
    with space.reader() as log:
        world = World.open(log)
        canary = Canary(Loader(shelf, world), world.now, SystemClock().now(), space.train.floor)
        verdict = canary.promote(scenario, bundle, force=force)
    return Change(scenario=scenario, bundle=bundle, instead_of=before, forced=verdict.why)


def listing(root: Path) -> list[dict[str, Any]]:
    """Every bundle of every scenario of a workspace, newest first within one."""
    return on_shelf(Workspace.open(root).shelf())


def on_shelf(shelf: Shelf) -> list[dict[str, Any]]:
    """Every bundle of every scenario, newest first within one."""
    return [
        {
            "scenario": name,
            "bundle": bundle.id,
            "current": bundle.id == shelf.current(name),
            "created": bundle.manifest.created,
            "metrics": dict(bundle.manifest.metrics),
        }
        for name in shelf.names()
        for bundle in shelf.list(name)
    ]


def collect(root: Path) -> dict[str, list[str]]:
    """Deletes old bundles; gives what went, by scenario."""
    space = Workspace.open(root)
    shelf = space.shelf()
    return {name: shelf.collect(name, keep=space.train.keep_bundles) for name in shelf.names()}


def export(root: Path, scenario: str, folder: Path, *, int8: bool = False) -> Manifest:
    """Writes the sequence model of the bundle that serves a scenario, for use without torch.

    Raises:
        NotFoundError: No such scenario, it has no bundle, or no source of it has a lean form.
        BundleError: The folder exists.
    """
    space = Workspace.open(root)
    with space.reader() as log:
        world = World.open(log)
        sources = _sources(space, world, scenario).values()
        models = [part.lean for part in sources if isinstance(part, Leans) and part.lean is not None]
        if not models:
            raise NotFoundError(
                f"bundles: no source of {scenario!r} has a lean form; sasrec and foundation have one"
            )
        model = models[0].in_bytes() if int8 else models[0]
        return write_lean(folder, model, world.codes.ids_of(model.rows.codes), SystemClock().now())


def export_onnx(root: Path, scenario: str, path: Path, source: str | None = None) -> float:
    """Writes the network of a source of the bundle that serves; gives its largest difference from torch.

    `source`: its name; None takes the first that has a network.

    Raises:
        NotFoundError: No such scenario or source, it has no bundle, or there is no network to write.
        ConfigError: The extra ``onnx`` is not installed, or ONNX lacks an operation of the network.
        BundleError: The file exists, or answers differently; then nothing is kept.
    """
    from polyscene.nn.exported import Graphs, write_onnx

    space = Workspace.open(root)
    with space.reader() as log:
        world = World.open(log)
        sources = _sources(space, world, scenario)
        if source is not None and source not in sources:
            raise NotFoundError(f"bundles: {scenario!r} has no source {source!r}{nearest(source, sources)}")
        parts = [part for name, part in sources.items() if source in (None, name)]
        graphs = [part.graph() for part in parts if isinstance(part, Graphs)]
        if not graphs:
            raise NotFoundError(
                f"bundles: {source or scenario!r} has no torch network to write as ONNX: counts, factors"
                " and linear models have none, and compressed ones are kept without; name another --source,"
                " or export the bundle before"
            )
        return write_onnx(graphs[0], path, world.codes.ids_of(graphs[0].codes))


def _sources(space: Workspace, world: World, scenario: str) -> dict[str, Part]:
    """The parts that bring candidates in the bundle that serves, by name."""
    shelf = space.shelf()
    bundle = shelf.current(scenario)
    if bundle is None:
        raise NotFoundError(
            f"bundles: {scenario!r} has no bundle{nearest(scenario, shelf.names())}; run `polyscene train`"
        )
    pipeline = Loader(shelf, world).load(scenario, bundle).served.pipeline
    return {step.name: step.part for step in pipeline.sources()}


def _detail(scenario: str, bundle: str, manifest: Manifest, *, current: bool) -> BundleDetail:
    return BundleDetail(
        scenario=scenario,
        bundle=bundle,
        current=current,
        size=sum(file.size for file in manifest.files.values()),
        created=manifest.created,
        parent=manifest.parent,
        metrics=manifest.metrics,
        notes=manifest.notes,
        log_position=manifest.log_position,
        data=manifest.data,
        code=manifest.code,
        config=manifest.config,
    )
