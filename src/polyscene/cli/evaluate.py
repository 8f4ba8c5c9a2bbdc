"""`polyscene evaluate`: one model or scenario, one protocol, every figure."""

from pathlib import Path
from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import (
    CheckpointOption,
    DataOption,
    FitOnOption,
    HtmlOption,
    JsonOption,
    MapOption,
    MappingOption,
    MemoryOption,
    OnOption,
    ProfileOption,
    ProtocolOption,
    QuietOption,
    RuleOption,
    SetOption,
    TensorboardOption,
    pairs,
    reading_of,
    training_of,
)

AgainstOption = Annotated[
    list[str] | None,
    typer.Option("--against", help="Fit this kind (or TOML file) beside too. Repeatable."),
]


def evaluate(
    data: DataOption,
    model: Annotated[
        str | None, typer.Option("--model", help="A kind (`polyscene models`), or a TOML file with one.")
    ] = None,
    scenario: Annotated[
        Path | None, typer.Option("--scenario", help="A scenario file instead of a model.")
    ] = None,
    protocol: ProtocolOption = "loo",
    settings: SetOption = None,
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    on: OnOption = "test",
    fit_on: FitOnOption = None,
    baselines: Annotated[bool, typer.Option(help="Fit popularity and transitions beside.")] = True,
    against: AgainstOption = None,
    html: HtmlOption = None,
    checkpoint: CheckpointOption = None,
    tensorboard: TensorboardOption = None,
    profile: ProfileOption = None,
    memory_mb: MemoryOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit on one part of the data, rank the other among all items, print figures with intervals."""
    from polyscene.jobs.evaluate import EvaluateRequest
    from polyscene.jobs.evaluate import evaluate as job
    from polyscene.observe.bars import progress

    reading = reading_of(mapping_file, mapping, rules)
    request = EvaluateRequest(
        data=data,
        protocol=protocol,
        model=model,
        scenario=scenario,
        settings=pairs(settings, "--set"),
        mapping=reading.mapping,
        rules=reading.rules,
        seed=seed,
        on=on,
        fit_on=fit_on,
        baselines=baselines,
        against=tuple(against or ()),
        html=html,
        training=training_of(checkpoint, tensorboard, profile, memory_mb),
    )
    result = job(request, progress(quiet))
    show.profile(profile)
    for warning in result["warnings"]:
        show.note(f"warning: {warning}")
    if json:
        show.as_json(result)
        return
    from polyscene.evaluate.report import terminal

    terminal(result)
