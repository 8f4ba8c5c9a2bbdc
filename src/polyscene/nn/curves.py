"""Curves of a training: on the progress bar, as JSON lines, and for TensorBoard."""

import json
import time
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import torch

from polyscene.artifacts.files import refused, replace_synced
from polyscene.core.errors import ConfigError
from polyscene.nn.course import Course

CURVE = "curve.jsonl"
EVERY_S = 1.0
"""How often a point is written."""


@runtime_checkable
class Targeted(Protocol):
    """A batch that knows how many events are predicted in it."""

    targets: torch.Tensor


class Curve:
    """Loss, learning rate, speed and validation score as a training goes.

    `folder` gets `CURVE`, one JSON object a point; `board` is a folder for TensorBoard. Points after the
    step that `course` stands at are of a training that was killed there, and are taken out.

    Raises:
        ConfigError: `board` is given, and tensorboardX is not installed.
    """

    def __init__(self, course: Course, folder: Path | None, board: Path | None) -> None:
        self._course = course
        self._path = None if folder is None else folder / CURVE
        if self._path is not None:
            _cut(self._path, course.steps)
        self._board = None if board is None else _board(board, course.steps)
        self._score: float | None = None
        self._unit = "steps/s"
        self._speed = 0.0
        self.rest()

    def rest(self) -> None:
        """What came since the last point is not counted as training time."""
        self._losses: list[float] = []
        self._done, self._began = 0, time.monotonic()

    def saw(self, loss: float, batch: object) -> str:
        """Takes in one step; gives the note for the bar."""
        self._losses.append(loss)
        if isinstance(batch, Targeted):
            self._unit, self._done = "events/s", self._done + len(batch.targets)
        else:
            self._done += 1
        spent_s = time.monotonic() - self._began
        self._speed = self._speed or self._done / max(spent_s, 1e-9)
        if spent_s >= EVERY_S:
            self._speed = self._done / spent_s
            mean = sum(self._losses) / len(self._losses)
            rate = self._course.used_rate
            self._write(
                {"loss": mean, "learning_rate": rate, self._unit.replace("/", "_per_"): self._speed}
            )
            self.rest()
        return self._note(loss)

    def judged(self, score: float) -> None:
        """Takes in a validation."""
        self._score = score
        self._write({"score": score})
        self.rest()

    def close(self) -> None:
        """Nothing more will come."""
        if self._board is not None:
            self._board.close()

    def _note(self, loss: float) -> str:
        course = self._course
        told = f"epoch {course.epochs}/{course.plan.epochs} loss {loss:.3f}"
        told += f" rate {course.used_rate:.1e} {self._speed:,.0f} {self._unit}"
        if course.best is not None:
            last = course.best[0] if self._score is None else self._score
            told += f" score {last:.4f} best {course.best[0]:.4f}"
        return told

    def _write(self, values: dict[str, float]) -> None:
        step = self._course.steps
        if self._path is not None:
            line = json.dumps({"step": step, "epoch": self._course.epochs, **values})
            with refused(self._path, "write the curve"), self._path.open("a", encoding="utf-8") as file:
                file.write(line + "\n")
        if self._board is not None:
            for name, value in values.items():
                self._board.add_scalar(name, value, step)


def _cut(path: Path, step: int) -> None:
    """Takes the points after `step` out of a curve, and a line that a kill left unfinished."""
    if not path.exists():
        return
    lines = path.read_bytes().splitlines(keepends=True)
    kept = [line for line in lines if line.endswith(b"\n") and json.loads(line)["step"] <= step]
    replace_synced(path, b"".join(kept))


def _board(folder: Path, step: int) -> Any:
    try:
        from tensorboardX import SummaryWriter
    except ImportError as problem:
        raise ConfigError(
            "tensorboard: needs tensorboardX; install it with pip install 'polyscene[tensorboard]'"
        ) from problem
    return SummaryWriter(str(folder), purge_step=step + 1)
