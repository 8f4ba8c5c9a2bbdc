"""Learning from a larger model of the same kind beside the events: its probabilities are soft targets.

Legend: N targets, S targets each, D width, E width of the elder, R item rows, C rows of one chunk.
"""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from polyscene.nn.losses import CHUNK_CELLS, LEAST_CHUNK


@dataclass(frozen=True, slots=True)
class Wish:
    """What an elder expects at N positions: vectors (N, E) and its items (R, E); `weight` is its share."""

    hidden: Tensor
    items: Tensor
    weight: float


def taught_softmax(
    hidden_ND: Tensor, items_RD: Tensor, targets_NS: Tensor, wish: Wish, shares_NS: Tensor | None = None
) -> Tensor:
    """Mean cross-entropy against a mixture of the targets and the elder's probabilities.

    As `losses.full_softmax`, in one pass over chunks of rows; the elder's logits are never stored as a
    whole either.

    Source: Hinton et al. 2015, at temperature 1; the plain twin is `plain_taught_softmax`.
    """
    targets_NS = targets_NS.view(len(hidden_ND), -1)
    if shares_NS is None:
        shares_NS = torch.ones_like(targets_NS, dtype=hidden_ND.dtype)
    loss: Tensor = _TaughtSoftmax.apply(  # type: ignore[no-untyped-call]
        hidden_ND, items_RD, targets_NS, shares_NS, wish
    )
    return loss


def plain_taught_softmax(hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, wish: Wish) -> Tensor:
    """The same for one target each, with every logit at hand: the slow, obvious twin."""
    logits_NR = hidden_ND @ items_RD.mT
    soft = functional.cross_entropy(logits_NR, (wish.hidden @ wish.items.mT).softmax(1))
    return (1 - wish.weight) * functional.cross_entropy(logits_NR, targets_N) + wish.weight * soft


class _TaughtSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, items_RD: Tensor, targets_NS: Tensor, shares_NS: Tensor, wish: Wish
    ) -> Tensor:
        (N, _), R = hidden_ND.shape, len(items_RD)
        grad_ND, grad_RD = torch.empty_like(hidden_ND), torch.zeros_like(items_RD)
        total = hidden_ND.new_zeros(())
        step = min(max(LEAST_CHUNK, CHUNK_CELLS // R), N)
        items_DR, elder_ER = items_RD.mT.contiguous(), wish.items.mT.contiguous()
        chances, wishes = hidden_ND.new_empty(step, R), hidden_ND.new_empty(step, R)
        for start in range(0, N, step):
            rows = slice(start, start + step)
            part_CD, targets_CS = hidden_ND[rows], targets_NS[rows]
            chance_CR, wish_CR = chances[: len(part_CD)], wishes[: len(part_CD)]
            torch.softmax(torch.mm(wish.hidden[rows], elder_ER, out=wish_CR), 1, out=wish_CR)
            wish_CR.mul_(wish.weight).scatter_add_(1, targets_CS, shares_NS[rows] * (1 - wish.weight))
            torch.softmax(torch.mm(part_CD, items_DR, out=chance_CR), 1, out=chance_CR)
            total -= (chance_CR.clamp_min(1e-38).log_() * wish_CR).sum()
            # The gradient by the logits: chances, less what is wished for.
            chance_CR -= wish_CR
            torch.mm(chance_CR, items_RD, out=grad_ND[rows])
            grad_RD.addmm_(chance_CR.mT, part_CD)
        ctx.save_for_backward(grad_ND, grad_RD)
        return total / N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_ND, grad_RD = ctx.saved_tensors
        scale = grad / len(grad_ND)
        return grad_ND * scale, grad_RD * scale, None, None, None
