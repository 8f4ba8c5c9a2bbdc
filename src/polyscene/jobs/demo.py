"""The demo: the whole walk on a known data set, told line by line."""

from collections.abc import Iterator
from pathlib import Path

from polyscene.core.contracts import Progress
from polyscene.jobs.engine import Engine
from polyscene.jobs.ingest import ingest
from polyscene.jobs.train import TrainRequest, train_in_turn
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.ask import Ask


def prepare(root: Path, source: str, budget_s: float, progress: Progress) -> Iterator[str]:
    """Ingests, trains what was not trained before, and recommends for one user; yields what it did."""
    space = Workspace.create(root)
    yield f"1/4  {source} → {root}: fetching, cleaning, appending to the log"
    report = ingest(space, source, {}, progress)
    yield f"     {report.accepted:,} records added, {report.duplicates:,} were there before"
    shelf = space.shelf()
    new = [name for name in sorted(space.scenarios()) if shelf.current(name) is None]
    yield f"2/4  fitting {', '.join(new) or 'nothing: every scenario has a bundle'}"
    if new:
        yield from _fits(space, new, budget_s, progress)
    yield "3/4  how well each user's last event, kept out of the fit, is found among all items"
    yield from _figures(space)
    yield "4/4  a slate"
    yield from _slate(root)


def _fits(space: Workspace, names: list[str], budget_s: float, progress: Progress) -> Iterator[str]:
    for fitted in train_in_turn(space, TrainRequest(names=names, budget_s=budget_s), progress):
        yield f"     {fitted.scenario:<10} {fitted.fit_seconds:6.1f} s  bundle {fitted.bundle}"
        for warning in fitted.warnings:
            yield f"     {fitted.scenario}: {warning}"


def _figures(space: Workspace) -> Iterator[str]:
    shelf = space.shelf()
    yield f"     {'':<10} {'hr@10':>8} {'ndcg@10':>8} {'coverage@10':>12}"
    for name in sorted(space.scenarios()):
        bundle = shelf.current(name)
        metrics = shelf.read(name, bundle)[0].metrics if bundle else {}
        cells = [metrics.get(metric) for metric in ("hr@10", "ndcg@10", "coverage@10")]
        hit, gain, coverage = ("–" if cell is None else f"{cell:.4f}" for cell in cells)
        yield f"     {name:<10} {hit:>8} {gain:>8} {coverage:>12}"


def _slate(root: Path) -> Iterator[str]:
    with Engine.open(root) as engine:
        user = engine.lookup.sample(3)[-1]
        yield f"     user {user} watched last: " + ", ".join(
            event["title"] for event in engine.lookup.history(user, 3)
        )
        answer = engine.recommend(Ask(scenario="home", user=user, k=5))
        for shown in answer.items:
            why = (
                f"because of {engine.lookup.title(shown.because)}"
                if shown.because
                else " ".join(shown.sources)
            )
            yield f"     {shown.position + 1}. {engine.lookup.title(shown.id)}  ({why})"
