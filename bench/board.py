"""The table of figures in bench/README.md; its rows are kept as JSON, so that one entry can run alone."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

HERE = Path(__file__).parent
BEGIN, END = "<!-- figures: written by bench.figures -->\n", "<!-- end of figures -->"


@dataclass(frozen=True)
class Figure:
    """One measured number. `at_least`, `at_most`: the target, if there is one."""

    what: str
    value: float
    at_least: float | None = None
    at_most: float | None = None
    note: str = ""

    @property
    def target(self) -> str:
        if self.at_least is not None:
            return f"≥ {self.at_least:g}"
        return f"≤ {self.at_most:g}" if self.at_most is not None else ""

    @property
    def verdict(self) -> str:
        if not self.target:
            return ""
        over = self.at_least is None or self.value >= self.at_least
        return "reached" if over and (self.at_most is None or self.value <= self.at_most) else "MISSED"


def keep(entry: str, command: str, figures: Sequence[Figure]) -> None:
    """Replaces what the board says about one entry."""
    board = _read()
    board[entry] = {
        "command": command,
        "date": datetime.now(UTC).date().isoformat(),
        "rows": [
            [each.what, f"{each.value:.4g}", each.target, each.verdict, each.note] for each in figures
        ],
    }
    (HERE / "figures.json").write_text(
        json.dumps(board, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    )
    readme = HERE / "README.md"
    head, _, rest = readme.read_text(encoding="utf-8").partition(BEGIN)
    readme.write_text(head + BEGIN + _table(board) + END + rest.partition(END)[2], encoding="utf-8")


def _read() -> dict[str, dict[str, object]]:
    path = HERE / "figures.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}


def _table(board: dict[str, dict[str, object]]) -> str:
    lines = [
        "| command | figure | measured | target | with | date |",
        "| --- | --- | ---: | --- | --- | --- |",
    ]
    for found in board.values():
        command, date = f"`{found['command']}`", found["date"]
        for what, value, target, verdict, note in found["rows"]:
            lines.append(f"| {command} | {what} | {value} | {target} {verdict} | {note} | {date} |")
            command = date = ""
    return "\n".join(lines) + "\n"
