"""Losses that tell what belongs together from what does not.

Legend: N pairs, K negatives, D width.
"""

import torch
from torch import Tensor
from torch.nn import functional

from polyscene.nn.losses import full_softmax


def bpr(liked_N: Tensor, others_NK: Tensor) -> Tensor:
    """Minus the mean log-chance that what was touched beats what was not.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback".
    """
    return functional.softplus(others_NK - liked_N[:, None]).mean()


def info_nce(left_ND: Tensor, right_ND: Tensor, temperature: float) -> Tensor:
    """Mean cross-entropy of each left vector's own right one among all right ones, by cosine.

    Source: van den Oord et al. 2018; as in SimGCL and XSimGCL, Yu et al. 2022 and 2023.
    """
    own_N = torch.arange(len(left_ND), device=left_ND.device)
    return full_softmax(functional.normalize(left_ND) / temperature, functional.normalize(right_ND), own_N)
