import pytest
import torch

from polyscene.nn import losses
from polyscene.nn.losses import full_softmax, plain_full_softmax


def parts(N=150, R=40, D=6, scale=1.0, dtype=torch.float32):
    chance = torch.Generator().manual_seed(0)
    hidden = (scale * torch.randn(N, D, generator=chance, dtype=dtype)).requires_grad_()
    items = torch.randn(R, D, generator=chance, dtype=dtype, requires_grad=True)
    return hidden, items, torch.randint(R, (N,), generator=chance)


@pytest.mark.parametrize("cells", [40, 64 * 40, 10**6])
@pytest.mark.parametrize("rows", [1, 64, 150])
def test_chunks_equal_the_plain_softmax(monkeypatch, cells, rows):
    monkeypatch.setattr(losses, "CHUNK_CELLS", cells)
    ours, theirs = parts(rows), parts(rows)
    left, right = full_softmax(*ours), plain_full_softmax(*theirs)
    torch.testing.assert_close(left, right)
    (3 * left).backward()
    (3 * right).backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad)
    torch.testing.assert_close(ours[1].grad, theirs[1].grad)


def test_gradient_is_that_of_finite_differences():
    hidden, items, targets = parts(5, 7, 3, dtype=torch.float64)
    assert torch.autograd.gradcheck(lambda h, e: full_softmax(h, e, targets), (hidden, items))


def test_hopeless_targets_keep_an_exact_gradient_and_a_finite_loss():
    ours, theirs = parts(scale=1000.0), parts(scale=1000.0)
    loss = full_softmax(*ours)
    loss.backward()
    plain_full_softmax(*theirs).backward()
    assert 0 < loss < 88
    torch.testing.assert_close(ours[1].grad, theirs[1].grad, rtol=1e-4, atol=1e-2)


def test_one_item_costs_nothing():
    hidden, items, _ = parts(R=1)
    loss = full_softmax(hidden, items, torch.zeros(150, dtype=torch.int64))
    loss.backward()
    assert loss == 0
    assert not hidden.grad.any()


def test_several_targets_share_the_loss():
    ours, theirs = parts(40), parts(40)
    chance = torch.Generator().manual_seed(3)
    targets = torch.randint(40, (40, 3), generator=chance)
    shares = torch.rand(40, 3, generator=chance).softmax(1)
    left = full_softmax(ours[0], ours[1], targets, shares)
    likely = torch.log_softmax(theirs[0] @ theirs[1].mT, 1).gather(1, targets)
    right = -(shares * likely).sum(1).mean()
    torch.testing.assert_close(left, right)
    left.backward()
    right.backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad)
    torch.testing.assert_close(ours[1].grad, theirs[1].grad)
