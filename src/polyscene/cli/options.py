"""Options that several commands share, and how ``key=value`` texts are read."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from polyscene.core.errors import InputError

if TYPE_CHECKING:
    from polyscene.core.contracts import Training
    from polyscene.dataset.reading import Reading

WorkspaceOption = Annotated[
    Path, typer.Option("--workspace", "-w", help="Folder with the log, scenarios and bundles.")
]
JsonOption = Annotated[bool, typer.Option("--json", help="Print one JSON value to standard output.")]
QuietOption = Annotated[bool, typer.Option("--quiet", "-q", help="No progress bars.")]
MapOption = Annotated[
    list[str] | None,
    typer.Option(
        "--map",
        help="Name a column or file: user=user_id, items.title=name, events=orders.csv. Repeatable.",
    ),
]
MappingOption = Annotated[
    Path | None,
    typer.Option("--mapping", help="A mapping file, as `polyscene data infer --write` makes it."),
]
RuleOption = Annotated[
    list[str] | None,
    typer.Option("--rule", help="Set a cleaning rule: repeats=first, mend_items=case,zeros. Repeatable."),
]
CheckpointOption = Annotated[
    Path | None,
    typer.Option("--checkpoint", help="Keep trainings here; the same command goes on after a kill."),
]
TensorboardOption = Annotated[
    Path | None, typer.Option("--tensorboard", help="Write the curves of trainings here for TensorBoard.")
]
ProfileOption = Annotated[
    Path | None, typer.Option("--profile", help="Write a profiler's trace of some training steps here.")
]
MemoryOption = Annotated[
    float | None,
    typer.Option("--memory-mb", min=1, help="Most that a training may allocate; batches are cut to fit."),
]
SetOption = Annotated[
    list[str] | None, typer.Option("--set", help="Set a config value: epochs=20. Repeatable.")
]
DataOption = Annotated[str, typer.Option("--data", help="A known data set, a folder or a file.")]
OnOption = Annotated[Literal["test", "valid"], typer.Option("--on", help="Which part is ranked.")]
FitOnOption = Annotated[
    Literal["all", "train"] | None,
    typer.Option("--fit-on", help="all (default on test): training and validation part; train: no refit."),
]
ProtocolOption = Annotated[
    Literal["loo", "time", "strong", "random", "random20", "random25", "recbole", "cold", "cold_trained"],
    typer.Option("--protocol", help="How the data is split."),
]
HtmlOption = Annotated[Path | None, typer.Option("--html", help="Write a report with plots here.")]
DEFAULT_WORKSPACE = Path("workspace")


def reading_of(
    file: Path | None, mapping: Sequence[str] | None, rules: Sequence[str] | None = None
) -> "Reading":
    """How to read a source: ``--map`` and ``--rule`` over what a mapping file says.

    Raises:
        InputError: A text is no ``KEY=VALUE``, or the file can't be read.
    """
    from polyscene.dataset.reading import Reading, read_reading, rules_from_texts

    told = Reading(pairs(mapping, "--map"), rules_from_texts(pairs(rules, "--rule")))
    return told if file is None else told.over(read_reading(file))


def training_of(
    checkpoint: Path | None, tensorboard: Path | None, profile: Path | None, memory_mb: float | None
) -> "Training":
    """What trainings keep and take, from the options of that name."""
    from polyscene.core.contracts import Training

    return Training(checkpoint=checkpoint, tensorboard=tensorboard, profile=profile, memory_mb=memory_mb)


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
