"""BERT: an encoder of text that looks both ways.

Legend: B rows, L places, D width, H heads, E = D / H, N = B times H, V pieces.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.arrays import Array
from polyscene.core.errors import BundleError
from polyscene.nn.layers import Dropout, joined, linear, split, table
from polyscene.nn.tokens import Tokens

TINY = 1e-12
"""Added to variances, as where the weights come from."""


@dataclass(frozen=True, slots=True)
class Shape:
    """What an encoder is built of: `pieces` V, `dim` D, `places` the longest row it can read."""

    pieces: int
    dim: int
    layers: int
    heads: int
    hidden: int
    places: int
    dropout: float = 0.1


class Bert(nn.Module):
    """Piece, place and segment, then layers of attention over the whole row.

    Source: Devlin et al. 2019, "BERT: pre-training of deep bidirectional transformers"; no dropout on
    attention weights.
    """

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.shape = shape
        self.embedding = Embedding(shape, chance)
        self.layers = nn.ModuleList(Layer(shape, chance) for _ in range(shape.layers))
        self.pooler = linear(shape.dim, shape.dim, chance)

    def forward(self, tokens: Tokens) -> Tensor:
        """(B, L, D) each place as its row makes it understood."""
        hidden_BLD: Tensor = self.embedding(tokens)
        barred_BLL = torch.zeros(tokens.real.shape, device=hidden_BLD.device)
        barred_BLL.masked_fill_(~tokens.real, -torch.inf)
        barred_N1L = barred_BLL.repeat_interleave(self.shape.heads, 0)[:, None]
        for layer in self.layers:
            hidden_BLD = layer(hidden_BLD, barred_N1L)
        return hidden_BLD

    def pooled(self, hidden_BLD: Tensor) -> Tensor:
        """(B, D) the row as a whole, from its first place."""
        return torch.tanh(self.pooler(hidden_BLD[:, 0]))


class Embedding(nn.Module):
    """What stands at each place before it has looked at others."""

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.pieces = table(shape.pieces, shape.dim, chance)
        self.places = table(shape.places, shape.dim, chance)
        self.segments = table(2, shape.dim, chance)
        self.norm = nn.LayerNorm(shape.dim, eps=TINY, device=chance.device)
        self.drop = Dropout(shape.dropout, chance)

    def forward(self, tokens: Tokens) -> Tensor:
        """(B, L, D)."""
        sum_BLD = functional.embedding(tokens.pieces, self.pieces)
        sum_BLD = sum_BLD + self.places[: tokens.pieces.shape[1]]
        sum_BLD = sum_BLD + functional.embedding(tokens.segments, self.segments)
        output: Tensor = self.drop(self.norm(sum_BLD))
        return output


class Layer(nn.Module):
    """Attention and a GELU network, each added and then normed."""

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        dim = shape.dim
        self.heads = shape.heads
        self.inputs = linear(dim, 3 * dim, chance)
        self.attended = linear(dim, dim, chance)
        self.attention_norm = nn.LayerNorm(dim, eps=TINY, device=chance.device)
        self.hidden = linear(dim, shape.hidden, chance)
        self.output = linear(shape.hidden, dim, chance)
        self.norm = nn.LayerNorm(dim, eps=TINY, device=chance.device)
        self.drop = Dropout(shape.dropout, chance)

    def forward(self, x_BLD: Tensor, barred_N1L: Tensor) -> Tensor:
        """(B, L, D); `barred_N1L` is -inf for padded places."""
        q_NLE, k_NLE, v_NLE = (split(part_BLD, self.heads) for part_BLD in self.inputs(x_BLD).chunk(3, -1))
        scores_NLL = torch.baddbmm(barred_N1L, q_NLE, k_NLE.mT, alpha=q_NLE.shape[-1] ** -0.5)
        heard_BLD = joined(torch.bmm(scores_NLL.softmax(-1), v_NLE), self.heads)
        x_BLD = self.attention_norm(x_BLD + self.drop(self.attended(heard_BLD)))
        output: Tensor = self.norm(x_BLD + self.drop(self.output(functional.gelu(self.hidden(x_BLD)))))
        return output


class Upper(nn.Module):
    """What learns of an encoder: all above its lowest `frozen` layers; with 0 the embedding too.

    The rest is held back from the optimiser, which would let its weights decay, and makes no gradients.
    """

    def __init__(self, bert: Bert, frozen: int, *heads: nn.Module) -> None:
        super().__init__()
        self.parts = nn.ModuleList([*bert.layers[frozen:], bert.pooler, *heads])
        if not frozen:
            self.parts.append(bert.embedding)
        bert.eval().requires_grad_(False)
        self.requires_grad_(True)


def put_published(bert: Bert, tensors: Mapping[str, Array]) -> None:
    """Copies weights under the names that BERT is published with; layers beyond the encoder's are left out.

    Raises:
        BundleError: One is missing or of another shape.
    """
    own: dict[str, tuple[str, ...]] = {
        "embedding.pieces": ("embeddings.word_embeddings.weight",),
        "embedding.places": ("embeddings.position_embeddings.weight",),
        "embedding.segments": ("embeddings.token_type_embeddings.weight",),
    }
    for kind in ("weight", "bias"):
        own[f"embedding.norm.{kind}"] = (f"embeddings.LayerNorm.{kind}",)
        own[f"pooler.{kind}"] = (f"pooler.dense.{kind}",)
        for number in range(len(bert.layers)):
            theirs, mine = f"encoder.layer.{number}", f"layers.{number}"
            three = (f"{theirs}.attention.self.{name}.{kind}" for name in ("query", "key", "value"))
            own[f"{mine}.inputs.{kind}"] = tuple(three)
            own[f"{mine}.attended.{kind}"] = (f"{theirs}.attention.output.dense.{kind}",)
            own[f"{mine}.attention_norm.{kind}"] = (f"{theirs}.attention.output.LayerNorm.{kind}",)
            own[f"{mine}.hidden.{kind}"] = (f"{theirs}.intermediate.dense.{kind}",)
            own[f"{mine}.output.{kind}"] = (f"{theirs}.output.dense.{kind}",)
            own[f"{mine}.norm.{kind}"] = (f"{theirs}.output.LayerNorm.{kind}",)
    for name, parameter in bert.named_parameters():
        missing = [each for each in own[name] if each not in tensors]
        if missing:
            raise BundleError(f"bert: {missing[0]!r} is missing from the published weights; reinstall them")
        values = np.concatenate([tensors[each] for each in own[name]])[: len(parameter)]
        if values.shape != tuple(parameter.shape):
            raise BundleError(
                f"bert: {own[name][0]!r} has shape {values.shape}, expected {tuple(parameter.shape)}"
            )
        parameter.data.copy_(torch.from_numpy(values))
