"""The result of an evaluation as one HTML page without outside resources."""

from collections.abc import Mapping
from importlib.resources import files

import msgspec
from jinja2 import Environment, StrictUndefined

from polyscene.evaluate import svg
from polyscene.evaluate.charts import Charts
from polyscene.evaluate.report import Result, answerers, figures, number

PROTOCOLS = {
    "loo": "Leave one out: the last event of each user",
    "time": "Global time: what came after one moment",
    "strong": "Strong generalisation: users never learned from",
    "random": "Random: a tenth of each user's events",
    "random20": "Random: a fifth of each user's events",
    "random25": "Random: a quarter of each user's events",
    "recbole": "Random: a tenth of each user's events, those of validation kept apart",
    "cold": "New items: a tenth of the items is unseen in training and asked for",
    "cold_trained": "The questions about new items, once these are learned from",
}


def html(result: Result, charts: Mapping[str, Charts], metric: str) -> str:
    """The report as one page without outside resources; `charts` by name, the model first.

    `metric` is the main one, such as ``ndcg@10``: it is plotted by length of history.
    """
    names = list(charts)
    k = metric.partition("@")[2]
    tails = [("taste", charts[names[0]].taste)]
    tails += [(f"c{at}", charts[name].tail) for at, name in reversed(list(enumerate(names)))]
    return render(
        files("polyscene.evaluate").joinpath("page.html.jinja").read_text(encoding="utf-8"),
        r=result,
        model=result["model"],
        protocol=PROTOCOLS[result["split"]["protocol"]],
        names=names,
        metric=metric,
        k=k,
        tiles=_tiles(result, metric),
        accuracy=[(name, _bars(result, name)) for name in (metric, f"hr@{k}")],
        tail=svg.curves(tails, "share of items, most touched first", "Long tail"),
        places=svg.columns(
            [each.places for each in charts.values()], "place, up to", "Share of items by place"
        ),
        by_history=svg.steps(
            [each.by_history for each in charts.values()], "events in the history", metric
        ),
        gaps=_gaps(result),
        table=figures(result),
        facts=_facts(result),
    )


def render(template: str, **values: object) -> str:
    """A page from a template, with the style that all reports share as `style`."""
    style = files("polyscene.evaluate").joinpath("page.css").read_text(encoding="utf-8")
    page = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True).from_string(template)
    return page.render(style=style, **values)


def _tiles(result: Result, metric: str) -> list[dict[str, str]]:
    tiles = [{"name": metric, "value": number(result["metrics"][metric])}]
    counts = {"queries": "queries", "items": "items", "events": "events"}
    tiles += [{"name": name, "value": f"{result[key]:,}"} for key, name in counts.items()]
    tiles.append({"name": "to fit", "value": f"{result['fit_seconds']:.1f} s"})
    tiles.append({"name": "to rank all queries", "value": f"{result['score_seconds']:.2f} s"})
    return tiles


def _bars(result: Result, metric: str) -> str:
    rows = []
    for name, each in answerers(result):
        low, high = each["intervals"][metric]
        rows.append((name, each["metrics"][metric], low, high))
    return svg.bars(rows, metric)


def _gaps(result: Result) -> list[dict[str, str]]:
    rows = []
    for name, metrics in result["comparison"].items():
        for metric, gap in metrics.items():
            sure = gap["low"] > 0 or gap["high"] < 0
            rows.append(
                {
                    "name": name,
                    "metric": metric,
                    "difference": f"{gap['difference']:+.4f}",
                    "interval": f"[{gap['low']:+.4f}, {gap['high']:+.4f}]",
                    "p": f"{gap['p']:.3f}",
                    "tone": ("up" if gap["difference"] > 0 else "down") if sure else "",
                }
            )
    return rows


def _facts(result: Result) -> list[tuple[str, str]]:
    return [
        ("config", msgspec.json.encode(result["config"]).decode()),
        ("split", f"{result['split']['protocol']} {result['split']['digest']}"),
        ("seed", str(result["seed"])),
        ("learned from", "training and validation part" if result["fit_on"] == "all" else "training part"),
        ("ranked", f"{result['on']} part"),
        ("fit", f"{result['fit_cpu_seconds']:.2f} s of CPU, {result['fit_seconds']:.2f} s on the clock"),
        ("peak memory", f"{result['peak_mb']:,.0f} MB, the whole process"),
    ]
