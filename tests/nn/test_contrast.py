import torch
from torch.nn import functional

from polyscene.nn.contrast import bpr, info_nce


def vectors(seed, rows=7):
    return torch.randn(rows, 5, generator=torch.Generator().manual_seed(seed), requires_grad=True)


def test_bpr_is_the_mean_log_chance_of_the_right_order():
    liked, others = torch.tensor([1.0, -2.0]), torch.tensor([[0.0, 2.0], [1.0, -2.0]])
    expected = -torch.log(torch.sigmoid(liked[:, None] - others)).mean()
    torch.testing.assert_close(bpr(liked, others), expected)


def test_info_nce_and_its_gradients_are_those_of_plain_cross_entropy():
    left, right = vectors(0), vectors(1)
    alike = functional.cosine_similarity(left[:, None], right[None], dim=2) / 0.3
    expected = functional.cross_entropy(alike, torch.arange(7))
    found = info_nce(left, right, 0.3)
    torch.testing.assert_close(found, expected)
    for ours, plain in zip(
        torch.autograd.grad(found, [left, right]), torch.autograd.grad(expected, [left, right]), strict=True
    ):
        torch.testing.assert_close(ours, plain)
