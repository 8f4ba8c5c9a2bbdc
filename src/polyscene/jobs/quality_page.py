"""The quality of data as one HTML page without outside resources."""

from importlib.resources import files

import numpy as np

from polyscene.core.clock import show_time
from polyscene.dataset.quality.finding import Plot, Quality
from polyscene.evaluate import svg
from polyscene.evaluate.page import render

SEVERITIES = {
    "bad": ("mend first", "spoils what models learn"),
    "warn": ("worth mending", "costs quality"),
    "note": ("good to know", "nothing to be done at once"),
}


def quality_html(quality: Quality) -> str:
    """The report as one page; all text in it is escaped."""
    return render(
        files("polyscene.jobs").joinpath("quality.html.jinja").read_text(encoding="utf-8"),
        q=quality,
        made=show_time(quality.made)[:16].replace("T", " "),
        severities=SEVERITIES,
        plots=[(plot, _drawn(plot)) for plot in quality.plots],
        languages=_languages(quality),
        columns=[
            {
                "name": f"{each.table}.{each.column}",
                "type": each.type,
                "missing": f"{each.missing:.1%}" if each.missing else "",
                "distinct": f"{each.distinct:,}",
                "range": _range(each.type, each.low, each.high),
                "example": each.example,
            }
            for each in quality.columns
        ],
    )


def _drawn(plot: Plot) -> str:
    if plot.kind == "curve":
        points = np.stack([np.array(plot.xs), np.array(plot.values)], axis=1)
        return svg.curves([("c0", points)], plot.x_title, plot.title)
    pairs = list(zip(plot.labels, plot.values, strict=True))
    return svg.columns([pairs], plot.x_title, plot.title, _count)


def _count(value: float) -> str:
    for size, letter in ((1e9, "G"), (1e6, "M"), (1e4, "k")):
        if value >= size:
            scale = 1e3 if letter == "k" else size
            return f"{value / scale:.3g}{letter}"
    return f"{value:,.0f}" if value == round(value) else f"{value:.1f}"


def _languages(quality: Quality) -> str:
    many = [(name, part) for name, part in quality.languages.items() if part >= 0.01][:8]
    return svg.columns([many], "language (ISO 639-1), ? = can't be told", "Languages") if many else ""


def _range(kind: str, low: float | None, high: float | None) -> str:
    if low is None or high is None:
        return ""
    if kind == "time" and high > 10**10:
        return f"{show_time(int(low))[:10]} … {show_time(int(high))[:10]}"
    shown = (f"{each:,.0f}" if each == round(each) else f"{each:,.5g}" for each in (low, high))
    return " … ".join(shown)
