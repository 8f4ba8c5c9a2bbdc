"""Causal self-attention by hand, beside its plain torch twin.

Legend: N sequences times heads, L positions, E width of a head.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def causal_mask(q_NLE: Tensor) -> Tensor:
    """(L, L) to be added to attention scores: 0 on and below the diagonal, -inf above it."""
    return q_NLE.new_full((q_NLE.shape[1], q_NLE.shape[1]), -torch.inf).triu_(1)


def causal_attention(q_NLE: Tensor, k_NLE: Tensor, v_NLE: Tensor) -> Tensor:
    """(N, L, E) attended values; each position sees itself and what came before it.

    Short sequences are padded on the right, where no real position looks, so no other mask is needed.

    Source: Vaswani et al. 2017. Written out because torch's fused CPU kernel is slower on sequences of 32
    to 200 positions, forward and backward: 3 to 16 times on one processor, hardly on another
    (``bench/train_speed.py``).
    """
    attended_NLE: Tensor = _CausalAttention.apply(q_NLE, k_NLE, v_NLE)  # type: ignore[no-untyped-call]
    return attended_NLE


def plain_causal_attention(q_NLE: Tensor, k_NLE: Tensor, v_NLE: Tensor) -> Tensor:
    """The same by torch's own kernel: the slow, obvious twin."""
    return torch.nn.functional.scaled_dot_product_attention(q_NLE, k_NLE, v_NLE, is_causal=True)


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, q_NLE: Tensor, k_NLE: Tensor, v_NLE: Tensor) -> Tensor:
        scores_NLL = torch.baddbmm(causal_mask(q_NLE), q_NLE, k_NLE.mT, alpha=q_NLE.shape[2] ** -0.5)
        weights_NLL = torch.softmax(scores_NLL, -1)
        attended_NLE = torch.bmm(weights_NLL, v_NLE)
        ctx.save_for_backward(q_NLE, k_NLE, v_NLE, weights_NLL, attended_NLE)
        return attended_NLE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NLE: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        q_NLE, k_NLE, v_NLE, weights_NLL, attended_NLE = ctx.saved_tensors
        grad_v_NLE = torch.bmm(weights_NLL.mT, grad_NLE)
        # Softmax backward needs sum(grad * weights) over keys; this sum over the narrower width is equal.
        inner_NL1 = (grad_NLE * attended_NLE).sum(-1, keepdim=True)
        grad_NLL = torch.bmm(grad_NLE, v_NLE.mT).sub_(inner_NL1).mul_(weights_NLL)
        grad_NLL.mul_(q_NLE.shape[2] ** -0.5)
        return torch.bmm(grad_NLL, k_NLE), torch.bmm(grad_NLL.mT, q_NLE), grad_v_NLE
