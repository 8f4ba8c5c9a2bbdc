"""Transformer blocks over event histories, and the small layers that they are made of.

Legend: B sequences, L positions, D width, H heads, E = D / H, F hidden width; ``x_xD`` any leading axes.
"""

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.attention import causal_attention

BlockKind = Literal["ligr", "sasrec"]


def linear(inputs: int, outputs: int, chance: torch.Generator, *, bias: bool = True) -> nn.Linear:
    """A linear layer with Glorot-uniform weights from `chance` and biases of zero."""
    layer: nn.Linear = nn.utils.skip_init(  # type: ignore[no-untyped-call]
        nn.Linear, inputs, outputs, bias=bias, device=chance.device
    )
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


class SelfAttention(nn.Module):
    """Causal multi-head self-attention with its input and output projections."""

    def __init__(self, dim: int, heads: int, chance: torch.Generator) -> None:
        super().__init__()
        self.heads = heads
        self.inputs = linear(dim, 3 * dim, chance)
        self.output = linear(dim, dim, chance)

    def forward(self, x_BLD: Tensor, last_B: Tensor | None = None) -> Tensor:
        """(B, L, D) for every position; (B, D) for position `last_B` of each sequence if given."""
        if last_B is not None:
            return self._at(x_BLD, last_B)
        B, L, D = x_BLD.shape
        q_NLE, k_NLE, v_NLE = (self._split(part_BLD) for part_BLD in self.inputs(x_BLD).chunk(3, -1))
        attended_NLE = causal_attention(q_NLE, k_NLE, v_NLE)
        joined_BLD = attended_NLE.view(B, self.heads, L, -1).transpose(1, 2).reshape(B, L, D)
        output_BLD: Tensor = self.output(joined_BLD)
        return output_BLD

    def _split(self, x_BLD: Tensor) -> Tensor:
        B, L, D = x_BLD.shape
        return x_BLD.view(B, L, self.heads, -1).transpose(1, 2).reshape(B * self.heads, L, D // self.heads)

    def _at(self, x_BLD: Tensor, last_B: Tensor) -> Tensor:
        B, L, D = x_BLD.shape
        weight, bias = self.inputs.weight, self.inputs.bias
        x_BD = x_BLD[torch.arange(B, device=x_BLD.device), last_B]
        q_NE = functional.linear(x_BD, weight[:D], bias[:D]).view(B * self.heads, 1, -1)
        k_NLE, v_NLE = (
            self._split(part_BLD)
            for part_BLD in functional.linear(x_BLD, weight[D:], bias[D:]).chunk(2, -1)
        )
        future_BL = torch.arange(L, device=x_BLD.device) > last_B[:, None]
        mask_BL = torch.zeros(B, L, device=x_BLD.device).masked_fill_(future_BL, -torch.inf)
        mask_NL = mask_BL.repeat_interleave(self.heads, 0)[:, None]
        weights_N1L = torch.baddbmm(mask_NL, q_NE, k_NLE.mT, alpha=q_NE.shape[-1] ** -0.5).softmax(-1)
        output_BD: Tensor = self.output(torch.bmm(weights_N1L, v_NLE).view(B, D))
        return output_BD


class LigrBlock(nn.Module):
    """Pre-norm block whose residual additions are gated, with a SwiGLU of hidden width 2 D.

    Source: the LiGR layer (Borisyuk et al. 2024, "LiGR: large-scale generative ranking") as used in
    eSASRec (Tikhonovich et al. 2025); no dropout on attention weights.
    """

    def __init__(self, dim: int, heads: int, dropout: float, chance: torch.Generator) -> None:
        super().__init__()
        self.drop = Dropout(dropout, chance)
        self.attention_norm = nn.LayerNorm(dim, device=chance.device)
        self.attention = SelfAttention(dim, heads, chance)
        self.attention_gate = linear(dim, dim, chance)
        self.hidden_norm = nn.LayerNorm(dim, device=chance.device)
        self.hidden = linear(dim, 4 * dim, chance, bias=False)
        self.output = linear(2 * dim, dim, chance, bias=False)
        self.output_gate = linear(dim, dim, chance)

    def forward(self, x_BLD: Tensor, last_B: Tensor | None = None) -> Tensor:
        """(B, L, D); or (B, D), position `last_B` of each sequence."""
        attended = self.attention(self.attention_norm(x_BLD), last_B)
        x = _at(x_BLD, last_B)
        x = x + self.drop(attended) * torch.sigmoid(self.attention_gate(x))
        switch_xF, value_xF = self.hidden(self.hidden_norm(x)).chunk(2, -1)
        fed_xD = self.output(functional.silu(switch_xF) * value_xF)
        output: Tensor = x + self.drop(fed_xD) * torch.sigmoid(self.output_gate(x))
        return output


class SasRecBlock(nn.Module):
    """Pre-norm block with a two-layer ReLU network of hidden width D.

    Source: Kang and McAuley 2018; ours has no dropout on attention weights.
    """

    def __init__(self, dim: int, heads: int, dropout: float, chance: torch.Generator) -> None:
        super().__init__()
        self.drop = Dropout(dropout, chance)
        self.attention_norm = nn.LayerNorm(dim, device=chance.device)
        self.attention = SelfAttention(dim, heads, chance)
        self.hidden_norm = nn.LayerNorm(dim, device=chance.device)
        self.hidden = linear(dim, dim, chance)
        self.output = linear(dim, dim, chance)

    def forward(self, x_BLD: Tensor, last_B: Tensor | None = None) -> Tensor:
        """(B, L, D); or (B, D), position `last_B` of each sequence."""
        attended = self.attention(self.attention_norm(x_BLD), last_B)
        x = _at(x_BLD, last_B) + self.drop(attended)
        hidden_xF = self.drop(functional.relu(self.hidden(self.hidden_norm(x))))
        output: Tensor = x + self.drop(self.output(hidden_xF))
        return output


class Trunk(nn.Module):
    """Blocks between an input dropout and a final norm."""

    def __init__(
        self, dim: int, layers: int, heads: int, block: BlockKind, dropout: float, chance: torch.Generator
    ) -> None:
        super().__init__()
        kind = LigrBlock if block == "ligr" else SasRecBlock
        self.drop = Dropout(dropout, chance)
        self.blocks = nn.ModuleList(kind(dim, heads, dropout, chance) for _ in range(layers))
        self.norm = nn.LayerNorm(dim, device=chance.device)

    def forward(self, x_BLD: Tensor, last_B: Tensor | None = None) -> Tensor:
        """(B, L, D) for every position; (B, D) at `last_B`, for which the last block works L times less."""
        x = self.drop(x_BLD)
        for number, block in enumerate(self.blocks, 1):
            x = block(x, last_B if number == len(self.blocks) else None)
        output: Tensor = self.norm(x)
        return output


def _at(x_BLD: Tensor, last_B: Tensor | None) -> Tensor:
    return x_BLD if last_B is None else x_BLD[torch.arange(len(last_B), device=x_BLD.device), last_B]
