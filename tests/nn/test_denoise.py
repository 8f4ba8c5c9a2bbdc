import pytest
import torch
from torch.nn import functional

from polyscene.nn.denoise import MASKED, Denoiser, corrupt


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def sequences(B=200, L=50, R=1000):
    rows = torch.randint(R, (B, L), generator=chance(1))
    return rows, torch.arange(L) < torch.randint(L + 1, (B, 1), generator=chance(2))


def test_a_share_of_the_real_events_is_hidden():
    rows, real = sequences()
    changed, hidden = corrupt(rows, real, 0.2, chance(), 1000)
    assert hidden[real].float().mean() == pytest.approx(0.2, abs=0.02)
    assert torch.equal(changed[~hidden], rows[~hidden])
    assert not hidden[~real].any()
    masked = changed[hidden] == 1000
    assert masked.float().mean() == pytest.approx(MASKED, abs=0.03)
    noise = changed[hidden][~masked]
    assert noise.max() < 1000
    assert len(noise.unique()) > len(noise) * 0.7


def test_corruption_repeats_with_its_seed():
    rows, real = sequences()
    assert torch.equal(
        corrupt(rows, real, 0.2, chance(3), 1000)[0], corrupt(rows, real, 0.2, chance(3), 1000)[0]
    )
    assert torch.equal(corrupt(rows, real, 0.0, chance(3), 1000)[0], rows)


def test_loss_is_the_cross_entropy_of_what_is_hidden():
    denoiser = Denoiser(8, chance())
    trunk = torch.randn(3, 5, 8, generator=chance(1), requires_grad=True)
    items = torch.randn(11, 8, generator=chance(2))
    rows = torch.randint(11, (3, 5), generator=chance(3))
    hidden = torch.rand(3, 5, generator=chance(4)) < 0.4
    loss = denoiser.loss(trunk, items, rows, hidden)
    expected = [
        functional.cross_entropy(denoiser.project(trunk[place]) @ items.T, rows[place])
        for place in map(tuple, hidden.nonzero().tolist())
    ]
    torch.testing.assert_close(loss, torch.stack(expected).mean())
    loss.backward()
    assert denoiser.project.weight.grad.any()
    assert (trunk.grad.any(-1) == hidden).all()


def test_nothing_hidden_costs_nothing():
    denoiser, items = Denoiser(8, chance()), torch.zeros(11, 8)
    trunk, rows = torch.randn(2, 3, 8, requires_grad=True), torch.zeros(2, 3, dtype=torch.int64)
    loss = denoiser.loss(trunk, items, rows, torch.zeros(2, 3, dtype=torch.bool))
    (loss + trunk.sum()).backward()
    assert loss == 0
