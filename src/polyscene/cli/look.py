"""`polyscene models`, `scenarios` and `doctor`: what is there, and whether it is well."""

from dataclasses import asdict
from pathlib import Path

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption


def models(json: JsonOption = False) -> None:
    """List every model: its family, source, and what it can and needs."""
    from polyscene.models.table import MODELS

    rows = [
        {"kind": kind, **{key: value for key, value in asdict(model).items() if key != "path"}}
        for kind, model in MODELS.items()
    ]
    if json:
        show.as_json(rows)
        return
    columns = ("kind", "family", "cold_users", "cold_items", "holds_users", "needs", "source")
    show.table(
        "",
        columns,
        [[", ".join(row["needs"]) if name == "needs" else row[name] for name in columns] for row in rows],
    )


def scenarios(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the scenario files of a workspace, each checked, with the bundle that serves it."""
    from polyscene.jobs.workspace import Workspace

    space = Workspace.open(workspace)
    shelf = space.shelf()
    rows = [
        {
            "scenario": name,
            "shows": scenario.kind,
            "slate": scenario.slate,
            "fallback": scenario.fallback,
            "stages": [step.called for step in scenario.steps],
            "bundle": shelf.current(name),
        }
        for name, scenario in sorted(space.scenarios().items())
    ]
    if json:
        show.as_json(rows)
        return
    show.table(
        "",
        ("scenario", "shows", "slate", "fallback", "stages", "bundle"),
        [
            tuple(" → ".join(cell) if isinstance(cell, list) else cell for cell in row.values())
            for row in rows
        ],
    )


def doctor(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """Check the environment, the log, the scenarios, the bundles, the disk and the clock."""
    from polyscene.jobs.doctor import examine

    findings = examine(Path(workspace))
    if json:
        show.as_json([asdict(finding) for finding in findings])
    else:
        show.table("", ("", "what", "found"), [(f.verdict.upper(), f.what, f.found) for f in findings])
    if any(finding.verdict == "fail" for finding in findings):
        raise typer.Exit(1)
