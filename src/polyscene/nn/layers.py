"""Transformer blocks over event histories, and the small layers that they are made of.

Legend: B sequences, L positions, D width, H heads, E = D / H, N = B times H, F hidden width, P distances,
T time buckets; ``x_xD`` any leading axes.
"""

import warnings
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.attention import causal_attention, causal_mask, distances

BlockKind = Literal["ligr", "hstu", "sasrec"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What a trunk is built of.

    `reach`: attention has a learned bias for each distance in positions below this; 0 for none. `buckets`:
    and one for each bucket of the time between two events; 0 for none.
    """

    dim: int
    layers: int
    heads: int = 1
    block: BlockKind = "ligr"
    dropout: float = 0.0
    reach: int = 0
    buckets: int = 0


def linear(inputs: int, outputs: int, chance: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """A linear layer with Glorot-uniform weights from `chance` and biases of zero."""
    with warnings.catch_warnings():
        # torch warns of a layer with nothing to read, which is what an empty catalogue comes to
        warnings.filterwarnings("ignore", "Initializing zero-element tensors")
        layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
            nn.Linear, inputs, outputs, bias=bias, device=chance.device
        )
    if layer.weight.numel():
        nn.init.xavier_uniform_(layer.weight, generator=chance)
    if bias:
        nn.init.zeros_(layer.bias)
    return layer


def table(rows: int, dim: int, chance: torch.Generator) -> nn.Parameter:
    """A (rows, dim) table of small normal numbers, standard deviation 0.02."""
    values = torch.empty(rows, dim, device=chance.device)
    return nn.Parameter(values.normal_(std=0.02, generator=chance))


class Dropout(nn.Module):
    """Sets a share of the values to zero in training and scales up the rest.

    One byte of chance per value, eight from each draw: five times faster than torch's own dropout on a
    CPU. The share is thereby rounded to 1/256.
    """

    def __init__(self, share: float, chance: torch.Generator) -> None:
        super().__init__()
        self.cut = min(round(share * 256), 255)
        self.chance = chance

    def forward(self, x: Tensor) -> Tensor:
        """The same shape."""
        if not self.training or not self.cut:
            return x
        draws = torch.empty(-(-x.numel() // 8), dtype=torch.int64, device=x.device)
        draws.random_(-(2**63), None, generator=self.chance)
        keep = draws.view(torch.uint8)[: x.numel()].view(x.shape) >= self.cut
        return x * keep.to(x.dtype).mul_(256 / (256 - self.cut))


class Relative(nn.Module):
    """What attention adds to a score for the distance of two positions, and for the time between them."""

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        near_HP, when_HT = (
            nn.Parameter(torch.zeros(shape.heads, size, device=chance.device)) if size else None
            for size in (shape.reach, shape.buckets)
        )
        self.near, self.when = near_HP, when_HT

    def bias(self, length: int, buckets_BLL: Tensor | None, last_B: Tensor | None = None) -> Tensor | None:
        """(B or 1, H, L, L) the biases laid out; (B, H, L) those of position `last_B`; None without any."""
        laid: Tensor | None = None
        if self.near is not None:
            distance_LL = distances(length, self.near.shape[1], self.near.device)
            places = distance_LL[None] if last_B is None else distance_LL[last_B]
            laid = self.near[:, places].transpose(0, 1)
        if self.when is not None and buckets_BLL is not None:
            if last_B is not None:
                buckets_BLL = buckets_BLL[torch.arange(last_B.shape[0], device=last_B.device), last_B]
            timed = self.when[:, buckets_BLL].transpose(0, 1)
            laid = timed if laid is None else laid + timed
        return laid


class SelfAttention(nn.Module):
    """Causal multi-head self-attention with its input and output projections."""

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.heads = shape.heads
        self.inputs = linear(shape.dim, 3 * shape.dim, chance)
        self.output = linear(shape.dim, shape.dim, chance)
        self.relative = Relative(shape, chance)

    def forward(
        self, x_BLD: Tensor, last_B: Tensor | None = None, buckets_BLL: Tensor | None = None
    ) -> Tensor:
        """(B, L, D) for every position; (B, D) for position `last_B` of each sequence if given."""
        if last_B is not None:
            return self._at(x_BLD, last_B, buckets_BLL)
        q_NLE, k_NLE, v_NLE = (split(part_BLD, self.heads) for part_BLD in self.inputs(x_BLD).chunk(3, -1))
        near_HP, when_HT = self.relative.near, self.relative.when
        attended_NLE = causal_attention(q_NLE, k_NLE, v_NLE, near_HP, when_HT, buckets_BLL)
        output_BLD: Tensor = self.output(joined(attended_NLE, self.heads))
        return output_BLD

    def _at(self, x_BLD: Tensor, last_B: Tensor, buckets_BLL: Tensor | None) -> Tensor:
        B, L, D = x_BLD.shape
        weight, bias = self.inputs.weight, self.inputs.bias
        q_NE = functional.linear(_at(x_BLD, last_B), weight[:D], bias[:D]).view(B * self.heads, 1, -1)
        k_NLE, v_NLE = (
            split(part_BLD, self.heads)
            for part_BLD in functional.linear(x_BLD, weight[D:], bias[D:]).chunk(2, -1)
        )
        future_BL = torch.arange(L, device=x_BLD.device) > last_B[:, None]
        mask_BHL = torch.zeros(B, self.heads, L, device=x_BLD.device)
        mask_BHL.masked_fill_(future_BL[:, None], -torch.inf)
        laid_BHL = self.relative.bias(L, buckets_BLL, last_B)
        mask_N1L = (mask_BHL if laid_BHL is None else mask_BHL + laid_BHL).view(B * self.heads, 1, L)
        weights_N1L = torch.baddbmm(mask_N1L, q_NE, k_NLE.mT, alpha=q_NE.shape[-1] ** -0.5).softmax(-1)
        output_BD: Tensor = self.output(torch.bmm(weights_N1L, v_NLE).view(B, D))
        return output_BD


class LigrBlock(nn.Module):
    """Pre-norm block whose residual additions are gated, with a SwiGLU of hidden width 2 D.

    Source: the LiGR layer (Borisyuk et al. 2024, "LiGR: large-scale generative ranking") as used in
    eSASRec (Tikhonovich et al. 2025); no dropout on attention weights.
    """

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        dim = shape.dim
        self.drop = Dropout(shape.dropout, chance)
        self.attention_norm = nn.LayerNorm(dim, device=chance.device)
        self.attention = SelfAttention(shape, chance)
        self.attention_gate = linear(dim, dim, chance)
        self.hidden_norm = nn.LayerNorm(dim, device=chance.device)
        self.hidden = linear(dim, 4 * dim, chance, bias=False)
        self.output = linear(2 * dim, dim, chance, bias=False)
        self.output_gate = linear(dim, dim, chance)

    def forward(
        self, x_BLD: Tensor, last_B: Tensor | None = None, buckets_BLL: Tensor | None = None
    ) -> Tensor:
        """(B, L, D); or (B, D), position `last_B` of each sequence."""
        attended = self.attention(self.attention_norm(x_BLD), last_B, buckets_BLL)
        x = _at(x_BLD, last_B)
        x = x + self.drop(attended) * torch.sigmoid(self.attention_gate(x))
        switch_xF, value_xF = self.hidden(self.hidden_norm(x)).chunk(2, -1)
        fed_xD = self.output(functional.silu(switch_xF) * value_xF)
        output: Tensor = x + self.drop(fed_xD) * torch.sigmoid(self.output_gate(x))
        return output


class HstuBlock(nn.Module):
    """Pointwise gated attention: SiLU instead of softmax, and a gate instead of a feed-forward network.

    Source: HSTU (Zhai et al. 2024, "Actions speak louder than words"); scores are divided by the number
    of positions each one sees, which keeps their sum of one size in long and short histories.
    """

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.heads = shape.heads
        self.drop = Dropout(shape.dropout, chance)
        self.attention_norm = nn.LayerNorm(shape.dim, device=chance.device)
        self.inputs = linear(shape.dim, 4 * shape.dim, chance, bias=False)
        self.relative = Relative(shape, chance)
        self.hidden_norm = nn.LayerNorm(shape.dim, device=chance.device)
        self.output = linear(shape.dim, shape.dim, chance)

    def forward(
        self, x_BLD: Tensor, last_B: Tensor | None = None, buckets_BLL: Tensor | None = None
    ) -> Tensor:
        """(B, L, D); or (B, D), position `last_B` of each sequence."""
        B, L, _ = x_BLD.shape
        gate_BLD, v_BLD, q_BLD, k_BLD = functional.silu(self.inputs(self.attention_norm(x_BLD))).chunk(
            4, -1
        )
        q_NLE, k_NLE, v_NLE = (split(part_BLD, self.heads) for part_BLD in (q_BLD, k_BLD, v_BLD))
        scores_BHLL = torch.bmm(q_NLE, k_NLE.mT).mul(q_NLE.shape[-1] ** -0.5).view(B, self.heads, L, L)
        laid = self.relative.bias(L, buckets_BLL)
        seen_L1 = torch.arange(1, L + 1, device=x_BLD.device, dtype=x_BLD.dtype)[:, None]
        open_LL = (causal_mask(q_NLE) == 0) / seen_L1
        weights_BHLL = functional.silu(scores_BHLL if laid is None else scores_BHLL + laid) * open_LL
        attended_NLE = torch.bmm(weights_BHLL.view(B * self.heads, L, L), v_NLE)
        fed_BLD = self.hidden_norm(joined(attended_NLE, self.heads)) * gate_BLD
        output: Tensor = _at(x_BLD, last_B) + self.drop(self.output(_at(fed_BLD, last_B)))
        return output


class SasRecBlock(nn.Module):
    """Pre-norm block with a two-layer ReLU network of hidden width D.

    Source: Kang and McAuley 2018; ours has no dropout on attention weights.
    """

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        dim = shape.dim
        self.drop = Dropout(shape.dropout, chance)
        self.attention_norm = nn.LayerNorm(dim, device=chance.device)
        self.attention = SelfAttention(shape, chance)
        self.hidden_norm = nn.LayerNorm(dim, device=chance.device)
        self.hidden = linear(dim, dim, chance)
        self.output = linear(dim, dim, chance)

    def forward(
        self, x_BLD: Tensor, last_B: Tensor | None = None, buckets_BLL: Tensor | None = None
    ) -> Tensor:
        """(B, L, D); or (B, D), position `last_B` of each sequence."""
        attended = self.attention(self.attention_norm(x_BLD), last_B, buckets_BLL)
        x = _at(x_BLD, last_B) + self.drop(attended)
        hidden_xF = self.drop(functional.relu(self.hidden(self.hidden_norm(x))))
        output: Tensor = x + self.drop(self.output(hidden_xF))
        return output


_BLOCKS: dict[BlockKind, type[LigrBlock] | type[HstuBlock] | type[SasRecBlock]] = {
    "ligr": LigrBlock,
    "hstu": HstuBlock,
    "sasrec": SasRecBlock,
}


class Trunk(nn.Module):
    """Blocks between an input dropout and a final norm."""

    def __init__(self, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.drop = Dropout(shape.dropout, chance)
        self.blocks = nn.ModuleList(_BLOCKS[shape.block](shape, chance) for _ in range(shape.layers))
        self.norm = nn.LayerNorm(shape.dim, device=chance.device)

    def forward(
        self, x_BLD: Tensor, last_B: Tensor | None = None, buckets_BLL: Tensor | None = None
    ) -> Tensor:
        """(B, L, D) for every position; (B, D) at `last_B`, for which the last block works L times less.

        `buckets_BLL`: bucket of the time between each position and each before it, where the shape has any.
        """
        x = self.drop(x_BLD)
        for number, block in enumerate(self.blocks, 1):
            x = block(x, last_B if number == len(self.blocks) else None, buckets_BLL)
        output: Tensor = self.norm(x)
        return output


def split(x_BLD: Tensor, heads: int) -> Tensor:
    """(N, L, E) each head's part as a sequence of its own."""
    B, L, D = x_BLD.shape
    return x_BLD.view(B, L, heads, -1).transpose(1, 2).reshape(B * heads, L, D // heads)


def joined(x_NLE: Tensor, heads: int) -> Tensor:
    """(B, L, D) the heads side by side again: undoes `split`."""
    N, L, E = x_NLE.shape
    return x_NLE.view(N // heads, heads, L, E).transpose(1, 2).reshape(N // heads, L, heads * E)


def _at(x_BLD: Tensor, last_B: Tensor | None) -> Tensor:
    return x_BLD if last_B is None else x_BLD[torch.arange(last_B.shape[0], device=x_BLD.device), last_B]
