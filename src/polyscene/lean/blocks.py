"""Transformer blocks in NumPy, made from the weights of their torch twins in ``nn/layers.py``.

What a product is followed or preceded by is folded into its weights: the scale and shift of a norm, the
scale of attention scores, the sign inside a sigmoid. Histories lie one after another without padding, so
that only attention works history by history.

Legend: N events of all histories, M positions that ask, L positions that are seen, D width, H heads,
E = D / H, F numbers that are kept of an event, Q numbers of a query.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import numpy as np

from polyscene.core.arrays import Array, Floats

BlockKind = Literal["ligr", "hstu", "sasrec"]
CLOSED = np.float32(-1e9)
"""Added to the score of a position that must not be seen: nothing is left of it after exp or SiLU."""
EPSILON = 1e-5


@dataclass(frozen=True, slots=True)
class Product:
    """``x @ weight + shift``; weight (inputs, outputs), rows contiguous."""

    weight: Floats
    shift: Floats | None = None

    def __call__(self, x: Floats) -> Floats:
        """(..., outputs), an array of its own."""
        made: Floats = x @ self.weight
        if self.shift is not None:
            made += self.shift
        return made

    def times(self, factor: Array | float) -> "Product":
        """The same product with its outputs scaled."""
        shift = None if self.shift is None else _laid(self.shift * factor)
        return Product(_laid(self.weight * factor), shift)

    def after(self, scale: Floats, shift: Floats) -> "Product":
        """The same product of ``x * scale + shift``."""
        moved = shift @ self.weight + (0 if self.shift is None else self.shift)
        return Product(_laid(self.weight * scale[:, None]), _laid(moved))

    def then(self, matrix: Floats) -> "Product":
        """The same product and another one after it."""
        shift = None if self.shift is None else _laid(self.shift @ matrix)
        return Product(_laid(self.weight @ matrix), shift)

    def part(self, outputs: slice | Array) -> "Product":
        """The chosen outputs only."""
        shift = None if self.shift is None else _laid(self.shift[outputs])
        return Product(_laid(self.weight[:, outputs]), shift)


class Attention(Protocol):
    """How positions of one history look at each other; `level` is the block's input, `normed`."""

    def keep(self, level_ND: Floats) -> Floats:
        """(N, F) all that later positions will see of these: keys and values, side by side."""
        ...

    def ask(self, level_MD: Floats) -> tuple[Floats, Floats]:
        """(M, Q) queries, and what `Block.close` wants to know again of how they were asked."""
        ...

    def find(self, q_MQ: Floats, kept_LF: Floats, bias_HML: Floats) -> Floats:
        """(M, D) what the queries of one history find in what was kept; `bias_HML` is added to scores."""
        ...


class Block(Protocol):
    """A block is its attention, and what it makes of what that found."""

    @property
    def attention(self) -> Attention:
        """The attention."""
        ...

    def close(self, x_MD: Floats, found_MD: Floats, again_MD: Floats) -> Floats:
        """(M, D) the block's output, from its input and all that its attention gave."""
        ...


@dataclass(frozen=True, slots=True)
class SoftmaxAttention:
    """Twin of ``nn.layers.SelfAttention`` without the product after it."""

    heads: int
    asks: Product
    keeps: Product

    @classmethod
    def of(cls, tensors: Mapping[str, Array], heads: int) -> "SoftmaxAttention":
        """From the tensors of the torch block."""
        inputs = _product(tensors, "attention.inputs").after(*_norm(tensors, "attention_norm"))
        D = len(inputs.weight)
        asks = inputs.part(slice(0, D)).times((D // heads) ** -0.5)
        return cls(heads, asks, inputs.part(slice(D, 3 * D)))

    def keep(self, level_ND: Floats) -> Floats:
        """See `Attention.keep`."""
        return self.keeps(level_ND)

    def ask(self, level_MD: Floats) -> tuple[Floats, Floats]:
        """See `Attention.ask`; nothing is asked again, so the input stands in."""
        return self.asks(level_MD), level_MD

    def find(self, q_MQ: Floats, kept_LF: Floats, bias_HML: Floats) -> Floats:
        """See `Attention.find`."""
        k_LD, v_LD = _halves(kept_LF)
        found_MD = np.empty_like(q_MQ)
        for cut, bias_ML in zip(_cuts(q_MQ.shape[1], self.heads), bias_HML, strict=True):
            found_MD[:, cut] = _softmax(q_MQ[:, cut] @ k_LD[:, cut].T, bias_ML, v_LD[:, cut])
        return found_MD


@dataclass(frozen=True, slots=True)
class AbsorbedAttention:
    """The same attention for where few positions ask: no event is made into a key or a value.

    Queries absorb the product of the keys, so that they meet the events as they are, and the product of the
    values comes after their weighted sum: L D H multiplications for a position that asks, where keys and
    values are L D D. The shift of the keys adds the same to all scores of a query, so softmax loses it.
    Each head has a product for its queries, D wide, and one for its values.
    """

    asks: tuple[Product, ...]
    values: tuple[Product, ...]

    @classmethod
    def of(cls, plain: SoftmaxAttention) -> "AbsorbedAttention":
        """The twin of an attention that keeps keys and values."""
        width = len(plain.asks.weight)
        keys, values = plain.keeps.part(slice(0, width)), plain.keeps.part(slice(width, 2 * width))
        cuts = _cuts(width, plain.heads)
        asks = (plain.asks.part(cut).then(keys.weight[:, cut].T) for cut in cuts)
        return cls(tuple(asks), tuple(values.part(cut) for cut in cuts))

    def keep(self, level_ND: Floats) -> Floats:
        """See `Attention.keep`: the events as they are."""
        return level_ND

    def ask(self, level_MD: Floats) -> tuple[Floats, Floats]:
        """See `Attention.ask`."""
        return np.concatenate([ask(level_MD) for ask in self.asks], 1), level_MD

    def find(self, q_MQ: Floats, kept_LF: Floats, bias_HML: Floats) -> Floats:
        """See `Attention.find`."""
        cuts = _cuts(q_MQ.shape[1], len(self.values))
        found = [
            values(_softmax(q_MQ[:, cut] @ kept_LF.T, bias_ML, kept_LF))
            for cut, bias_ML, values in zip(cuts, bias_HML, self.values, strict=True)
        ]
        return np.concatenate(found, 1)


@dataclass(frozen=True, slots=True)
class PointwiseAttention:
    """The attention of ``nn.layers.HstuBlock``: SiLU of the scores over how many positions are seen."""

    heads: int
    asks: Product
    keeps: Product

    @classmethod
    def of(cls, tensors: Mapping[str, Array], heads: int) -> "PointwiseAttention":
        """From the tensors of the torch block, whose inputs are gate, value, query and key."""
        inputs = _product(tensors, "inputs").after(*_norm(tensors, "attention_norm"))
        gate, value, query, key = np.arange(inputs.weight.shape[1]).reshape(4, -1)
        asks, keeps = np.concatenate([query, gate]), np.concatenate([key, value])
        return cls(heads, inputs.part(asks), inputs.part(keeps))

    def keep(self, level_ND: Floats) -> Floats:
        """See `Attention.keep`."""
        return silu(self.keeps(level_ND))

    def ask(self, level_MD: Floats) -> tuple[Floats, Floats]:
        """See `Attention.ask`: the gate of what will be found."""
        q_MD, gate_MD = _halves(silu(self.asks(level_MD)))
        return q_MD * np.float32((q_MD.shape[1] // self.heads) ** -0.5), gate_MD

    def find(self, q_MQ: Floats, kept_LF: Floats, bias_HML: Floats) -> Floats:
        """See `Attention.find`."""
        k_LD, v_LD = _halves(kept_LF)
        M, L = len(q_MQ), len(k_LD)
        found_MD = np.empty_like(q_MQ)
        for cut, bias_ML in zip(_cuts(q_MQ.shape[1], self.heads), bias_HML, strict=True):
            scores_ML = q_MQ[:, cut] @ k_LD[:, cut].T
            scores_ML += bias_ML
            found_MD[:, cut] = silu(scores_ML) @ v_LD[:, cut]
        found_MD /= np.arange(L - M + 1, L + 1, dtype=np.float32)[:, None]
        return found_MD


@dataclass(frozen=True, slots=True)
class Ligr:
    """Twin of ``nn.layers.LigrBlock``; gates and switch have their signs turned."""

    attention: SoftmaxAttention | AbsorbedAttention
    found: Product
    found_gate: Product
    switch: Product
    value: Product
    output: Product
    output_gate: Product

    @classmethod
    def of(cls, tensors: Mapping[str, Array], heads: int) -> "Ligr":
        """From the tensors of the torch block."""
        hidden = _product(tensors, "hidden").after(*_norm(tensors, "hidden_norm"))
        half = hidden.weight.shape[1] // 2
        return cls(
            SoftmaxAttention.of(tensors, heads),
            _product(tensors, "attention.output"),
            _product(tensors, "attention_gate").times(-1),
            hidden.part(slice(0, half)).times(-1),
            hidden.part(slice(half, 2 * half)),
            _product(tensors, "output").times(-1),
            _product(tensors, "output_gate").times(-1),
        )

    def close(self, x_MD: Floats, found_MD: Floats, again_MD: Floats) -> Floats:
        """See `Block.close`."""
        x_MD = x_MD + gated(self.found(found_MD), self.found_gate(x_MD))
        level_MD = normed(x_MD)
        switch_MF = self.switch(level_MD)
        fed_MF = gated(switch_MF * self.value(level_MD), switch_MF)
        return x_MD + gated(self.output(fed_MF), self.output_gate(x_MD))


@dataclass(frozen=True, slots=True)
class Hstu:
    """Twin of ``nn.layers.HstuBlock``. `level`: scale and shift (D,) of the norm of what was found."""

    attention: PointwiseAttention
    level: tuple[Floats, Floats]
    output: Product

    @classmethod
    def of(cls, tensors: Mapping[str, Array], heads: int) -> "Hstu":
        """From the tensors of the torch block."""
        attention = PointwiseAttention.of(tensors, heads)
        return cls(attention, _norm(tensors, "hidden_norm"), _product(tensors, "output"))

    def close(self, x_MD: Floats, found_MD: Floats, again_MD: Floats) -> Floats:
        """See `Block.close`."""
        scale_D, shift_D = self.level
        fed_MD: Floats = (normed(found_MD) * scale_D + shift_D) * again_MD
        return x_MD + self.output(fed_MD)


@dataclass(frozen=True, slots=True)
class SasRec:
    """Twin of ``nn.layers.SasRecBlock``."""

    attention: SoftmaxAttention | AbsorbedAttention
    found: Product
    hidden: Product
    output: Product

    @classmethod
    def of(cls, tensors: Mapping[str, Array], heads: int) -> "SasRec":
        """From the tensors of the torch block."""
        return cls(
            SoftmaxAttention.of(tensors, heads),
            _product(tensors, "attention.output"),
            _product(tensors, "hidden").after(*_norm(tensors, "hidden_norm")),
            _product(tensors, "output"),
        )

    def close(self, x_MD: Floats, found_MD: Floats, again_MD: Floats) -> Floats:
        """See `Block.close`."""
        x_MD = x_MD + self.found(found_MD)
        hidden_MD = self.hidden(normed(x_MD))
        return x_MD + self.output(np.maximum(hidden_MD, 0, out=hidden_MD))


def block_of(kind: BlockKind, tensors: Mapping[str, Array], heads: int) -> Block:
    """The block whose tensors these are, by their names inside the torch block."""
    if kind == "ligr":
        return Ligr.of(tensors, heads)
    return Hstu.of(tensors, heads) if kind == "hstu" else SasRec.of(tensors, heads)


def absorbed(block: Block) -> Block:
    """The block for where few positions ask: its twin, if its attention has one, else itself."""
    if isinstance(block, Ligr | SasRec) and isinstance(block.attention, SoftmaxAttention):
        return replace(block, attention=AbsorbedAttention.of(block.attention))
    return block


def normed(x_ND: Floats) -> Floats:
    """Each row less its mean, over its standard deviation."""
    width = np.float32(x_ND.shape[1])
    level_ND: Floats = x_ND - x_ND.sum(1, keepdims=True) / width
    spread_N = np.einsum("nd,nd->n", level_ND, level_ND) / width
    level_ND *= (1 / np.sqrt(spread_N + np.float32(EPSILON)))[:, None]
    return level_ND


def gated(x: Floats, closing: Floats) -> Floats:
    """``x * sigmoid(-closing)``; both arguments are used up."""
    # exp of more than 88 is infinite, and the gate then shut, as it should be
    with np.errstate(over="ignore"):
        np.exp(closing, out=closing)
    closing += 1
    x /= closing
    return x


def silu(x: Floats) -> Floats:
    """``x * sigmoid(x)``; the argument is used up."""
    return gated(x, -x)


def _softmax(scores_ML: Floats, bias_ML: Floats, values_LE: Floats) -> Floats:
    """(M, E) the values' sum by the softmax of scores and bias; `scores_ML` is used up."""
    scores_ML += bias_ML
    scores_ML -= scores_ML.max(1, keepdims=True)
    np.exp(scores_ML, out=scores_ML)
    found_ME: Floats = scores_ML @ values_LE
    # Fewer numbers to divide than weights.
    found_ME /= scores_ML.sum(1, keepdims=True)
    return found_ME


def _product(tensors: Mapping[str, Array], name: str) -> Product:
    bias = tensors.get(f"{name}.bias")
    return Product(_laid(tensors[f"{name}.weight"].T), None if bias is None else _laid(bias))


def _norm(tensors: Mapping[str, Array], name: str) -> tuple[Floats, Floats]:
    return _laid(tensors[f"{name}.weight"]), _laid(tensors[f"{name}.bias"])


def _halves(x_NF: Floats) -> tuple[Floats, Floats]:
    half = x_NF.shape[1] // 2
    return x_NF[:, :half], x_NF[:, half:]


def _cuts(width: int, heads: int) -> list[slice]:
    each = width // heads
    return [slice(start, start + each) for start in range(0, width, each)]


def _laid(array: Array) -> Floats:
    return np.ascontiguousarray(array, np.float32)
