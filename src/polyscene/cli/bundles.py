"""`polyscene bundles`: list, promote, roll back, collect."""

from pathlib import Path
from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption

app = typer.Typer(help="Fitted scenarios: list, promote, roll back, collect.", no_args_is_help=True)
Scenario = Annotated[str, typer.Argument(help="Name of the scenario.")]


@app.command("list")
def list_(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the bundles of every scenario, newest first."""
    from polyscene.jobs.bundles import listing

    rows = listing(workspace)
    if json:
        show.as_json(rows)
        return
    show.table(
        "",
        ("scenario", "bundle", "current", "created", "hr@10", "ndcg@10"),
        [
            (
                row["scenario"],
                row["bundle"],
                "●" if row["current"] else "",
                row["created"],
                row["metrics"].get("hr@10"),
                row["metrics"].get("ndcg@10"),
            )
            for row in rows
        ],
    )


@app.command()
def promote(
    scenario: Scenario,
    bundle: Annotated[str, typer.Argument(help="Id of the bundle that shall serve.")],
    force: Annotated[bool, typer.Option("--force", help="Also if it fails the canary's checks.")] = False,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Point a scenario at a bundle, once it answered real users as well as the current one does."""
    from polyscene.jobs.bundles import promote as job

    change = job(workspace, scenario, bundle, force=force)
    show.note(f"{scenario} is served by {bundle}; a running service takes it up at its next look")
    if change.forced:
        show.note(f"by force, although: {change.forced}")


@app.command()
def rollback(scenario: Scenario, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Point a scenario at the bundle that served before."""
    from polyscene.jobs.workspace import Workspace

    bundle = Workspace.open(workspace).shelf().roll_back(scenario)
    show.note(f"{scenario} is back at {bundle}")


@app.command()
def export(
    scenario: Scenario,
    out: Annotated[Path, typer.Option(help="New folder to write; with --onnx a file.")],
    int8: Annotated[
        bool, typer.Option("--int8", help="A quarter of the size, a little less exact.")
    ] = False,
    onnx: Annotated[
        bool, typer.Option("--onnx", help="The network as an ONNX file, checked against torch.")
    ] = False,
    source: Annotated[
        str | None, typer.Option(help="With --onnx: which model of the scenario, by name.")
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Write the model that serves a scenario for use without torch: its lean form, or as ONNX.

    An ONNX file has the network alone, for any batch and length; the ids of the items that its scores are
    for stand in its metadata.
    """
    from polyscene.jobs.bundles import export as job
    from polyscene.jobs.bundles import export_onnx

    if onnx:
        worst = export_onnx(workspace, scenario, out, source)
        size_mb = out.stat().st_size / 1e6
        show.note(f"{out}: {size_mb:.1f} MB; differs from torch by {worst:.1e} of the largest score")
        return

    manifest = job(workspace, scenario, out, int8=int8)
    size = sum(file.size for file in manifest.files.values())
    show.note(f"{out}: {size / 1e6:.1f} MB; python -m polyscene.lean {out} < histories")


@app.command()
def collect(workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Delete bundles beyond those the settings keep; never the current one nor the one before it."""
    from polyscene.jobs.bundles import collect as job

    for scenario, gone in job(workspace).items():
        show.note(f"{scenario}: {len(gone)} deleted")
