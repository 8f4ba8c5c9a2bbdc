"""Causal self-attention by hand, with relative biases, beside its plain torch twin.

Legend: N = B times H, B sequences, H heads, L positions, E width of a head, P distances, T time buckets.
"""

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable


def causal_mask(q_NLE: Tensor) -> Tensor:
    """(L, L) to be added to attention scores: 0 on and below the diagonal, -inf above it."""
    return q_NLE.new_full((q_NLE.shape[1], q_NLE.shape[1]), -torch.inf).triu_(1)


def distances(length: int, reach: int, device: torch.device) -> Tensor:
    """(L, L) int64 how many positions back the key stands, `reach` - 1 at most; 0 for later keys."""
    place_L = torch.arange(length, device=device)
    return (place_L[:, None] - place_L).clamp_(0, reach - 1)


def causal_attention(
    q_NLE: Tensor,
    k_NLE: Tensor,
    v_NLE: Tensor,
    near_HP: Tensor | None = None,
    when_HT: Tensor | None = None,
    buckets_BLL: Tensor | None = None,
) -> Tensor:
    """(N, L, E) attended values; each position sees itself and what came before it.

    `near_HP` is added to the scores by the distance of the two positions, `when_HT` by the bucket of the
    time between them, `buckets_BLL`. Short sequences are padded on the right, where no real position
    looks, so no other mask is needed.

    Source: Vaswani et al. 2017; biases as in HSTU (Zhai et al. 2024). Written out because torch's fused
    CPU kernel is slower on sequences of 32 to 200 positions, forward and backward: 3 to 16 times on one
    processor, hardly on another (``bench/train_speed.py``).
    """
    attended_NLE: Tensor = _CausalAttention.apply(  # type: ignore[no-untyped-call]
        q_NLE, k_NLE, v_NLE, near_HP, when_HT, buckets_BLL
    )
    return attended_NLE


def plain_causal_attention(
    q_NLE: Tensor, k_NLE: Tensor, v_NLE: Tensor, bias_NLL: Tensor | None = None
) -> Tensor:
    """The same by torch's own kernel, the bias laid out in full: the slow, obvious twin."""
    mask_LL = causal_mask(q_NLE)
    return torch.nn.functional.scaled_dot_product_attention(
        q_NLE, k_NLE, v_NLE, attn_mask=mask_LL if bias_NLL is None else bias_NLL + mask_LL
    )


class _CausalAttention(torch.autograd.Function):
    @staticmethod
    def forward(  # noqa: PLR0913 - autograd wants every tensor as an argument of its own
        ctx: Any,
        q_NLE: Tensor,
        k_NLE: Tensor,
        v_NLE: Tensor,
        near_HP: Tensor | None,
        when_HT: Tensor | None,
        buckets_BLL: Tensor | None,
    ) -> Tensor:
        scale = q_NLE.shape[2] ** -0.5
        if near_HP is None:
            scores_NLL = torch.baddbmm(causal_mask(q_NLE), q_NLE, k_NLE.mT, alpha=scale)
        else:
            H, P = near_HP.shape
            L = q_NLE.shape[1]
            bias_HLL = near_HP[:, distances(L, P, q_NLE.device)] + causal_mask(q_NLE)
            scores_NLL = torch.baddbmm(
                bias_HLL.repeat(q_NLE.shape[0] // H, 1, 1), q_NLE, k_NLE.mT, alpha=scale
            )
        if when_HT is not None and buckets_BLL is not None:
            scores_BHLL = scores_NLL.view(buckets_BLL.shape[0], len(when_HT), *scores_NLL.shape[1:])
            for head, when_T in enumerate(when_HT):
                scores_BHLL[:, head] += torch.take(when_T, buckets_BLL)
        weights_NLL = torch.softmax(scores_NLL, -1)
        attended_NLE = torch.bmm(weights_NLL, v_NLE)
        ctx.save_for_backward(q_NLE, k_NLE, v_NLE, weights_NLL, attended_NLE, buckets_BLL)
        ctx.tables = [None if each is None else each.shape for each in (near_HP, when_HT)]
        return attended_NLE

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NLE: Tensor) -> tuple[Tensor | None, ...]:
        q_NLE, k_NLE, v_NLE, weights_NLL, attended_NLE, buckets_BLL = ctx.saved_tensors
        grad_v_NLE = torch.bmm(weights_NLL.mT, grad_NLE)
        # Softmax backward needs sum(grad * weights) over keys; this sum over the narrower width is equal.
        inner_NL1 = (grad_NLE * attended_NLE).sum(-1, keepdim=True)
        grad_NLL = torch.bmm(grad_NLE, v_NLE.mT).sub_(inner_NL1).mul_(weights_NLL)
        near, when = ctx.tables
        grad_near_HP = None if near is None else _by_distance(grad_NLL, *near)
        grad_when_HT = None if when is None else _by_bucket(grad_NLL, buckets_BLL, *when)
        grad_NLL.mul_(q_NLE.shape[2] ** -0.5)
        grad_q_NLE, grad_k_NLE = torch.bmm(grad_NLL, k_NLE), torch.bmm(grad_NLL.mT, q_NLE)
        return grad_q_NLE, grad_k_NLE, grad_v_NLE, grad_near_HP, grad_when_HT, None


def _by_distance(grad_NLL: Tensor, heads: int, reach: int) -> Tensor:
    """(H, P) the gradient of every score, summed by head and distance."""
    L = grad_NLL.shape[1]
    index_M = distances(L, reach, grad_NLL.device).view(-1)
    grad_HM = grad_NLL.view(-1, heads, L * L).sum(0)
    return torch.stack([torch.bincount(index_M, grad_M, reach) for grad_M in grad_HM]).to(grad_NLL.dtype)


def _by_bucket(grad_NLL: Tensor, buckets_BLL: Tensor, heads: int, buckets: int) -> Tensor:
    """(H, T) the gradient of every score, summed by head and time bucket."""
    index_M = buckets_BLL.reshape(-1)
    grad_BHM = grad_NLL.view(len(buckets_BLL), heads, -1)
    grads = [torch.bincount(index_M, grad_BHM[:, head].reshape(-1), buckets) for head in range(heads)]
    return torch.stack(grads).to(grad_NLL.dtype)
