"""`polyscene log`, `backup` and `restore`: copies, checks and other forms of what a workspace holds."""

from pathlib import Path
from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption

app = typer.Typer(help="The event log: check, copy, save, upgrade, export.", no_args_is_help=True)
New = Annotated[Path, typer.Argument(help="A new file.")]
Folder = Annotated[Path, typer.Argument(help="A new folder.")]


@app.command()
def check(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Look at every row of the log, also while a service writes to it; exit code 1 if one is damaged."""
    from polyscene.events.upkeep import check_log
    from polyscene.jobs.backup import log_file
    from polyscene.jobs.workspace import Workspace

    path = log_file(Workspace.open(workspace))
    faults = check_log(path)
    if json:
        show.as_json({"log": str(path), "faults": faults})
    else:
        for line in faults or [f"{path}: every row is as it was written"]:
            typer.echo(line)
    if faults:
        raise typer.Exit(1)


@app.command("backup")
def backup_log(
    target: New, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False
) -> None:
    """Copy the log alone into a new file, checked, also while a service writes to it."""
    from polyscene.events.copying import copy_log
    from polyscene.jobs.backup import log_file
    from polyscene.jobs.workspace import Workspace

    _tell(copy_log(log_file(Workspace.open(workspace)), target), json)


@app.command()
def repair(target: New, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Save what can be read of a damaged log into a new file; the log stays as it is.

    Stop the service first. Then look at what was lost, put the new file in the place of the log, and keep
    the old one until nobody misses anything.
    """
    from polyscene.events.repair import repair as job
    from polyscene.jobs.backup import log_file
    from polyscene.jobs.workspace import Workspace

    _tell(job(log_file(Workspace.open(workspace)), target), json)


@app.command()
def migrate(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    to: Annotated[int | None, typer.Option(help="The format; the newest without it.")] = None,
    json: JsonOption = False,
) -> None:
    """Take the log to another format, forward or back; a copy of the file as it was stays beside it."""
    from polyscene.events.formats import FORMAT
    from polyscene.events.upkeep import migrate as job
    from polyscene.jobs.backup import log_file
    from polyscene.jobs.workspace import Workspace

    _tell(job(log_file(Workspace.open(workspace)), FORMAT if to is None else to), json)


@app.command()
def export(
    folder: Folder, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False
) -> None:
    """Write the log as Parquet files: events, items, users, edges, how they came about, and exposures."""
    from polyscene.jobs.parquet import export_log
    from polyscene.jobs.workspace import Workspace

    with Workspace.open(workspace).reader() as log:
        done = export_log(log, folder)
    if json:
        show.as_json(done)
    else:
        show.table(f"{done.folder}, up to position {done.position:,}", ("table", "rows"), done.rows.items())


def backup(
    folder: Folder, workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False
) -> None:
    """Copy a whole workspace into a new folder with a digest of every file, also while it serves."""
    from polyscene.jobs.backup import backup as job
    from polyscene.jobs.workspace import Workspace

    done = job(Workspace.open(workspace), folder)
    if json:
        show.as_json(done)
        return
    rows = [("files", len(done.manifest.files)), ("last record", done.manifest.position)]
    show.table(str(done.folder), ("", ""), rows)
    for line in done.notes:
        show.note(line)


def restore(
    folder: Annotated[Path, typer.Argument(help="A folder that `polyscene backup` wrote.")],
    workspace: WorkspaceOption,
    json: JsonOption = False,
) -> None:
    """Make a workspace from a backup whose every file is as it was written."""
    from polyscene.jobs.backup import restore as job

    manifest = job(folder, workspace)
    if json:
        show.as_json({"workspace": str(workspace), "position": manifest.position})
        return
    rows = [("files", len(manifest.files)), ("last record", manifest.position)]
    show.table(str(workspace), ("", ""), rows)


def _tell(facts: object, json: bool) -> None:
    from dataclasses import fields

    if json:
        show.as_json(facts)
        return
    rows = [(each.name.replace("_", " "), getattr(facts, each.name)) for each in fields(facts)]  # type: ignore[arg-type]
    show.table("", ("", ""), rows)
