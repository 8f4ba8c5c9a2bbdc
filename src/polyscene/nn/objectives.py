"""Losses against a drawn part of the catalogue, for catalogues too large for the full softmax.

Legend: N targets, D width, R item rows, K negatives.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from torch.nn import functional

from polyscene.nn.negatives import Negatives

Judge = Callable[[Tensor, Tensor], tuple[Tensor, Tensor]]
"""Logits of the negatives (N, K) and of the target (N,) -> the loss and its gradient by the latter (N,).

The gradient by the former takes their place. A negative of -inf is none.
"""


def sampled_softmax(hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, negatives: Negatives) -> Tensor:
    """Mean cross-entropy of the targets against K negatives shared by all N.

    A negative's weight is divided by how often it was to be expected, so that the sum over the negatives
    is an unbiased estimate of the sum over all items but the target. A negative that is the row's own
    target is left out. The target itself is in the sum for certain, whatever the sampler: its logit stays.

    Source: Bengio and Senecal 2008; the uncorrected target after Khrylchenko et al. 2025 ("Correcting the
    LogQ correction"). As K grows the gradient becomes that of the full softmax.
    """

    def judge(logits_NK: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_NK -= negatives.log_chance
        top_N = torch.maximum(logits_NK.amax(1), target_N)
        weights_NK, weight_N = logits_NK.sub_(top_N[:, None]).exp_(), (target_N - top_N).exp()
        sum_N = weights_NK.sum(1) + weight_N
        weights_NK.div_(sum_N[:, None] * len(sum_N))
        return (sum_N.log() + top_N - target_N).mean(), (weight_N / sum_N - 1) / len(sum_N)

    return _judged(hidden_ND, items_RD, targets_N, negatives, judge)


def gbce(
    hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, negatives: Negatives, calibration: float
) -> Tensor:
    """Binary cross-entropy of targets and negatives, the target's chance raised to a power of at most 1.

    `calibration` 0 is plain binary cross-entropy, overconfident where few of many items are drawn; 1 makes
    the scores probabilities again. The power assumes a uniform draw; a negative that is the row's own
    target adds nothing.

    Source: gSASRec, Petrov and Macdonald 2023 (gBCE, their t), with negatives shared by all targets.
    """
    share = min(len(negatives.rows) / max(len(items_RD) - 1, 1), 1.0)
    power = share * (calibration * (1 - 1 / share) + 1 / share)
    terms = len(targets_N) * (len(negatives.rows) + 1)

    def judge(logits_NK: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        loss = functional.softplus(logits_NK).sum() + power * functional.softplus(-target_N).sum()
        logits_NK.sigmoid_().div_(terms)
        return loss / terms, torch.sigmoid(-target_N) * (-power / terms)

    return _judged(hidden_ND, items_RD, targets_N, negatives, judge)


def bpr(hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, negatives: Negatives) -> Tensor:
    """Mean over targets and negatives of -log sigmoid(target - negative).

    A negative that is the row's own target adds nothing.

    Source: Rendle et al. 2009 (BPR), with negatives shared by all targets.
    """
    terms = len(targets_N) * len(negatives.rows)

    def judge(logits_NK: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_NK -= target_N[:, None]
        loss = functional.softplus(logits_NK).sum()
        logits_NK.sigmoid_().div_(terms)
        return loss / terms, -logits_NK.sum(1)

    return _judged(hidden_ND, items_RD, targets_N, negatives, judge)


def hinge(hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, negatives: Negatives) -> Tensor:
    """Mean over targets and negatives of max(0, 1 - target + negative).

    A negative that is the row's own target adds nothing.

    Source: the pairwise hinge of ranking machines (Herbrich et al. 2000), negatives shared by all targets.
    """
    terms = len(targets_N) * len(negatives.rows)

    def judge(logits_NK: Tensor, target_N: Tensor) -> tuple[Tensor, Tensor]:
        logits_NK += 1 - target_N[:, None]
        loss = functional.relu(logits_NK).sum()
        logits_NK.gt_(0).div_(terms)
        return loss / terms, -logits_NK.sum(1)

    return _judged(hidden_ND, items_RD, targets_N, negatives, judge)


def _judged(
    hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, negatives: Negatives, judge: Judge
) -> Tensor:
    loss: Tensor = _Judged.apply(hidden_ND, items_RD, targets_N, negatives.rows, judge)  # type: ignore[no-untyped-call]
    return loss


class _Judged(torch.autograd.Function):
    """Loss and gradients in one pass over one N x K array.

    Three fifths of what torch's own graph takes (``bench/objectives.py``).
    """

    @staticmethod
    def forward(
        ctx: Any, hidden_ND: Tensor, items_RD: Tensor, targets_N: Tensor, rows_K: Tensor, judge: Judge
    ) -> Tensor:
        drawn_KD, wanted_ND = items_RD[rows_K], items_RD[targets_N]
        logits_NK = torch.mm(hidden_ND, drawn_KD.mT)
        logits_NK.masked_fill_(rows_K == targets_N[:, None], -torch.inf)
        loss, grad_N = judge(logits_NK, (hidden_ND * wanted_ND).sum(1))
        grad_N1 = grad_N[:, None]
        ctx.save_for_backward(
            torch.addmm(grad_N1 * wanted_ND, logits_NK, drawn_KD),
            torch.cat([logits_NK.mT @ hidden_ND, grad_N1 * hidden_ND]),
            torch.cat([rows_K, targets_N]),
        )
        ctx.shape = items_RD.shape
        return loss

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None, None, None]:
        grad_ND, grad_MD, row_M = ctx.saved_tensors
        grad_RD = grad_MD.new_zeros(ctx.shape).index_add_(0, row_M, grad_MD * grad)
        return grad_ND * grad, grad_RD, None, None, None
