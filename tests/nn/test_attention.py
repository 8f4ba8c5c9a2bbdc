import pytest
import torch

from polyscene.nn.attention import causal_attention, causal_mask, plain_causal_attention


def inputs(N=3, L=7, E=4):
    chance = torch.Generator().manual_seed(0)
    return [
        torch.randn(N, L, E, generator=chance, dtype=torch.float64, requires_grad=True) for _ in range(3)
    ]


@pytest.mark.parametrize("length", [1, 2, 7])
def test_equals_torchs_own_kernel_forward_and_backward(length):
    ours, theirs = inputs(L=length), inputs(L=length)
    pull = torch.randn(3, length, 4, dtype=torch.float64, generator=torch.Generator().manual_seed(1))
    left, right = causal_attention(*ours), plain_causal_attention(*theirs)
    torch.testing.assert_close(left, right)
    (left * pull).sum().backward()
    (right * pull).sum().backward()
    for mine, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(mine.grad, other.grad)


def test_gradient_is_that_of_finite_differences():
    assert torch.autograd.gradcheck(causal_attention, inputs(N=2, L=4, E=3))


def test_the_future_is_not_seen():
    q, k, v = (each.detach() for each in inputs())
    before = causal_attention(q, k, v)
    v[:, -1] += 100
    after = causal_attention(q, k, v)
    torch.testing.assert_close(before[:, :-1], after[:, :-1])
    assert not torch.allclose(before[:, -1], after[:, -1])


def test_mask_bars_what_comes_later():
    mask = causal_mask(torch.zeros(2, 3, 4))
    assert mask.isinf().tolist() == [[False, True, True], [False, False, True], [False, False, False]]
