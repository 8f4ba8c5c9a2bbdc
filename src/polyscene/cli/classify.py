"""`polyscene classify`: from a table with a label column to figures, and to a bundle that scores others."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polyscene.cli import show
from polyscene.cli.options import JsonOption, OnOption, QuietOption, SetOption, pairs
from polyscene.core.errors import InputError

SHOWN = 20
ShareOption = Annotated[float, typer.Option(min=0.0, max=0.9)]


def classify(
    file: Annotated[Path, typer.Argument(help="CSV, TSV, JSON lines or Parquet.")],
    label: Annotated[str | None, typer.Option("--label", help="The column with two values.")] = None,
    model: Annotated[str, typer.Option("--model", help="logistic, fm, mlp, dcn ...")] = "dcn",
    settings: SetOption = None,
    columns: Annotated[
        list[str] | None,
        typer.Option("--column", help="How to read a column: city=words, number, log, time or 'left out'."),
    ] = None,
    split: Annotated[
        str | None, typer.Option("--split", help="A column that says train, valid or test.")
    ] = None,
    test_share: ShareOption = 0.2,
    valid_share: ShareOption = 0.1,
    on: OnOption = "test",
    seed: Annotated[int, typer.Option(min=0)] = 0,
    by: Annotated[
        Path | None, typer.Option("--with", help="Score the file by this bundle; nothing is learned.")
    ] = None,
    out: Annotated[
        Path | None, typer.Option("--out", help="Bundle to write; with --with the scored CSV or Parquet.")
    ] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Learn which of two labels the rows of a table have, or score rows by what was learned."""
    from polyscene.jobs.classify import ClassifyRequest, score
    from polyscene.jobs.classify import classify as job
    from polyscene.observe.bars import progress

    if by is not None:
        _show_scores(score(file, by, out), json)
        return
    if label is None:
        raise InputError("classify: give --label COLUMN to learn, or --with BUNDLE to score")
    request = ClassifyRequest(
        file=file,
        label=label,
        model=model,
        settings=pairs(settings, "--set"),
        columns=pairs(columns, "--column"),
        split=split,
        test_share=test_share,
        valid_share=valid_share,
        on=on,
        seed=seed,
        out=out,
    )
    _show_figures(job(request, progress(quiet)), json)


def _show_figures(result: dict[str, Any], json: bool) -> None:
    for warning in result["warnings"]:
        show.note(f"warning: {warning}")
    if json:
        show.as_json(result)
        return
    for each in result["columns"]:
        show.note(f"{each['name']}: {each['role']} ({each['why']})")
    rows, label = result["rows"], result["label"]
    on = result["on"]
    what = f"{result['model']['kind']}: {label['column']} = {label['positive']!r}"
    title = f"{what}, {rows[on]:,} {on} rows of {sum(rows.values()):,}"
    lines = [(name, each["value"], each["low"], each["high"]) for name, each in result["figures"].items()]
    show.table(title, ("figure", on, "low", "high"), lines)
    if result["bundle"] is not None:
        show.note(f"written: {result['bundle']}")


def _show_scores(result: dict[str, Any], json: bool) -> None:
    for warning in result["warnings"]:
        show.note(f"warning: {warning}")
    chances = result.pop("chances")
    if json:
        show.as_json({**result, "chances": [round(float(each), 6) for each in chances]})
        return
    if result["out"] is not None:
        show.note(f"{result['rows']:,} rows scored, in {result['out']}")
        return
    title = f"chance of {result['positive']!r}, mean {result['mean_chance'] or 0:.4f}"
    show.table(title, ("row", "chance"), enumerate(chances[:SHOWN].tolist()))
    if len(chances) > SHOWN:
        show.note(f"{len(chances) - SHOWN:,} more rows; give --out FILE for all of them")
