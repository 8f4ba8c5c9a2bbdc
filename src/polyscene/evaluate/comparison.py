"""Several models beside each other, as one HTML page without outside resources."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyscene.evaluate import svg
from polyscene.evaluate.charts import Charts
from polyscene.evaluate.page import PROTOCOLS, render
from polyscene.evaluate.report import Result, number

DRAWN = 4
"""Models whose long tail and histories are drawn: more lines than that can't be told apart."""


def html(result: Result, charts: Mapping[str, Charts]) -> str:
    """What `jobs.compare.compare_models` gives as a page; `charts` by name, the best model first."""
    models, metric = result["models"], result["metric"]
    drawn = list(charts)[:DRAWN]
    tails = [("taste", charts[drawn[0]].taste)]
    tails += [(f"c{at}", charts[name].tail) for at, name in reversed(list(enumerate(drawn)))]
    accuracy = [(each["model"], each["metrics"][metric], *each["intervals"][metric]) for each in models]
    return render(
        files("polyscene.evaluate").joinpath("comparison.html.jinja").read_text(encoding="utf-8"),
        r=result,
        protocol=PROTOCOLS[result["split"]["protocol"]],
        metric=metric,
        k=metric.partition("@")[2],
        names=drawn,
        accuracy=svg.bars(accuracy, metric, alike=True),
        fits=_costs(models, "fit_cpu_seconds", "{:,.1f} s"),
        requests=_costs(models, "request_ms", "{:.2f} ms"),
        tail=svg.curves(tails, "share of items, most touched first", "Long tail"),
        by_history=svg.steps([charts[name].by_history for name in drawn], "events in the history", metric),
        rows=[row(each, metric) for each in models],
    )


def terminal(result: Result, console: Console | None = None) -> None:
    """Prints a line for each model, the best first, within 80 columns where names are short.

    A gap to the best in brackets may be chance: its 95 % interval holds 0.
    """
    metric = result["metric"]
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for at, name in enumerate(("model", metric, "gap", "hr", "fit, CPU s", "request, ms", "MB")):
        table.add_column(Text(name), justify="right" if at else "left", no_wrap=True)
    for model in result["models"]:
        cells = row(model, metric)
        gap = model["gap"]
        text = "" if gap is None else f"{gap['difference']:+.4f}"
        sure = gap is None or gap["low"] > 0 or gap["high"] < 0
        hits = cells[f"hr@{metric.partition('@')[2]}"]
        costs = (cells[name] for name in ("fit, CPU s", "request, ms", "MB"))
        table.add_row(model["model"], cells[metric], text if sure else f"({text})", hits, *costs)
    out = console or Console()
    asked = f"{result['data']} ({result['split']['protocol']}, {result['on']})"
    out.print(Text(f"{asked}: {result['queries']:,} queries, {result['items']:,} items"))
    out.print(table)


def row(model: Mapping[str, Any], metric: str) -> dict[str, str]:
    """One model's line of the table, as texts."""
    low, high = model["intervals"][metric]
    k = metric.partition("@")[2]
    return {
        "model": model["model"],
        "family": model["family"],
        metric: f"{number(model['metrics'][metric])} ± {number((high - low) / 2)}",
        "less the best": "" if model["gap"] is None else _interval(model["gap"]),
        f"hr@{k}": number(model["metrics"][f"hr@{k}"]),
        f"coverage@{k}": number(model["metrics"][f"coverage@{k}"]),
        "fit, CPU s": f"{model['fit_cpu_seconds']:,.1f}",
        "request, ms": f"{model['request_ms']:.2f}",
        "MB": f"{model['size_mb']:,.1f}",
    }


def _interval(gap: Mapping[str, float]) -> str:
    return f"{gap['difference']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]"


def _costs(models: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
    values = [(each["model"], each[key], each[key], each[key]) for each in models]
    return svg.bars(values, key, form.format, alike=True)
