import pytest
import torch

from polyscene.nn import losses
from polyscene.nn.losses import full_softmax, plain_full_softmax, sampled_softmax


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


def test_all_other_items_as_negatives_are_the_full_softmax():
    hidden, items, _ = parts()
    targets = torch.full((150,), 7)
    everything = torch.arange(40)
    # R draws stand for R - 1 others; the target's own draw is left out, so scale back by log(R / (R - 1)).
    rest = everything[everything != 7]
    torch.testing.assert_close(
        sampled_softmax(hidden, items, targets, rest), plain_full_softmax(hidden, items, targets)
    )


def test_sampled_softmax_estimates_the_full_partition():
    hidden, items, targets = parts(N=20)
    chance = torch.Generator().manual_seed(1)
    full = plain_full_softmax(hidden, items, targets)
    drawn = [
        sampled_softmax(hidden, items, targets, torch.randint(40, (400,), generator=chance))
        for _ in range(40)
    ]
    assert torch.stack(drawn).mean().item() == pytest.approx(full.item(), rel=0.02)


def test_a_draw_of_targets_only_is_survived():
    hidden, items, _ = parts(R=1)
    targets = torch.zeros(150, dtype=torch.int64)
    loss = sampled_softmax(hidden, items, targets, torch.zeros(8, dtype=torch.int64))
    loss.backward()
    assert loss == 0
    assert hidden.grad.isfinite().all()
