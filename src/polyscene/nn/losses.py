"""Losses over the whole catalogue that fit in memory.

Legend: N targets, D width, R item rows, S targets each, C rows of one chunk.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

CHUNK_CELLS = 500_000
"""Logits alive at once: 2 MB of float32, the size of a core's own cache or near it."""
LEAST_CHUNK = 64
"""Rows of a chunk however many items there are: fewer make slow products."""


def full_softmax(
    hidden_ND: Tensor,
    items_RD: Tensor,
    targets_NS: Tensor,
    shares_NS: Tensor | None = None,
) -> Tensor:
    """Mean cross-entropy of the targets against all R items, logits never stored as a whole.

    `targets_NS` is (N,), or (N, S) with `shares_NS` that sum to 1 for each position. Loss and gradients are
    made in one pass over chunks of rows, so the gradient costs nothing later and memory is `CHUNK_CELLS`
    instead of N x R. A row's loss is reported as 87 at most (the logarithm of float32's smallest number);
    its gradient is exact all the same.

    Source: exact; the plain twin is `plain_full_softmax`. Measured in ``bench/train_speed.py``.
    """
    loss: Tensor = _FullSoftmax.apply(  # type: ignore[no-untyped-call]
        hidden_ND, items_RD, targets_NS, shares_NS
    )
    return loss


def plain_full_softmax(hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor) -> Tensor:
    """The same in one line: the slow, obvious twin."""
    return functional.cross_entropy(hidden_ND @ items_RD.mT, targets_N)


class _FullSoftmax(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any,
        hidden_ND: Tensor,
        items_RD: Tensor,
        targets_NS: Tensor,
        shares_NS: Tensor | None,
    ) -> Tensor:
        (N, _), R = hidden_ND.shape, len(items_RD)
        grad_ND, grad_RD = torch.empty_like(hidden_ND), torch.zeros_like(items_RD)
        total = hidden_ND.new_zeros(())
        step = min(max(LEAST_CHUNK, CHUNK_CELLS // R), N)
        logits_CR = hidden_ND.new_empty(step, R)
        # One copy of the transpose pays at once: the product below runs a fifth faster on it.
        items_DR = items_RD.mT.contiguous()
        targets_NS = targets_NS.view(N, -1)
        shares_NS = torch.ones_like(targets_NS, dtype=hidden_ND.dtype) if shares_NS is None else shares_NS
        for start in range(0, N, step):
            part_CD, target_CS = hidden_ND[start : start + step], targets_NS[start : start + step]
            share_CS = shares_NS[start : start + step]
            chance_CR = logits_CR[: len(part_CD)]
            torch.mm(part_CD, items_DR, out=chance_CR)
            torch.softmax(chance_CR, 1, out=chance_CR)
            total -= chance_CR.gather(1, target_CS).clamp_min_(1e-38).log_().mul_(share_CS).sum()
            # What is left of the buffer is the gradient by the logits: chances, less the targets' shares.
            chance_CR.scatter_add_(1, target_CS, -share_CS)
            torch.mm(chance_CR, items_RD, out=grad_ND[start : start + step])
            grad_RD.addmm_(chance_CR.mT, part_CD)
        ctx.save_for_backward(grad_ND, grad_RD)
        return total / N

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        grad_ND, grad_RD = ctx.saved_tensors
        scale = grad / len(grad_ND)
        return grad_ND * scale, grad_RD * scale, None, None
