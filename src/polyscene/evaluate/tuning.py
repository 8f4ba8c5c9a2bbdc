"""What a search found: a table in a terminal, and an HTML page without outside resources."""

from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console
from rich.table import Table
from rich.text import Text

from polyscene.evaluate import svg
from polyscene.evaluate.page import PROTOCOLS, render
from polyscene.evaluate.report import Result, number

DRAWN = 8
"""Kinds that have a colour of their own; the rest share the last."""
COLUMNS = ("model", "tried", "start", "tuned", "ms", "start on test", "gap on test")
ENDS = {
    "done": "scored",
    "slow": "over the latency",
    "behind": "behind the median",
    "time": "out of time",
    "memory": "over its memory",
    "failed": "failed",
}
"""How a trial ended, in words."""


def terminal(result: Result, console: Console | None = None) -> None:
    """Prints a line for each kind, the best on the validation part first, and the choice.

    `gap`: the chosen settings less the kind's start settings, on test, ± half of a 95 % interval; in
    brackets it may be chance.
    """
    chosen, test = result["chosen"], result["chosen"]["test"]
    table = Table(header_style="bold", box=SIMPLE_HEAD, padding=(0, 1, 0, 0))
    for at, name in enumerate(COLUMNS):
        table.add_column(Text(name), justify="right" if at else "left", no_wrap=True)
    for each in ranked(result):
        table.add_row(*row(each).values())
    out = console or Console()
    asked = f"{result['source']} ({result['protocol']}): {result['queries']:,} queries"
    out.print(Text(f"{asked}, {len(result['trials'])} trials in {result['used_s']:,.0f} s"))
    out.print(table)
    half = (test["high"] - test["low"]) / 2
    out.print(Text(f"chosen: {chosen['command']}"))
    out.print(
        Text(
            f"{result['metric']}: {number(chosen['validation'])} on validation, "
            f"{number(test['value'])} ± {number(half)} on test"
        )
    )


def ranked(result: Result) -> list[Mapping[str, Any]]:
    """The kinds that were begun, the best tuned first."""
    begun = [each for each in result["kinds"] if each["trials"]]
    return sorted(begun, key=lambda each: -1.0 if each["best"] is None else each["best"], reverse=True)


def row(kind: Mapping[str, Any]) -> dict[str, str]:
    """One kind's line, as texts."""
    gap, ms = kind["gap"], kind["request_ms"]
    return {
        "model": kind["kind"],
        "tried": str(kind["trials"]),
        "start": _figure(kind["start"]),
        "tuned": _figure(kind["best"]),
        "ms": "–" if ms is None else f"{ms:.2f}",
        "start on test": _figure(kind["test"]),
        "gap on test": "–" if gap is None else _gap(gap),
    }


def html(result: Result) -> str:
    """What `jobs.tune.job.tune` gives, as a page."""
    trials, chosen = result["trials"], result["chosen"]
    colours = {each["kind"]: f"c{min(at, DRAWN - 1)}" for at, each in enumerate(ranked(result))}
    return render(
        files("polyscene.evaluate").joinpath("tuning.html.jinja").read_text(encoding="utf-8"),
        r=result,
        chosen=chosen,
        protocol=PROTOCOLS[result["protocol"]],
        metric=result["metric"],
        tiles=_tiles(result),
        progress=svg.spots(_progress(result, colours), ("seconds", result["metric"]), "Best so far"),
        front=svg.spots(
            _front(result, colours), ("CPU ms of a request", result["metric"]), "Cost", log=True
        ),
        legend=list(colours.items())[:DRAWN],
        importance=_importance(result["importance"].get(chosen["kind"], {})),
        ends=[_ends(each) for each in ranked(result)],
        reasons=_reasons(trials),
        settings=_settings(chosen),
        rows=[row(each) for each in ranked(result)],
    )


def _tiles(result: Result) -> list[dict[str, str]]:
    chosen = result["chosen"]
    return [
        {"name": "chosen", "value": chosen["kind"]},
        {"name": f"{result['metric']} on test", "value": number(chosen["test"]["value"])},
        {"name": "CPU of a request", "value": f"{chosen['request_ms']:.2f} ms"},
        {"name": "trials", "value": f"{len(result['trials']):,}"},
        {"name": "took", "value": f"{result['used_s']:,.0f} s"},
    ]


def _scored(result: Result) -> list[tuple[int, Mapping[str, Any]]]:
    return [(at, each) for at, each in enumerate(result["trials"]) if each["score"] is not None]


def _progress(result: Result, colours: Mapping[str, str]) -> list[svg.Spots]:
    """Every scored trial by when it ended, and the best until then."""
    scored = sorted((each for _, each in _scored(result)), key=lambda each: each["at_s"])
    best, line = 0.0, list[tuple[float, float]]()
    latency_ms = result["limits"]["latency_ms"]
    for each in scored:
        before, allowed = best, latency_ms is None or each["request_ms"] <= latency_ms
        best = max(best, each["score"]) if allowed else best
        line += [(each["at_s"], before), (each["at_s"], best)] if line else [(each["at_s"], best)]
    dots = [
        svg.Spots(colours[each["kind"]], [(each["at_s"], each["score"])], _label(each)) for each in scored
    ]
    return [*dots, svg.Spots("c0", line, joined=True)]


def _front(result: Result, colours: Mapping[str, str]) -> list[svg.Spots]:
    """Every scored trial by what a request costs, and the line of those that nothing beats in both."""
    scored = _scored(result)
    dots = [
        svg.Spots(colours[each["kind"]], [(each["request_ms"], each["score"])], _label(each))
        for _, each in scored
    ]
    line = [(result["trials"][at]["request_ms"], result["trials"][at]["score"]) for at in result["front"]]
    limit, least = result["limits"]["latency_ms"], min(each["score"] for _, each in scored)
    most = max(each["score"] for _, each in scored)
    wall = [] if limit is None else [svg.Spots("taste", [(limit, least), (limit, most)], joined=True)]
    return [*wall, svg.Spots("taste", line, joined=True), *dots]


def _label(trial: Mapping[str, Any]) -> str:
    settings = ", ".join(f"{name} {_short(value)}" for name, value in trial["settings"].items())
    return f"{trial['kind']} {trial['score']:.4f}, {trial['request_ms']:.2f} ms: {settings or 'start'}"


def _importance(shares: Mapping[str, float]) -> str:
    rows = [(name, share, share, share) for name, share in shares.items()]
    return svg.bars(rows, "importance", "{:.0%}".format, alike=True) if rows else ""


def _ends(kind: Mapping[str, Any]) -> dict[str, str]:
    counts = {word: str(kind["ends"].get(end, "")) for end, word in ENDS.items()}
    return {"model": kind["kind"], **counts, "seconds": f"{kind['seconds']:,.0f}"}


def _reasons(trials: Sequence[Mapping[str, Any]]) -> list[tuple[str, str, int]]:
    """Kind, reason and how often, of trials that were not scored; those behind differ by a figure each."""
    told: dict[tuple[str, str], int] = {}
    for each in trials:
        if each["end"] not in ("done", "behind"):
            key = (each["kind"], each["why"])
            told[key] = told.get(key, 0) + 1
    return [(kind, why, count) for (kind, why), count in told.items()]


def _settings(chosen: Mapping[str, Any]) -> list[tuple[str, str, str]]:
    """Name, start and choice of every setting that was searched, and of what the scenario sets besides."""
    start, found = chosen["start"], chosen["settings"]
    return [
        (name, _short(start.get(name, found.get(name))), _short(found.get(name, start.get(name))))
        for name in dict.fromkeys([*start, *found])
    ]


def _short(value: object) -> str:
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _figure(value: float | None) -> str:
    return "–" if value is None else number(value)


def _gap(gap: Mapping[str, float]) -> str:
    if gap["low"] == gap["high"] == 0:
        return "the choice"
    text = f"{gap['difference']:+.4f} ± {(gap['high'] - gap['low']) / 2:.4f}"
    return text if gap["low"] > 0 or gap["high"] < 0 else f"({text})"
