"""`polyscene models`, `scenarios` and `doctor`: what is there, and whether it is well."""

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption

if TYPE_CHECKING:
    from polyscene.models.table import Model
    from polyscene.rank.table import Ranker


def models(json: JsonOption = False) -> None:
    """List every model and ranker: its family, source, and what it can and needs."""
    from polyscene.models.table import MODELS
    from polyscene.rank.table import RANKERS

    rows = [{"kind": kind, "role": "model", **_told(model)} for kind, model in MODELS.items()]
    rows += [{"kind": kind, "role": "ranker", **_told(ranker)} for kind, ranker in RANKERS.items()]
    if json:
        show.as_json(rows)
        return
    width = max(len(row["kind"]) for row in rows)
    families = list(dict.fromkeys((row["role"], row["family"]) for row in rows))
    for role, family in families:
        typer.echo(f"\n{family}" + (" (rankers)" if role == "ranker" else ""))
        for row in (each for each in rows if (each["role"], each["family"]) == (role, family)):
            typer.echo(f"  {row['kind']:<{width}}  {row['source']}{_limits(row)}")
    typer.echo("\n+ also ranks items put after its fit   - knows only the users of its fit")


def _told(entry: "Model | Ranker") -> dict[str, Any]:
    return {name: value for name, value in asdict(entry).items() if name != "path"}


def _limits(row: Mapping[str, Any]) -> str:
    signs = ["+"] if row.get("cold_items") else []
    signs += [] if row.get("cold_users", True) else ["-"]
    signs += [f"needs {', '.join(row['needs'])}"] if row.get("needs") else []
    return f"  [{' '.join(signs)}]" if signs else ""


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
