"""Conversion of feature columns: a plan of converters, fitted on the training rows only, then frozen."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol, cast

import numpy as np

from polyscene.core.arrays import Array, Bools
from polyscene.core.config import Config, Kinds, read, to_json
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, DataError, nearest

CONVERTERS: Kinds = {
    "standard": "polyscene.features.numbers:Standard",
    "min_max": "polyscene.features.numbers:MinMax",
    "log": "polyscene.features.numbers:Log",
    "quantile": "polyscene.features.numbers:Quantile",
    "vocabulary": "polyscene.features.words:Vocabulary",
    "hashing": "polyscene.features.words:Hashing",
}
"""The table of converters; a plan names one per column, ``{"price": {"kind": "log"}}``."""
Values = Array | Sequence[Any]


class Converted(Protocol):
    """A fitted converter: column in, array of equal length out."""

    def __call__(self, values: Any) -> Array:
        """(N,) float32 or int32; missing and unknown values have their own defined output."""
        ...

    def state(self) -> State:
        """Everything needed to load it again."""
        ...


class Converter(Protocol):
    """An unfitted converter: a config."""

    def fit(self, values: Any) -> Converted:
        """Learns from training values."""
        ...

    def load(self, state: State) -> Converted:
        """The converter whose state this is."""
        ...


@dataclass(frozen=True, slots=True)
class Conversion:
    """Fitted converters by column; what a bundle stores so that serving converts as training did."""

    plan: Mapping[str, Config]
    parts: Mapping[str, Converted]

    def __call__(self, columns: Mapping[str, Values]) -> dict[str, Array]:
        """Every column of the plan converted; others are passed over.

        Raises:
            DataError: A column of the plan is missing.
        """
        return {name: part(_column(columns, name)) for name, part in self.parts.items()}

    def state(self) -> State:
        """Tensors as ``column/name``, and the plan with what else each part knows as meta."""
        states = {name: part.state() for name, part in self.parts.items()}
        tensors = {f"{name}/{key}": t for name, state in states.items() for key, t in state.tensors.items()}
        meta = {name: {"config": to_json(self.plan[name]), **state.meta} for name, state in states.items()}
        return State(tensors, {"columns": meta})

    @classmethod
    def load(cls, state: State) -> "Conversion":
        """The conversion whose state this is. Raises BundleError when something is missing."""
        columns = state.meta.get("columns")
        if not isinstance(columns, Mapping):
            raise BundleError("converter: meta has no 'columns'; the bundle is damaged, fit it again")
        plan = {
            name: read(CONVERTERS, meta["config"], f"column {name!r}") for name, meta in columns.items()
        }
        parts = {}
        for name, config in plan.items():
            prefix = f"{name}/"
            mine = {k.removeprefix(prefix): t for k, t in state.tensors.items() if k.startswith(prefix)}
            parts[name] = cast("Converter", config).load(State(mine, columns[name]))
        return cls(plan, parts)


def fit_conversion(
    plan: Mapping[str, Config | Mapping[str, Any]], columns: Mapping[str, Values], train: Bools
) -> Conversion:
    """Converters fitted on the rows where `train` (N,) holds; other rows are not looked at.

    Raises:
        ConfigError: A kind or setting of the plan is unknown.
        DataError: A column of the plan is missing, or its length differs from that of `train`.
    """
    configs = {
        name: config if isinstance(config, Config) else read(CONVERTERS, config, f"column {name!r}")
        for name, config in plan.items()
    }
    rows: list[int] = np.flatnonzero(train).tolist()
    parts: dict[str, Converted] = {}
    for name, config in configs.items():
        values = _column(columns, name)
        if len(values) != len(train):
            raise DataError(
                f"column {name!r} has {len(values)} rows, 'train' {len(train)}; give equal lengths"
            )
        chosen = values[rows] if isinstance(values, np.ndarray) else [values[row] for row in rows]
        parts[name] = cast("Converter", config).fit(chosen)
    return Conversion(configs, parts)


def _column(columns: Mapping[str, Values], name: str) -> Values:
    if name not in columns:
        raise DataError(f"column {name!r} of the plan is missing{nearest(name, columns)}")
    return columns[name]
