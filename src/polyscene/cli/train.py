"""`polyscene ingest` and `polyscene train`: raw events into the log, the log into bundles."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import (
    DEFAULT_WORKSPACE,
    CheckpointOption,
    JsonOption,
    MapOption,
    MappingOption,
    MemoryOption,
    ProfileOption,
    QuietOption,
    RuleOption,
    TensorboardOption,
    WorkspaceOption,
    reading_of,
    training_of,
)

if TYPE_CHECKING:  # it brings what `--help` need not wait for
    from polyscene.jobs.train import TrainReport

Source = Annotated[
    str,
    typer.Argument(help="A folder, a file, a known data set such as ml-1m, or - for JSON lines on stdin."),
]


def ingest(
    source: Source,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    infer: Annotated[
        bool, typer.Option("--infer", help="Follow the proposal where names of columns don't tell.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Clean events, items, users and edges and append them to the workspace's log.

    Makes the workspace where there is none. Ingesting the same source again adds nothing. Where names of
    files or columns don't tell what they are, nothing is read: the error proposes a mapping.
    """
    from polyscene.jobs.ingest import ingest as job
    from polyscene.jobs.workspace import Workspace
    from polyscene.observe.bars import progress

    reading = reading_of(mapping_file, mapping, rules)
    report = job(Workspace.create(workspace), source, reading, progress(quiet), infer=infer)
    if json:
        show.as_json(report)
        return
    show.table("", ("", "rows"), report.rows())
    for line in report.notes:
        show.note(line)


def train(
    names: Annotated[list[str] | None, typer.Argument(help="Scenarios to fit; all without one.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    data: Annotated[
        str | None, typer.Option("--data", help="Ingest this source first: folder, file or known name.")
    ] = None,
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    holdout: Annotated[
        bool,
        typer.Option(help="Keep each user's last event out, and write how well it is found in the bundle."),
    ] = True,
    budget: Annotated[
        float | None, typer.Option("--budget", help="Seconds that one fit may take; stops early, says so.")
    ] = None,
    seed: Annotated[int | None, typer.Option(help="Overrides the workspace's seed.")] = None,
    force: Annotated[
        bool, typer.Option("--force", help="Promote also what fails the canary's checks.")
    ] = False,
    checkpoint: CheckpointOption = None,
    tensorboard: TensorboardOption = None,
    profile: ProfileOption = None,
    memory_mb: MemoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit scenarios from the live log, save each as a bundle and promote it if it is sound."""
    from polyscene.jobs.ingest import ingest as ingest_job
    from polyscene.jobs.train import TrainRequest
    from polyscene.jobs.train import train as job
    from polyscene.jobs.workspace import Workspace
    from polyscene.observe.bars import progress

    bars = progress(quiet)
    if data is not None:
        ingest_job(Workspace.create(workspace), data, reading_of(mapping_file, mapping), bars)
    request = TrainRequest(
        names=tuple(names or ()),
        holdout=holdout,
        force=force,
        budget_s=budget,
        seed=seed,
        training=training_of(checkpoint, tensorboard, profile, memory_mb),
    )
    reports = job(Workspace.open(workspace), request, bars)
    show.profile(profile)
    if json:
        show.as_json(reports)
        return
    _tell(reports)


def _tell(reports: Sequence["TrainReport"]) -> None:
    """Prints what became of each scenario."""
    show.table(
        "",
        ("scenario", "bundle", "fit s", "hr@10", "ndcg@10", "coverage@10"),
        [
            (
                r.scenario,
                r.bundle,
                r.fit_seconds,
                *(r.metrics.get(m) for m in ("hr@10", "ndcg@10", "coverage@10")),
            )
            for r in reports
        ],
    )
    for report in reports:
        for warning in report.warnings:
            show.note(f"{report.scenario}: {warning}")
        if report.refused:
            show.note(f"{report.scenario}: not promoted: {report.refused}")
