"""`polyscene compare` and `compare-scenarios`: which model is best, and for which scenario."""

from typing import Annotated, Literal

import typer

from polyscene.cli import show
from polyscene.cli.options import (
    DataOption,
    FitOnOption,
    HtmlOption,
    JsonOption,
    MapOption,
    MappingOption,
    OnOption,
    ProtocolOption,
    QuietOption,
    RuleOption,
    SetOption,
    pairs,
    reading_of,
)


def compare(
    data: DataOption,
    models: Annotated[
        list[str] | None,
        typer.Option("--model", help="A kind (`polyscene models`), or a TOML file with one. Repeat it."),
    ] = None,
    protocol: ProtocolOption = "loo",
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    on: OnOption = "test",
    fit_on: FitOnOption = None,
    html: HtmlOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit several models on the same data, ask the same questions, print accuracy and cost, best first."""
    from polyscene.evaluate.comparison import terminal
    from polyscene.jobs.compare import compare_models
    from polyscene.jobs.evaluate import EvaluateRequest
    from polyscene.observe.bars import progress

    reading = reading_of(mapping_file, mapping, rules)
    request = EvaluateRequest(
        data=data,
        protocol=protocol,
        mapping=reading.mapping,
        rules=reading.rules,
        seed=seed,
        on=on,
        fit_on=fit_on,
        html=html,
    )
    result = compare_models(request, models or (), progress(quiet))
    for warning in result["warnings"]:
        show.note(f"warning: {warning}")
    for name, why in result["failed"].items():
        show.note(f"{name} was left out: {why}")
    if json:
        show.as_json(result)
        return
    terminal(result)


def compare_scenarios(
    data: DataOption,
    model: Annotated[
        str, typer.Option("--model", help="The kind 'adapted', or a TOML file with its settings.")
    ] = "adapted",
    protocol: Annotated[
        Literal["loo", "time", "strong", "random"], typer.Option(help="How the data is split.")
    ] = "loo",
    settings: SetOption = None,
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    on: OnOption = "test",
    fit_on: FitOnOption = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Fit a model on each scenario's own events, one on all, and adapt that; say which to serve.

    A form that is worse than the scenario's own beyond the 95 % interval of the difference does harm.
    """
    from polyscene.jobs.compare import compare_scenarios as job
    from polyscene.jobs.evaluate import EvaluateRequest
    from polyscene.observe.bars import progress

    reading = reading_of(mapping_file, mapping, rules)
    request = EvaluateRequest(
        data=data,
        protocol=protocol,
        model=model,
        settings=pairs(settings, "--set"),
        mapping=reading.mapping,
        rules=reading.rules,
        seed=seed,
        on=on,
        fit_on=fit_on,
    )
    result = job(request, progress(quiet))
    if json:
        show.as_json(result)
        return
    show.table(
        f"ndcg@10 on {result['data']}; in brackets: less the scenario's own",
        ("scenario", "queries", "own", "joint", "adapted", "harmed by", "best"),
        [
            (
                each["scenario"],
                each["queries"],
                each["ndcg@10"]["own"],
                _beside(each, "joint"),
                _beside(each, "adapted"),
                ", ".join(each["harmed"]),
                each["best"],
            )
            for each in result["scenarios"]
        ],
    )


def _beside(row: dict[str, dict[str, dict[str, float]]], form: str) -> str:
    gap = row["gaps"][f"{form} - own"]
    return f"{row['ndcg@10'][form]:.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]"
