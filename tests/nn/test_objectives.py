import numpy as np
import pytest
import torch
from torch.nn import functional

from polyscene.nn.losses import plain_full_softmax
from polyscene.nn.negatives import Negatives, Sampler
from polyscene.nn.objectives import bpr, gbce, hinge, sampled_softmax


def parts(N=30, R=40, D=6, dtype=torch.float32, scale=1.0):
    chance = torch.Generator().manual_seed(0)
    hidden = (scale * torch.randn(N, D, generator=chance, dtype=dtype)).requires_grad_()
    items = torch.randn(R, D, generator=chance, dtype=dtype, requires_grad=True)
    return hidden, items, torch.randint(R, (N,), generator=chance)


def negatives(K=12, R=40, dtype=torch.float32):
    chance = torch.Generator().manual_seed(2)
    return Negatives(
        torch.randint(R, (K,), generator=chance), torch.randn(K, generator=chance, dtype=dtype)
    )


def plain_sampled_softmax(hidden, items, targets, drawn):
    """Row by row, item by item: the slow, obvious twin."""
    losses = []
    for vector, target in zip(hidden, targets.tolist(), strict=True):
        logits = [vector @ items[target]]
        for row, log_chance in zip(drawn.rows.tolist(), drawn.log_chance, strict=True):
            if row != target:
                logits.append(vector @ items[row] - log_chance)
        losses.append(torch.logsumexp(torch.stack(logits), 0) - logits[0])
    return torch.stack(losses).mean()


def plain_gbce(hidden, items, targets, drawn, calibration):
    """As the paper writes it: -(log sigmoid(target)^power + sum of log(1 - sigmoid(negative)))."""
    share = len(drawn.rows) / (len(items) - 1)
    power = share * (calibration * (1 - 1 / share) + 1 / share)
    losses = []
    for vector, target in zip(hidden, targets.tolist(), strict=True):
        terms = [torch.log(torch.sigmoid(vector @ items[target]) ** power)]
        terms += [torch.log(1 - torch.sigmoid(vector @ items[row])) for row in drawn.rows if row != target]
        losses.append(-torch.stack(terms).sum() / (len(drawn.rows) + 1))
    return torch.stack(losses).mean()


def plain_pairs(hidden, items, targets, drawn, judge):
    """Pair by pair, over all pairs; a negative that is the target counts as 0."""
    losses = []
    for vector, target in zip(hidden, targets.tolist(), strict=True):
        apart = [vector @ items[target] - vector @ items[row] for row in drawn.rows if row != target]
        losses.append(torch.stack([judge(each) for each in apart]).sum() / len(drawn.rows))
    return torch.stack(losses).mean()


def plain_bpr(*parts):
    return plain_pairs(*parts, lambda apart: -functional.logsigmoid(apart))


def plain_hinge(*parts):
    return plain_pairs(*parts, lambda apart: (1 - apart).clamp(min=0))


@pytest.mark.parametrize(
    ("fast", "slow"),
    [(sampled_softmax, plain_sampled_softmax), (bpr, plain_bpr), (hinge, plain_hinge)]
    + [
        (lambda *parts, t=t: gbce(*parts, t), lambda *parts, t=t: plain_gbce(*parts, t))
        for t in (0.0, 0.75, 1.0)
    ],
)
def test_loss_and_gradients_equal_the_slow_twin(fast, slow):
    ours, theirs = parts(dtype=torch.float64), parts(dtype=torch.float64)
    drawn = negatives(dtype=torch.float64)
    left, right = fast(*ours, drawn), slow(*theirs, drawn)
    torch.testing.assert_close(left, right)
    (3 * left).backward()
    (3 * right).backward()
    torch.testing.assert_close(ours[0].grad, theirs[0].grad)
    torch.testing.assert_close(ours[1].grad, theirs[1].grad)


@pytest.mark.parametrize("loss", [sampled_softmax, lambda *parts: gbce(*parts, 0.75), bpr, hinge])
def test_gradient_is_that_of_finite_differences(loss):
    hidden, items, targets = parts(5, 7, 3, dtype=torch.float64)
    drawn = negatives(4, 7, torch.float64)
    assert torch.autograd.gradcheck(lambda h, e: loss(h, e, targets, drawn), (hidden, items))


@pytest.mark.parametrize("kind", ["uniform", "popularity", "in_batch", "mixed"])
def test_the_average_of_sampled_gradients_is_that_of_the_full_softmax(kind):
    hidden, items, targets = parts(N=400, R=12, scale=0.5)
    counts = np.bincount(targets.numpy(), minlength=12)
    plain_full_softmax(hidden, items, targets).backward()
    full = hidden.grad.clone(), items.grad.clone()
    hidden.grad = items.grad = None
    source = Sampler(kind, 300, counts, torch.Generator().manual_seed(3))
    for _ in range(100):
        (sampled_softmax(hidden, items, targets, source.draw(targets)) / 100).backward()
    for mean, exact in zip((hidden.grad, items.grad), full, strict=True):
        assert (mean - exact).norm() < 0.05 * exact.norm()


def test_every_other_item_once_is_the_full_softmax():
    hidden, items, _ = parts()
    targets = torch.full((30,), 7)
    rest = torch.tensor([row for row in range(40) if row != 7])
    torch.testing.assert_close(
        sampled_softmax(hidden, items, targets, Negatives(rest, torch.zeros(39))),
        plain_full_softmax(hidden, items, targets),
    )


def test_without_calibration_gbce_is_binary_cross_entropy():
    hidden, items, targets = parts()
    drawn = Negatives(torch.tensor([row for row in range(40) if row not in targets]), torch.zeros(()))
    logits = torch.cat([(hidden * items[targets]).sum(1, keepdim=True), hidden @ items[drawn.rows].T], 1)
    labels = torch.zeros_like(logits)
    labels[:, 0] = 1
    torch.testing.assert_close(
        gbce(hidden, items, targets, drawn, 0.0),
        functional.binary_cross_entropy_with_logits(logits, labels),
    )


def test_full_calibration_finds_the_true_chance_where_plain_cross_entropy_is_overconfident():
    # One history; item 0 comes in 30 % of the cases, 20 others share the rest; 4 of 21 are drawn.
    chance = torch.Generator().manual_seed(0)
    share = torch.tensor([0.3] + [0.035] * 20)
    for calibration, expected, slack in ((1.0, 0.3, 0.05), (0.0, 0.3 / (0.3 + 0.7 * 4 / 21), 0.06)):
        source = Sampler("uniform", 4, np.ones(21), chance)
        items = torch.zeros(21, 1, requires_grad=True)
        hidden = torch.ones(500, 1)
        optimiser = torch.optim.Adam([items], lr=0.03)
        for _ in range(600):
            targets = torch.multinomial(share, 500, replacement=True, generator=chance)
            optimiser.zero_grad()
            gbce(hidden, items, targets, source.draw(targets), calibration).backward()
            optimiser.step()
        assert torch.sigmoid(items[0, 0]).item() == pytest.approx(expected, abs=slack)


def test_extreme_logits_stay_finite():
    for loss in (sampled_softmax, lambda *parts: gbce(*parts, 0.75)):
        hidden, items, targets = parts(scale=1e4)
        value = loss(hidden, items, targets, negatives())
        value.backward()
        assert value.isfinite()
        assert hidden.grad.isfinite().all()
        assert items.grad.isfinite().all()


def test_a_draw_of_targets_only_is_survived():
    targets = torch.zeros(150, dtype=torch.int64)
    for loss in (sampled_softmax, lambda *parts: gbce(*parts, 0.75)):
        hidden, items, _ = parts(N=150, R=1)
        value = loss(hidden, items, targets, Negatives(torch.zeros(8, dtype=torch.int64), torch.zeros(8)))
        value.backward()
        assert hidden.grad.isfinite().all()
        assert value >= 0
