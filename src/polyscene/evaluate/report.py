"""The result of an evaluation as a table in a terminal."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

Result = Mapping[str, Any]
"""What `jobs.evaluate` gives; its keys are those of ``polyscene evaluate --json``."""


def terminal(result: Result, console: Console | None = None) -> None:
    """Prints the figures of the model beside those of its baselines; ± is half of a 95 % interval."""
    names = [result["model"], *result["baselines"]]
    table = Table(header_style="bold", box=SIMPLE_HEAD)
    for at, name in enumerate(["metric", *names]):
        table.add_column(Text(name), justify="right" if at else "left", no_wrap=True)
    for row in figures(result):
        ours, *theirs = row["cells"]
        table.add_row(row["metric"], ours["value"] + ours["spread"], *(cell["value"] for cell in theirs))
    out = console or Console()
    out.print(Text(_headline(result)))
    out.print(table)


def answerers(result: Result) -> list[tuple[str, Result]]:
    """The model and its baselines, each with metrics and intervals."""
    return [(result["model"], result), *result["baselines"].items()]


def figures(result: Result) -> list[dict[str, Any]]:
    """A row per metric: its name and a cell (value, interval, spread) per answerer, as texts."""

    def cell(each: Result, metric: str) -> dict[str, str]:
        ends: Sequence[float] | None = each["intervals"].get(metric)
        between = f"[{number(ends[0])}, {number(ends[1])}]" if ends else ""
        spread = f" ± {number((ends[1] - ends[0]) / 2)}" if ends else ""
        value = number(each["metrics"].get(metric, math.nan))
        return {"value": value, "interval": between, "spread": spread}

    return [
        {"metric": metric, "cells": [cell(each, metric) for _, each in answerers(result)]}
        for metric in result["metrics"]
    ]


def number(value: float) -> str:
    """Four digits after the point, or a dash where there is no number."""
    return "–" if math.isnan(value) else f"{value:.4f}"


def _headline(result: Result) -> str:
    return (
        f"{result['model']} on {result['data']} ({result['split']['protocol']}, {result['on']}): "
        f"{result['queries']:,} queries, {result['items']:,} items"
    )
