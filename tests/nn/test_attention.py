import pytest
import torch

from polyscene.nn.attention import causal_attention, causal_mask, distances, plain_causal_attention


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


def biases(B=2, H=2, L=5):
    chance = torch.Generator().manual_seed(3)
    near, when = (torch.randn(H, size, generator=chance, dtype=torch.float64) for size in (3, 4))
    return near.requires_grad_(), when.requires_grad_(), torch.randint(4, (B, L, L), generator=chance)


def test_biases_equal_those_laid_out_in_full():
    q, k, v = inputs(N=4, L=5)
    near, when, buckets = biases()
    laid = near[:, distances(5, 3, q.device)].repeat(2, 1, 1) + when[:, buckets].transpose(0, 1).reshape(
        4, 5, 5
    )
    torch.testing.assert_close(
        causal_attention(q, k, v, near, when, buckets), plain_causal_attention(q, k, v, laid)
    )


def test_gradients_of_biases_are_those_of_finite_differences():
    near, when, buckets = biases()
    assert torch.autograd.gradcheck(causal_attention, [*inputs(N=4, L=5, E=2), near, when, buckets])
    assert torch.autograd.gradcheck(causal_attention, [*inputs(N=4, L=5, E=2), None, when, buckets])
    assert torch.autograd.gradcheck(causal_attention, [*inputs(N=4, L=5, E=2), near])


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
