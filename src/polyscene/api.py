"""Polyscene from Python: load frames, train, recommend, save.

What `train` makes is a workspace in a folder, so what `Recommender.save` writes can be served, retrained
and evaluated by every command.
"""

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Self

from polyscene.core.contracts import silent
from polyscene.core.errors import DataError, InputError
from polyscene.dataset.load import tables_from_frames
from polyscene.dataset.reading import Reading
from polyscene.dataset.schema import SCHEMA
from polyscene.dataset.tables import Tables
from polyscene.jobs.engine import Engine
from polyscene.jobs.ingest import IngestReport, append_tables, ingest_frames
from polyscene.jobs.train import TrainRequest
from polyscene.jobs.train import train as train_job
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.ask import Answer, Ask, HistoryEvent

SCENARIO = "main"


class Recommender:
    """A fitted workspace that answers from Python.

    Use it in a with statement, or `close` it: a recommender that was not saved lives in a temporary folder.
    """

    def __init__(self, root: Path, temporary: "tempfile.TemporaryDirectory[str] | None" = None) -> None:
        self._temporary = temporary
        self._root = root
        self._engine = Engine.open(root)

    def recommend(
        self,
        user: str | None = None,
        *,
        history: Sequence[str] | None = None,
        k: int = 10,
        scenario: str = SCENARIO,
        filter: str | None = None,  # noqa: A002 - the word of the field
    ) -> Answer:
        """The best `k` items for a user, or for a visitor with this `history` of item ids, oldest first."""
        events = None if history is None else [HistoryEvent(item=item) for item in history]
        ask = Ask(scenario=scenario, user=user, history=events, k=k, filter=filter)
        return self._engine.recommend(ask)

    def save(self, folder: str | Path) -> Path:
        """Writes everything into `folder`, a workspace that `load` and `polyscene serve -w` open.

        Raises:
            InputError: The folder exists and is not empty; choose another.
        """
        target = Path(folder)
        if target.exists() and any(target.iterdir()):
            raise InputError(f"save: {target} is not empty; choose another folder")
        self._engine.close()
        shutil.copytree(self._root, target, dirs_exist_ok=True)
        self._engine = Engine.open(self._root)
        return target

    def close(self) -> None:
        """Lets go of the files."""
        self._engine.close()
        if self._temporary is not None:
            self._temporary.cleanup()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()


def train(
    events: Any,
    items: Any = None,
    users: Any = None,
    *,
    model: str = "ease",
    mapping: Mapping[str, str] | None = None,
    **settings: Any,
) -> Recommender:
    """A recommender fitted on pandas or Polars frames.

    Args:
        events: One row per interaction: user, item and, if known, time, action, value.
        items: One row per item with its attributes.
        users: One row per user with attributes.
        model: A kind of `polyscene models`.
        mapping: Names of columns that are called otherwise: ``{"item": "movieId"}``.
        settings: The model's config values, such as ``epochs=5``.

    Raises:
        DataError: A column is missing or can't be read.
        ConfigError: Unknown model or setting.
    """
    tables = tables_from_frames(events, items, users, mapping=mapping or {})
    temporary = tempfile.TemporaryDirectory(prefix="polyscene-")
    with ExitStack() as undo:
        undo.callback(temporary.cleanup)
        root = Path(temporary.name)
        _fit(root, tables, _recipe(model, settings))
        recommender = Recommender(root, temporary)
        undo.pop_all()
    return recommender


def _fit(root: Path, tables: Tables, recipe: str) -> None:
    """Makes a workspace with one scenario at `root`, and fits it on the tables."""
    space = Workspace.create(root)
    for starter in (root / "scenarios").iterdir():
        starter.unlink()
    (root / "scenarios" / f"{SCENARIO}.toml").write_text(recipe, encoding="utf-8")
    with space.log() as log:
        append_tables(log, tables, silent)
    train_job(space, TrainRequest(holdout=False), silent)


def _recipe(model: str, settings: Mapping[str, Any]) -> str:
    """A scenario file of one stage. JSON's texts, numbers, truths and lists of them are TOML too."""
    lines = [f"{name} = {json.dumps(value)}" for name, value in {"kind": model, **settings}.items()]
    return f'scenario = "{SCENARIO}"\n\n[[stages]]\n' + "\n".join(lines) + "\n"


def ingest(
    frames: Mapping[str, Any] | Any,
    workspace: str | Path = "workspace",
    *,
    mapping: Mapping[str, str] | None = None,
    rules: Mapping[str, object] | None = None,
) -> IngestReport:
    """Cleans pandas or Polars frames and appends them to a workspace's log; makes it where there is none.

    Args:
        frames: A frame of events, or ``{"events": ..., "items": ..., "users": ..., "edges": ...}``.
        workspace: Its folder.
        mapping: Names of columns that are called otherwise: ``{"item": "movieId"}``.
        rules: Cleaning rules, such as ``{"repeats": "first"}``.

    Raises:
        DataError: There are no events, or a column is missing or can't be read; the log is as it was.
    """
    tables: Mapping[Any, Any] = frames if isinstance(frames, Mapping) else {"events": frames}
    unknown = sorted(set(tables) - set(SCHEMA))
    if unknown or "events" not in tables:
        raise DataError(
            f"ingest: got frames {sorted(tables)}, expected events and any of {', '.join(SCHEMA)}"
        )
    reading = Reading(mapping or {}, rules or {})
    return ingest_frames(Workspace.create(Path(workspace)), tables, reading, silent)


def load(folder: str | Path) -> Recommender:
    """The recommender that `Recommender.save` or the command line left in `folder`."""
    return Recommender(Path(folder))
