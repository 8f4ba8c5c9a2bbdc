"""The methods, each a typed config; they are applied in the order in which they are named.

Legend: R item rows, D width, K rank or kept cells, M parts, P vectors of a pool, H hashes, F hidden units.
"""

from collections.abc import Callable, Mapping
from typing import Annotated, Any, Protocol, get_args

import msgspec
import numpy as np

from polyscene.compress.tables import centred, factors, shared_pool
from polyscene.core.arrays import Array, Floats
from polyscene.core.errors import ConfigError, nearest
from polyscene.lean.evidence import ThinLinear
from polyscene.lean.packing import halved, is_large, packed

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(gt=0, lt=1)]
Tensors = Mapping[str, Array]


class Method(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Root of all methods."""


class OnTensors(Protocol):
    """A method that works on tensors alone."""

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """The tensors of a model of so many item rows in their new form; what it does not touch stays.

        Raises:
            ConfigError: Nothing is there to work on, for then it would promise for nothing; or the
                settings don't fit the shapes.
        """
        ...


class Int8(Method, frozen=True, kw_only=True, tag="int8"):
    """Large matrices as int8, a scale for each row: a quarter of the size. Counts get narrower, exactly.

    Weights are floats again once loaded, so answers cost what they did; item vectors of a lean form stay
    int8 in memory.

    Source: symmetric quantisation by rows, as in Jacob et al. 2018 without its whole-number arithmetic.
    """

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""
        _large(tensors, "int8")
        return packed(tensors)


class Bf16(Method, frozen=True, kw_only=True, tag="bf16"):
    """Large matrices as bfloat16: half the size, no number off by more than 0.4 %. No quicker.

    Source: Kalamkar et al. 2019.
    """

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""
        _large(tensors, "bf16")
        return halved(tensors)


class ProductQuantised(Method, frozen=True, kw_only=True, tag="product"):
    """Item vectors in `parts` pieces, each one of 256 learned centres: one byte a piece.

    They are floats again once loaded: a catalogue whose vectors fit into a cache is scanned quicker so.

    Source: Jegou et al. 2011, product quantisation; FAISS learns the centres.
    """

    parts: Positive = 16

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""

        def form(name: str, table_RD: Floats) -> dict[str, Array]:
            if table_RD.shape[1] % self.parts:
                raise ConfigError(
                    f"product: {name} is {table_RD.shape[1]} wide, which {self.parts} parts don't divide;"
                    " choose a divisor"
                )
            codes, book = centred(table_RD, self.parts)
            return {f"{name}:codes": codes, f"{name}:book": book}

        return _each_table(tensors, rows, "product", form)


class LowRank(Method, frozen=True, kw_only=True, tag="low_rank"):
    """Item vectors as the product of two matrices of `rank`, the nearest there is.

    Source: Eckart and Young 1936, by a singular value decomposition.
    """

    rank: Positive = 32

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""

        def form(name: str, table_RD: Floats) -> dict[str, Array]:
            if self.rank >= min(table_RD.shape):
                raise ConfigError(
                    f"low_rank: {name} is {table_RD.shape[0]} x {table_RD.shape[1]}, so rank {self.rank}"
                    " saves nothing; choose a lower one"
                )
            left, right = factors(table_RD, self.rank)
            return {f"{name}:left": left, f"{name}:right": right}

        return _each_table(tensors, rows, "low_rank", form)


class Hashed(Method, frozen=True, kw_only=True, tag="hashed"):
    """Each item vector as a weighted sum of `hashes` vectors from a pool of `share` of the rows.

    Pool and weights are fitted to the vectors as they are, by turns, not learned with the model.

    Source: hash embeddings (Svenstrup et al. 2017), fitted afterwards.
    """

    share: Share = 0.25
    hashes: Annotated[int, msgspec.Meta(ge=2, le=4)] = 2

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""

        def form(name: str, table_RD: Floats) -> dict[str, Array]:
            pool, shares = shared_pool(table_RD, max(1, round(self.share * rows)), self.hashes)
            return {f"{name}:pool": pool, f"{name}:shares": shares}

        return _each_table(tensors, rows, "hashed", form)


class PruneLinks(Method, frozen=True, kw_only=True, tag="prune_links"):
    """Item-to-item matrices with the `keep` largest weights of each row: smaller, and quicker to add up.

    Source: magnitude pruning (Han et al. 2015), row by row, as neighbourhood models are cut.
    """

    keep: Positive = 300

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""
        made = dict(tensors)
        names = [name for name, values in tensors.items() if _is_square(values, rows)]
        _some(names, "prune_links", "matrix of items by items", tensors)
        for name in names:
            made |= ThinLinear.of(made.pop(name), self.keep).tensors(name)
        return made


class PruneUnits(Method, frozen=True, kw_only=True, tag="prune_units"):
    """Blocks without the `share` of their hidden units that carry least: smaller and quicker.

    What a unit carries is the product of the norms of its weights in and out. Lean forms only: a torch
    network has the widths of its config.

    Source: structured magnitude pruning (Li et al. 2017), on the feed-forward layers of a Transformer.
    """

    share: Share = 0.25

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""
        made = dict(tensors)
        blocks = [
            name.removesuffix(".hidden.weight") for name in tensors if name.endswith(".hidden.weight")
        ]
        _some(blocks, "prune_units", "feed-forward layer", tensors)
        for block in blocks:
            hidden_GFD, output_DF = _layers(made, block)
            norms_GF = np.linalg.norm(hidden_GFD, axis=2)
            worth_F = norms_GF.prod(0) * np.linalg.norm(output_DF, axis=0)
            count = max(1, round((1 - self.share) * len(worth_F)))
            kept_K = np.sort(np.argpartition(-worth_F, count - 1)[:count])
            made[f"{block}.hidden.weight"] = hidden_GFD[:, kept_K].reshape(-1, hidden_GFD.shape[2])
            made[f"{block}.output.weight"] = np.ascontiguousarray(output_DF[:, kept_K])
            if f"{block}.hidden.bias" in made:
                bias_GF = made[f"{block}.hidden.bias"].reshape(len(norms_GF), -1)
                made[f"{block}.hidden.bias"] = bias_GF[:, kept_K].reshape(-1)
        return made


class PruneWeights(Method, frozen=True, kw_only=True, tag="prune_weights"):
    """The `share` of the smallest weights of every large matrix as zeros.

    That makes nothing smaller or quicker: dense products multiply zeros too, and a zero takes the room of
    any number. It tells how much a model could lose; `prune_links` and `prune_units` are what pays.

    Source: magnitude pruning, Han et al. 2015.
    """

    share: Share = 0.5

    def __call__(self, tensors: Tensors, rows: int) -> dict[str, Array]:
        """See `OnTensors`."""
        made = dict(tensors)
        for name in _large(tensors, "prune_weights"):
            size = np.abs(made[name])
            made[name] = np.where(size < np.quantile(size, self.share), np.float32(0), made[name])
        return made


class Distil(Method, frozen=True, kw_only=True, tag="distil"):
    """A smaller model of the same kind, taught by the large one: its config with the settings of `set`.

    A dot in a name leads into a table of the config: ``{"evidence.ease_links": 300}``.
    `weight`: how much the teacher's probabilities count beside what came next. It needs the data, so it
    stands before the methods that work on tensors alone.

    Source: Hinton et al. 2015, at temperature 1.
    """

    set: dict[str, Any]
    weight: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5


TensorMethods = Int8 | Bf16 | ProductQuantised | LowRank | Hashed | PruneLinks | PruneUnits | PruneWeights
Methods = TensorMethods | Distil
METHODS: Mapping[str, type[Method]] = {
    str(each.__struct_config__.tag): each for each in (*get_args(TensorMethods), Distil)
}
"""Every method by its kind."""


def method_of(text: str) -> Methods:
    """The method that a text names, with settings after a colon: ``prune_links:keep=50``.

    Settings that are tables are given with a dot: ``distil:set.dim=64,set.layers=1``.

    Raises:
        ConfigError: An unknown method or setting, or a value that can't be read.
    """
    kind, _, rest = text.partition(":")
    if kind not in METHODS:
        raise ConfigError(f"compress: unknown method {kind!r}{nearest(kind, METHODS)}")
    raw: dict[str, Any] = {"kind": kind}
    for each in filter(None, rest.split(",")):
        key, equals, value = each.partition("=")
        if not equals:
            raise ConfigError(f"compress: {text!r}: expected KEY=VALUE after the colon, got {each!r}")
        name, dot, inner = key.partition(".")
        if dot:
            raw.setdefault(name, {})[inner] = _literal(value)
        else:
            raw[name] = _literal(value)
    try:
        found: Methods = msgspec.convert(raw, Methods)
    except msgspec.ValidationError as problem:
        raise ConfigError(f"compress: {text!r}: {problem}") from problem
    return found


def _literal(text: str) -> object:
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value


def _each_table(
    tensors: Tensors, rows: int, name: str, form: Callable[[str, Floats], dict[str, Array]]
) -> dict[str, Array]:
    """The tensors with each table of item vectors in another form."""
    tables = [key for key, values in tensors.items() if ":" not in key and _is_table(values, rows)]
    _some(tables, name, "table of item vectors", tensors)
    made = {key: values for key, values in tensors.items() if key not in tables}
    for key in tables:
        made |= form(key, tensors[key])
    return made


def _large(tensors: Tensors, method: str) -> list[str]:
    """Names of the matrices that are worth packing."""
    names = [name for name, values in tensors.items() if is_large(name, values) and values.size]
    _some(names, method, "large matrix", tensors)
    return names


def _is_table(values: Array, rows: int) -> bool:
    """Whether a tensor has a vector for each item."""
    return values.dtype == np.float32 and values.ndim == 2 and rows == len(values) != values.shape[1]


def _is_square(values: Array, rows: int) -> bool:
    return values.dtype == np.float32 and values.shape == (rows, rows)


def _layers(tensors: Tensors, block: str) -> tuple[Floats, Floats]:
    """(G, F, D) weights into the units of a block, G = 2 where a switch is beside the value; (D, F) out."""
    hidden, output_DF = tensors[f"{block}.hidden.weight"], tensors[f"{block}.output.weight"]
    return hidden.reshape(-1, output_DF.shape[1], hidden.shape[1]), output_DF


def _some(found: list[str], method: str, what: str, tensors: Tensors) -> None:
    """Passes if something was found. Raises ConfigError with what is there."""
    if not found:
        packed_ones = any(":" in name for name in tensors)
        why = "; methods that pack weights come last" if packed_ones else ""
        raise ConfigError(f"{method}: the model has no {what} of floats{why}; leave {method} out")
