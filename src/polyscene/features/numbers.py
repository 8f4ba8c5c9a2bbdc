"""Scaling of numbers: standard, min-max, log and quantile, fitted once and then frozen.

All take (N,) numbers and give (N,) float32. NaN, infinities and what float32 can't hold are missing and
come out as `fill`, which is where a typical training value comes out.
"""

from dataclasses import dataclass
from typing import Annotated

import msgspec
import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Bools, Floats
from polyscene.core.config import Config
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError

LARGEST = float(np.finfo(np.float32).max)
LIMIT = 1e6
"""No scaled number is larger than this, however far it lies from the training values."""
SMALLEST = 1e-30
"""A column that spreads less than this is constant and is only shifted."""


class Standard(Config, frozen=True, kw_only=True, tag="standard"):
    """Mean 0 and standard deviation 1 over the training values; missing comes out as 0."""

    def fit(self, values: Array) -> "Affine":
        """Learns mean and deviation."""
        return _standard(_present(values), log=False)

    def load(self, state: State) -> "Affine":
        """As it was saved."""
        return Affine.of(state)


class MinMax(Config, frozen=True, kw_only=True, tag="min_max"):
    """Smallest training value 0, largest 1, what lies outside cut off; missing comes out as the mean."""

    def fit(self, values: Array) -> "Affine":
        """Learns the range."""
        x = _present(values)
        low, high = (float(x.min()), float(x.max())) if len(x) else (0.0, 0.0)
        scale = high - low if high - low > SMALLEST else 1.0
        fill = float((x - low).mean() / scale) if len(x) else 0.0
        return Affine(low, scale, 0.0, 1.0, min(fill, 1.0), log=False)

    def load(self, state: State) -> "Affine":
        """As it was saved."""
        return Affine.of(state)


class Log(Config, frozen=True, kw_only=True, tag="log"):
    """The logarithm of 1 + size, sign kept, then standard: for counts, prices. Missing comes out as 0."""

    def fit(self, values: Array) -> "Affine":
        """Learns mean and deviation of the logarithms."""
        return _standard(_log(_present(values)), log=True)

    def load(self, state: State) -> "Affine":
        """As it was saved."""
        return Affine.of(state)


class Quantile(Config, frozen=True, kw_only=True, tag="quantile"):
    """Share of the training values below, in [0, 1]; a value tied with many gets the middle of its tie.

    At most `bins` training quantiles are kept. Missing comes out as 0.5.
    """

    bins: Annotated[int, msgspec.Meta(ge=2, le=100_000)] = 1_000

    def fit(self, values: Array) -> "Quantiles":
        """Learns the quantiles."""
        x = np.sort(_present(values))
        if len(x) > self.bins:
            x = x[np.linspace(0, len(x) - 1, self.bins).round().astype(np.int64)]
        return Quantiles(x)

    def load(self, state: State) -> "Quantiles":
        """As it was saved."""
        return Quantiles(np.asarray(_tensor(state, "edges"), np.float64))


@dataclass(frozen=True, slots=True)
class Affine:
    """(x - shift) / scale, cut to [low, high]; x is its signed logarithm first where `log` says so."""

    shift: float
    scale: float
    low: float
    high: float
    fill: float
    log: bool

    def __call__(self, values: Array) -> Floats:
        """(N,) scaled values."""
        x, there = _split(values)
        scaled = ((_log(x) if self.log else x) - self.shift) / self.scale
        return np.where(there, np.clip(scaled, self.low, self.high), self.fill).astype(np.float32)

    def state(self) -> State:
        """Five numbers and a truth."""
        numbers = np.array([self.shift, self.scale, self.low, self.high, self.fill])
        return State({"affine": numbers}, {"log": self.log})

    @classmethod
    def of(cls, state: State) -> "Affine":
        """As it was saved. Raises BundleError when a number is missing."""
        numbers = _tensor(state, "affine")
        if numbers.shape != (5,):
            raise BundleError(f"converter: tensor 'affine' has shape {numbers.shape}, expected (5,); refit")
        shift, scale, low, high, fill = (float(number) for number in numbers)
        return cls(shift, scale, low, high, fill, log=bool(state.meta.get("log", False)))


@dataclass(frozen=True, slots=True)
class Quantiles:
    """Where a value stands among the sorted training values `edges` (Q,)."""

    edges: NDArray[np.float64]

    def __call__(self, values: Array) -> Floats:
        """(N,) shares in [0, 1]."""
        x, there = _split(values)
        below = np.searchsorted(self.edges, x, "left")
        reached = np.searchsorted(self.edges, x, "right")
        share = (below + reached) / (2 * max(1, len(self.edges)))
        return np.where(there & (len(self.edges) > 0), share, 0.5).astype(np.float32)

    def state(self) -> State:
        """The training values kept."""
        return State({"edges": self.edges})


def _standard(x: NDArray[np.float64], *, log: bool) -> Affine:
    mean, spread = (float(x.mean()), float(x.std())) if len(x) else (0.0, 1.0)
    return Affine(mean, spread if spread > SMALLEST else 1.0, -LIMIT, LIMIT, 0.0, log)


def _split(values: Array) -> tuple[NDArray[np.float64], Bools]:
    x = np.asarray(values, np.float64)
    there: Bools = np.abs(x) <= LARGEST
    return np.where(there, x, 0.0), there


def _present(values: Array) -> NDArray[np.float64]:
    x, there = _split(values)
    return x[there]


def _log(x: NDArray[np.float64]) -> NDArray[np.float64]:
    signed: NDArray[np.float64] = np.sign(x) * np.log1p(np.abs(x))
    return signed


def _tensor(state: State, name: str) -> Array:
    if name not in state.tensors:
        raise BundleError(f"converter: tensor {name!r} is missing; the bundle is damaged, fit it again")
    return state.tensors[name]
