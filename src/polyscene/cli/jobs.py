"""`polyscene export` and `polyscene jobs`: recommendations for everybody, and what a service works on."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, QuietOption, WorkspaceOption


def export(
    scenario: Annotated[str, typer.Argument(help="Name of the scenario.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="The file to make.")],
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    k: Annotated[
        int | None, typer.Option("--k", "-k", help="Items a user; the scenario's slate without it.")
    ] = None,
    format: Annotated[  # noqa: A002 - the word of the option
        Literal["ndjson", "csv"], typer.Option(help="JSON lines, one a user; or CSV, one row an item.")
    ] = "ndjson",
    users: Annotated[
        Path | None, typer.Option(help="A file with one user id a line; all without it.")
    ] = None,
    where: Annotated[str | None, typer.Option("--filter", help="For example: year >= 1990.")] = None,
    log: Annotated[
        bool, typer.Option("--log", help="Log the slates as shown; no service may be running.")
    ] = False,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Recommend for all users into a file. Run again after an interruption, it continues its file."""
    import msgspec

    from polyscene.core.errors import InputError
    from polyscene.jobs.board import keep
    from polyscene.jobs.export import ExportRequest
    from polyscene.jobs.export import export as job
    from polyscene.jobs.workspace import Workspace
    from polyscene.observe.bars import progress

    raw = {
        "scenario": scenario,
        "k": k,
        "format": format,
        "users": None if users is None else users.read_text(encoding="utf-8").split(),
        "filter": where,
        "log_exposures": log,
    }
    try:
        request = msgspec.convert(raw, ExportRequest)
    except msgspec.ValidationError as problem:
        raise InputError(f"export: {problem}") from problem
    space, bars = Workspace.open(workspace), progress(quiet)
    if log:
        with space.log() as own:
            report = job(space, request, output, bars, log=own, keep=lambda shown: keep(own, shown))
            own.flush()
    else:
        with space.reader() as reader:
            report = job(space, request, output, bars, log=reader)
    if json:
        show.as_json(report)
        return
    show.note(f"{output}: {report.users:,} users, {report.items:,} items, {report.empty:,} empty slates")


def jobs(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the jobs of a workspace, newest first: trainings, exports, evaluations that its service ran."""
    from polyscene.jobs.record import Records
    from polyscene.jobs.workspace import Workspace

    found = Records(Workspace.open(workspace).root).all()
    if json:
        show.as_json(found)
        return
    show.table(
        "",
        ("job", "kind", "state", "done", "at", "error"),
        [(job.id, job.kind, job.state, f"{job.progress:.0%}", job.text, job.error) for job in found],
    )
