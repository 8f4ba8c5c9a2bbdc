"""Plots as SVG text: no library, no script; colours come from the page's CSS (`c0` the model, `c1` ...)."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape
from math import ceil, floor, log10

from polyscene.core.arrays import Array
from polyscene.evaluate.charts import Point

WIDTH, HEIGHT = 480, 270
LEFT, RIGHT, TOP, BOTTOM = 46, 468, 10, 226
"""The box that curves, columns and steps are drawn in; labels stand outside it."""


LETTER = 6.8
"""Width of a letter of an axis."""


def bars(
    rows: Sequence[tuple[str, float, float, float]],
    title: str,
    show: Callable[[float], str] = "{:.4f}".format,
    *,
    alike: bool = False,
) -> str:
    """Horizontal bars with intervals: (label, value, low, high) per row, the model first.

    With `alike` all have one colour, as many of them would have no meaning.
    """
    most = max(max(value, high) for _, value, _, high in rows) or 1.0
    start, room, step = 118, WIDTH - 118 - 64, 32
    parts = []
    for at, (label, value, low, high) in enumerate(rows):
        style = "c0" if alike else f"c{at}"
        y, strong = 6 + at * step, " strong" if at == 0 else ""
        end, left, right = (start + room * each / most for each in (value, low, high))
        parts.append(_text(start - 10, y + 15, label, f"end{strong}"))
        parts.append(
            f'<rect class="fill {style}" x="{start}" y="{y}" width="{end - start:.1f}" height="20" rx="3"/>'
        )
        parts.append(f'<path class="whisker" d="M{left:.1f} {y + 10}H{right:.1f}M{left:.1f} {y + 6}v8'
                     f'M{right:.1f} {y + 6}v8"/>')  # fmt: skip
        parts.append(_text(max(end, right) + 8, y + 15, show(value), strong.strip()))
    return _svg(parts, len(rows) * step, title)


def curves(series: Sequence[tuple[str, Array]], x_title: str, title: str) -> str:
    """Lines in the unit square, one (P, 2) array each; a class is given with each line."""
    parts = _grid(1.0, _percent)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(_text(_x(share), BOTTOM + 18, _percent(share), "axis middle"))
    for style, points in series:
        path = " ".join(f"{_x(x):.1f},{_y(y):.1f}" for x, y in points.tolist())
        parts.append(f'<polyline class="line {style}" points="{path}"/>')
    return _svg([*parts, _title_x(x_title)], HEIGHT, title)


def columns(
    series: Sequence[Sequence[tuple[str, float]]],
    x_title: str,
    title: str,
    show: Callable[[float], str] = lambda share: f"{100 * share:.3g}%",
) -> str:
    """Grouped columns: (label, value) pairs per series, all with the same labels; shares unless told."""
    labels = [label for label, _ in series[0]]
    top = _round_up(max(share for pairs in series for _, share in pairs))
    wide = 0.8 * (RIGHT - LEFT) / len(labels) / len(series)
    parts = [*_grid(top, show), *_groups(labels)]
    for at, pairs in enumerate(series):
        for place, (label, share) in enumerate(pairs):
            x, y = _slot(place, len(labels)) + wide * (at - len(series) / 2), _y(share / top)
            parts.append(
                f'<rect class="fill c{at}" x="{x:.1f}" y="{y:.1f}" width="{max(0.6, wide - 1):.1f}" '
                f'height="{BOTTOM - y:.1f}">'
                f"<title>{escape(label)}: {show(share)}</title></rect>"
            )
    return _svg([*parts, _title_x(x_title)], HEIGHT, title)


def steps(series: Sequence[Sequence[Point]], x_title: str, title: str) -> str:
    """Means with intervals per group, joined by lines; every series has the same groups."""
    count = len(series[0])
    top = _round_up(max(point.high for points in series for point in points))
    parts = [*_grid(top, lambda value: f"{value:.2g}"), *_groups([point.label for point in series[0]])]
    for at, points in reversed(list(enumerate(series))):
        spots = []
        for place, point in enumerate(points):
            x = _slot(place, count) + 6 * (at - (len(series) - 1) / 2)
            y, low, high = (_y(value / top) for value in (point.value, point.low, point.high))
            spots.append(f"{x:.1f},{y:.1f}")
            parts.append(f'<path class="line c{at}" d="M{x:.1f} {low:.1f}V{high:.1f}"/>')
            parts.append(
                f'<circle class="fill c{at}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{point.value:.4f} over {point.count} queries</title></circle>"
            )
        parts.append(f'<polyline class="line thin c{at}" points="{" ".join(spots)}"/>')
    return _svg([*parts, _title_x(x_title)], HEIGHT, title)


@dataclass(frozen=True, slots=True)
class Spots:
    """Points (x, y) of one class: dots with a label to be shown under the pointer, or joined by a line."""

    style: str
    points: Sequence[tuple[float, float]]
    label: str = ""
    joined: bool = False


def spots(series: Sequence[Spots], titles: tuple[str, str], title: str, *, log: bool = False) -> str:
    """Points over two axes with `titles`: y from 0, x from the least to the most, `log` by tenfolds."""
    spread = log10 if log else float
    xs = [spread(x) for each in series for x, _ in each.points]
    low, width = min(xs), (max(xs) - min(xs)) or 1.0
    top = _round_up(max(y for each in series for _, y in each.points))
    parts = _grid(top, "{:.2g}".format)
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        value = low + share * width
        parts.append(_text(_x(share), BOTTOM + 18, _number(10**value if log else value), "axis middle"))
    for each in series:
        at = [(_x((spread(x) - low) / width), _y(y / top)) for x, y in each.points]
        if each.joined:
            path = " ".join(f"{x:.1f},{y:.1f}" for x, y in at)
            parts.append(f'<polyline class="line {each.style}" points="{path}"/>')
            continue
        for x, y in at:
            parts.append(
                f'<circle class="fill {each.style}" cx="{x:.1f}" cy="{y:.1f}" r="4">'
                f"<title>{escape(each.label)}</title></circle>"
            )
    return _svg([*parts, _title_x(f"{titles[0]} (upwards: {titles[1]})")], HEIGHT, title)


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.3g}"


def _grid(top: float, show: Callable[[float], str]) -> list[str]:
    parts = []
    for share in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(f'<path class="grid" d="M{LEFT} {_y(share):.1f}H{RIGHT}"/>')
        parts.append(_text(LEFT - 8, _y(share) + 4, show(share * top), "axis end"))
    return parts


def _groups(labels: Sequence[str]) -> list[str]:
    """Labels below their slots; only every so many where all of them would not find room."""
    room = (RIGHT - LEFT) / (LETTER * max(map(len, labels), default=1) + 12)
    step = ceil(len(labels) / max(1, floor(room)))
    return [
        _text(_slot(place, len(labels)), BOTTOM + 18, label, "axis middle")
        for place, label in enumerate(labels)
        if place % step == 0
    ]


def _title_x(text: str) -> str:
    return _text((LEFT + RIGHT) / 2, BOTTOM + 38, text, "axis middle")


def _slot(place: int, count: int) -> float:
    return LEFT + (RIGHT - LEFT) * (place + 0.5) / count


def _x(share: float) -> float:
    return LEFT + (RIGHT - LEFT) * share


def _y(share: float) -> float:
    return BOTTOM - (BOTTOM - TOP) * min(1.0, share)


def _percent(share: float) -> str:
    return f"{100 * share:.3g}%"


def _round_up(value: float) -> float:
    """The next number of one digit and a half, so that four grid lines read well."""
    if not value > 0:
        return 1.0
    unit = 10.0 ** floor(log10(value))
    return ceil(value / unit * 2.5) / 2.5 * unit


def _text(x: float, y: float, text: str, style: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" class="{style}">{escape(text)}</text>'


def _svg(parts: Sequence[str], height: int, title: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}">'
        + "".join(parts)
        + "</svg>"
    )
