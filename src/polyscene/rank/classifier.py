"""An interaction model over the columns of any table: which of two labels a row has.

Legend: N rows.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import torch
from msgspec.structs import replace
from torch import nn

from polyscene.core.arrays import Array, Bools, Floats
from polyscene.core.config import find, kind_of, read, to_json
from polyscene.core.contracts import Run, State
from polyscene.core.errors import BundleError, ConfigError, DataError
from polyscene.core.states import pack, unpack
from polyscene.dataset.fields import Field, read_field
from polyscene.features.convert import Conversion, fit_conversion
from polyscene.nn import machine
from polyscene.nn.clicks import Labelled, chances, learned, mean_loss
from polyscene.nn.fields import Plan, Sheet
from polyscene.nn.weights import put_tensors, tensors_of
from polyscene.rank.interaction import Interaction
from polyscene.rank.table import KINDS

CONVERTERS: Mapping[str, Mapping[str, Any]] = {
    "words": {"kind": "vocabulary", "min_count": 2},
    "number": {"kind": "standard"},
    "log": {"kind": "log"},
    "time": {"kind": "standard"},
}
"""How each role is converted. Words seen once share a code, which is that of words never seen."""
CLIP = 10.0
"""Standard deviations at which numbers are cut off."""


@dataclass(frozen=True, slots=True)
class Table:
    """Rows of a file. `where` names it in messages. Shapes: `labels` (N,) float32, 0 or 1."""

    frame: pl.DataFrame
    labels: Floats
    where: str


@dataclass(frozen=True, slots=True)
class Classifier:
    """A fitted network and how it reads a table. `words`: what the labels 0 and 1 are called."""

    config: Interaction
    fields: tuple[Field, ...]
    conversion: Conversion
    words: tuple[str, str]
    network: nn.Module

    def chances(self, frame: pl.DataFrame, where: str) -> Floats:
        """(N,) how likely each row has the second label. Raises DataError where a column is missing."""
        return chances(self.network, _sheet(self.conversion, self.fields, frame, where))

    def state(self) -> State:
        """Fields, conversion and every weight."""
        packed = pack({"conversion": self.conversion})
        weights = {f"network/{name}": each for name, each in tensors_of(self.network).items()}
        meta = {
            "model": to_json(self.config),
            "fields": [[each.name, each.role, each.why] for each in self.fields],
            "words": list(self.words),
        }
        return State({**packed.tensors, **weights}, {**packed.meta, **meta})

    @classmethod
    def load(cls, state: State, run: Run) -> "Classifier":
        """As it was saved. Raises BundleError when it holds something else."""
        for name in ("model", "fields", "words"):
            if name not in state.meta:
                raise BundleError(
                    f"classifier: {name!r} is missing; this is no bundle of `polyscene classify`"
                )
        config = read(KINDS, state.meta["model"], "classifier")
        if not isinstance(config, Interaction):
            raise BundleError(f"classifier: {kind_of(config)!r} reads no tables; take another bundle")
        fields = tuple(Field(*each) for each in state.meta["fields"])
        conversion = Conversion.load(unpack(state, "conversion"))
        network = config.network(_plan(conversion, fields), torch.Generator(machine.device_of(run)))
        put_tensors(network, unpack(state, "network").tensors)
        negative, positive = state.meta["words"]
        return cls(config, fields, conversion, (negative, positive), network.eval().requires_grad_(False))


def classifier_config(kind: str) -> Interaction:
    """The defaults for tables of a kind that can read these. Raises ConfigError for any other."""
    found = find(KINDS, kind, "classify")
    if not issubclass(found, Interaction):
        raise ConfigError(
            f"classify: {kind!r} learns from slates only; take dcn, deepfm, fm, logistic or mlp"
        )
    config = found()
    if config.places:
        raise ConfigError(
            f"classify: {kind!r} reads histories, which a table has none of; take dcn or finalmlp"
        )
    return replace(config, codes_l2=0.0)


def fit_classifier(
    config: Interaction, fields: Sequence[Field], table: Table, parts: tuple[Bools, Bools], run: Run
) -> Classifier:
    """A classifier that learns from the rows of the first part and stops by those of the second.

    Raises:
        DataError: No column is left to read, or a column can't be read as its field says.
        ConfigError: The loss diverged.
    """
    train, valid = parts
    read_ones = tuple(each for each in fields if each.role != "left out")
    if not read_ones:
        raise DataError(f"{table.where}: no column is left to learn from; name some with --column")
    columns = {each.name: read_field(table.frame[each.name], each, table.where) for each in read_ones}
    conversion = fit_conversion({each.name: CONVERTERS[each.role] for each in read_ones}, columns, train)
    rows = Labelled(_converted(conversion, read_ones, columns), table.labels)
    held = rows.take(np.flatnonzero(valid))

    def judge(network: nn.Module) -> float:
        return -mean_loss(network, held)

    known = rows.take(np.flatnonzero(train))
    network = learned(config, _plan(conversion, read_ones), known, run, judge if valid.any() else None)
    return Classifier(config, read_ones, conversion, ("0", "1"), network)


def _sheet(conversion: Conversion, fields: Sequence[Field], frame: pl.DataFrame, where: str) -> Sheet:
    for each in fields:
        if each.name not in frame.columns:
            raise DataError(
                f"{where}: column {each.name!r} is missing, which the model reads; it has"
                f" {', '.join(frame.columns[:12])}"
            )
    columns = {each.name: read_field(frame[each.name], each, where) for each in fields}
    return _converted(conversion, fields, columns)


def _converted(conversion: Conversion, fields: Sequence[Field], columns: Mapping[str, Any]) -> Sheet:
    found = conversion(columns)
    count = len(next(iter(found.values())))
    words = [found[each.name] for each in fields if each.role == "words"]
    values = [found[each.name] for each in fields if each.role != "words"]
    numbers = np.clip(np.column_stack([np.zeros((count, 0)), *values]), -CLIP, CLIP)
    codes: Array = np.column_stack([np.zeros((count, 0)), *words])
    return Sheet(codes.astype(np.int32), numbers.astype(np.float32))


def _plan(conversion: Conversion, fields: Sequence[Field]) -> Plan:
    parts: Mapping[str, Any] = conversion.parts
    sizes = tuple(len(parts[each.name]) for each in fields if each.role == "words")
    return Plan(sizes, sum(each.role != "words" for each in fields))
