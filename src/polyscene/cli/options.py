"""Options that several commands share, and how ``key=value`` texts are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

from polyscene.core.errors import InputError

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="Folder with the log, scenarios and bundles.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value to standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option("--map", help="Name a column: user=user_id, item=movieId, time=position. Repeatable."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Set a config value: epochs=20. Repeatable.")
]
DEFAULT_WORKSPACE = Path("workspace")


def pairs(texts: Sequence[str] | None, option: str) -> dict[str, str]:
    """``["a=1"]`` as ``{"a": "1"}``.

    Raises:
        InputError: A text has no ``=``, or a key comes twice.
    """
    found: dict[str, str] = {}
    for text in texts or ():
        key, equals, value = text.partition("=")
        if not equals or not key:
            raise InputError(f"{option} {text!r}: expected KEY=VALUE")
        if key in found:
            raise InputError(f"{option} {text!r}: {key} is given twice")
        found[key] = value
    return found
