"""`polyscene tune`: the model and the settings for a data set or a scenario, found by search."""

import re
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from polyscene.cli import show
from polyscene.cli.options import (
    DEFAULT_WORKSPACE,
    HtmlOption,
    JsonOption,
    MapOption,
    MappingOption,
    ProtocolOption,
    QuietOption,
    RuleOption,
    WorkspaceOption,
    reading_of,
)
from polyscene.core.errors import InputError

if TYPE_CHECKING:  # it brings what `--help` need not wait for
    from polyscene.jobs.tune.job import TuneRequest

SECONDS = {"s": 1.0, "m": 60.0, "h": 3600.0}
MEGABYTES = {"m": 1.0, "g": 1000.0}
MILLISECONDS = {"ms": 1.0, "s": 1000.0}

KindsOption = Annotated[
    list[str] | None,
    typer.Option("--model", help="Search this kind. Repeatable; every kind with a space without one."),
]
WriteOption = Annotated[
    Path | None,
    typer.Option("--write", help="Write the choice here: a model's TOML file, or the whole scenario's."),
]


def tune(
    data: Annotated[
        str | None, typer.Option("--data", help="A known data set, a folder or a file.")
    ] = None,
    scenario: Annotated[
        str | None, typer.Option("--scenario", help="A scenario of the workspace instead of a data set.")
    ] = None,
    stage: Annotated[
        str | None,
        typer.Option("--stage", help="The scenario's source to tune; else the first that can be."),
    ] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    models: KindsOption = None,
    budget: Annotated[str, typer.Option("--budget", help="Time for everything: 90s, 30m, 2h.")] = "30m",
    memory: Annotated[
        str | None, typer.Option("--memory", help="Most that all workers may hold together: 800m, 4g.")
    ] = None,
    latency: Annotated[
        str | None,
        typer.Option("--latency", help="Most CPU time of a request: 5ms. Slower ones can't win."),
    ] = None,
    workers: Annotated[int, typer.Option(min=1, help="Processes, each with one thread.")] = 1,
    trials: Annotated[int, typer.Option(min=1, help="Most trials of a kind.")] = 60,
    protocol: ProtocolOption = "loo",
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    study: Annotated[
        Path | None, typer.Option("--study", help="The study's file; the same command goes on with it.")
    ] = None,
    write: WriteOption = None,
    html: HtmlOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Search models and settings on the validation part; ask the test part once, beside all defaults."""
    from polyscene.jobs.tune.job import TuneRequest

    reading = reading_of(mapping_file, mapping, rules)
    request = TuneRequest(
        data=data,
        protocol=protocol,
        mapping=reading.mapping,
        rules=reading.rules,
        root=None if scenario is None else workspace,
        scenario=scenario,
        stage=stage,
        kinds=tuple(dict.fromkeys(models or ())),
        seed=seed,
        budget_s=measured(budget, SECONDS, "--budget"),
        trials=trials,
        workers=workers,
        memory_mb=None if memory is None else measured(memory, MEGABYTES, "--memory"),
        latency_ms=None if latency is None else measured(latency, MILLISECONDS, "--latency"),
        study=study,
    )
    _tell(_found(request, quiet), write, html, json=json)


def _found(request: "TuneRequest", quiet: bool) -> dict[str, Any]:
    from polyscene.jobs.tune.job import tune as job
    from polyscene.observe.bars import progress

    return job(request, progress(quiet))


def _tell(result: dict[str, Any], write: Path | None, html: Path | None, *, json: bool) -> None:
    from polyscene.evaluate.tuning import html as page
    from polyscene.evaluate.tuning import terminal

    if write is not None:
        write.write_text(result["file"], encoding="utf-8")
    if html is not None:
        html.parent.mkdir(parents=True, exist_ok=True)
        html.write_text(page(result), encoding="utf-8")
    for warning in result["warnings"]:
        show.note(f"warning: {warning}")
    if json:
        show.as_json(result)
        return
    terminal(result)
    show.note(f"study: {result['study']}")


def measured(text: str, units: dict[str, float], option: str) -> float:
    """``30m`` in the unit that is worth 1.

    Raises:
        InputError: It is no number above 0 with one of the units.
    """
    parts = re.fullmatch(r"(\d+(?:\.\d+)?)([a-z]+)", text.strip().lower())
    if parts is None or parts[2] not in units or float(parts[1]) <= 0:
        raise InputError(f"{option} {text!r}: expected a number above 0 with a unit ({', '.join(units)})")
    return float(parts[1]) * units[parts[2]]
