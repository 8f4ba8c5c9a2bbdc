"""Progress bars on standard error, silent where nobody looks."""

import sys
from typing import Self

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
from rich.progress import Progress as RichProgress

from polyscene.core.contracts import Progress, ProgressBar, silent


def progress(quiet: bool = False, console: Console | None = None) -> Progress:
    """What makes a bar per long piece of work; `quiet`, or no terminal on stderr, gives `silent`."""
    shown = console or Console(file=sys.stderr)
    if quiet or not shown.is_terminal:
        return silent

    def start(label: str, total: int) -> ProgressBar:
        return _Bar(shown, label, total)

    return start


class _Bar:
    """One bar; it goes away when the work is done, so that only results stay on the screen."""

    def __init__(self, console: Console, label: str, total: int) -> None:
        self._rich = RichProgress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            TextColumn("{task.fields[note]}"),
            console=console,
            transient=True,
        )
        self._task = self._rich.add_task(label, total=total, note="")

    def __enter__(self) -> Self:
        self._rich.start()
        return self

    def __exit__(self, *failure: object) -> None:
        self._rich.stop()

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Moves on by `steps`; an empty `note` keeps the last one."""
        if note:
            self._rich.update(self._task, advance=steps, note=note)
        else:
            self._rich.advance(self._task, steps)
