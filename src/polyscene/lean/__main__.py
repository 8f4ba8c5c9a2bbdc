"""Recommends from an exported model: ``python -m polyscene.lean FOLDER < histories``, a line each.

A line is a JSON list of events, oldest first: an item's id or ``{"item": id, "time": UTC ms, "value": 4}``.
For each line the ids of the items to come next are written as a JSON list, best first. Items that the model
does not know are passed over; what a history holds is not recommended again.
"""

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from polyscene.core.arrays import Ragged
from polyscene.core.errors import InputError, PolysceneError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.lean.folder import read_lean
from polyscene.lean.model import LeanModel

WANTED = 10


def recommend(model: LeanModel, code_of: dict[str, int], line: str) -> list[int]:
    """The codes to come next. Raises InputError where the line is not a list of events."""
    try:
        events = [event if isinstance(event, dict) else {"item": event} for event in json.loads(line)]
        history = history_of(
            [[code_of.get(str(event["item"]), -1) for event in events]],
            [[int(event.get("time", 0)) for event in events]],
        )
        values = np.array([event.get("value", 1.0) for event in events], np.float32)
    except (ValueError, TypeError, KeyError) as problem:
        raise InputError(
            f'histories: {problem}; expected a JSON list of ids or of {{"item": id, "time": ms}} a line'
        ) from problem
    history.columns["value"][:] = values
    size = int(model.rows.codes.max(initial=-1)) + 1
    queries = Queries.of_histories(history, size, wanted=WANTED)
    asked = history["time"].max(initial=0)
    seen = Ragged(history.offsets, history["item"])
    queries = replace(queries, at=np.array([asked]), exclude=seen)
    codes: list[int] = model(queries, Slates.empty(1)).of(0).tolist()
    return codes


def main(arguments: list[str]) -> None:
    """Answers every line of standard input."""
    if len(arguments) != 1:
        raise InputError("expected one folder: python -m polyscene.lean FOLDER < histories")
    model, ids = read_lean(Path(arguments[0]))
    code_of: dict[str, Any] = dict(zip(ids, model.rows.codes.tolist(), strict=True))
    id_of = {code: name for name, code in code_of.items()}
    for line in sys.stdin:
        found = [id_of[code] for code in recommend(model, code_of, line)]
        sys.stdout.write(json.dumps(found, ensure_ascii=False) + "\n")


if __name__ == "__main__":
    try:
        main(sys.argv[1:])
    except PolysceneError as problem:
        sys.exit(f"polyscene.lean: {problem}")
