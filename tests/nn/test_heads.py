import numpy as np
import pytest
import torch
from torch.nn import functional

from polyscene.nn.heads import ActionHeads, ValueScale

SCALE = ValueScale(np.array([3.0, 0.0, 100.0], np.float32), np.array([1.0, 0.0, 50.0], np.float32))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def events(N=40, D=8):
    hidden, item = torch.randn(2, N, D, generator=chance(1)).unbind()
    action = torch.randint(3, (N,), generator=chance(2))
    return hidden, item, action, 50 * torch.rand(N, generator=chance(3))


def test_scale_is_each_kinds_own_mean_and_spread():
    action = np.array([0, 0, 2, 2, 2, 0, 1])
    value = np.array([1, 5, 7, 7, 7, np.nan, np.nan], np.float32)
    scale = ValueScale.of(action, value, 4)
    assert scale.mean.tolist() == [3, 0, 7, 0]
    assert scale.spread.tolist() == [2, 0, 0, 0]


def test_loss_is_cross_entropy_and_huber_event_by_event():
    heads, (hidden, item, action, value) = ActionHeads(8, 3, chance(), SCALE), events()
    value[::5] = torch.nan
    action[1::7] = -1
    kinds, values = [], []
    for h, i, a, v in zip(hidden, item, action.tolist(), value.tolist(), strict=True):
        logits, guess = heads(h, i)
        if a >= 0:
            kinds.append(-logits.log_softmax(0)[a])
        if a in (0, 2) and np.isfinite(v):
            values.append(
                functional.huber_loss(guess[a], torch.tensor((v - SCALE.mean[a]) / SCALE.spread[a]))
            )
    expected = torch.stack(kinds).mean() + torch.stack(values).mean()
    loss = heads.loss(hidden, item, action, value)
    torch.testing.assert_close(loss, expected)
    loss.backward()
    assert all(each.grad.isfinite().all() and each.grad.any() for each in heads.parameters())


def test_without_scale_only_kinds_are_learned():
    heads, (hidden, item, action, value) = ActionHeads(8, 3, chance()), events()
    expected = functional.cross_entropy(heads(hidden, item)[0], action)
    torch.testing.assert_close(heads.loss(hidden, item, action, value), expected)
    assert heads.scores(hidden, item[None].expand(40, -1, -1))[1] is None


@pytest.mark.parametrize("blank", ["action", "value", "both"])
def test_events_that_tell_nothing_leave_a_finite_gradient(blank):
    heads, (hidden, item, action, value) = ActionHeads(8, 3, chance(), SCALE), events()
    if blank != "value":
        action[:] = -1
    if blank != "action":
        value[:] = torch.nan
    loss = heads.loss(hidden, item, action, value)
    loss.backward()
    assert (loss == 0) == (blank != "value")
    assert all(each.grad is None or each.grad.isfinite().all() for each in heads.parameters())


def test_candidates_are_scored_as_one_by_one():
    heads, (hidden, item, _, _) = ActionHeads(8, 3, chance(), SCALE), events()
    items = item[:20].view(4, 5, 8)
    chances, expected = heads.scores(hidden[:4], items)
    assert chances.shape == (4, 5, 3)
    torch.testing.assert_close(chances.sum(-1), torch.ones(4, 5))
    for b in range(4):
        for n in range(5):
            one, value = heads.scores(hidden[b : b + 1], items[b : b + 1, n : n + 1])
            torch.testing.assert_close(chances[b, n], one[0, 0])
            torch.testing.assert_close(expected[b, n], value[0, 0])


def test_kinds_and_values_that_follow_from_the_pair_are_learned():
    # The action tells whether history and item agree; its value is twice the agreement, in hundreds.
    heads_chance = chance(5)
    hidden, item = torch.randn(2, 3000, 4, generator=heads_chance).unbind()
    agreement = (hidden * item).sum(1)
    action = (agreement > 0).long()
    value = 100 * torch.where(action == 1, 2 * agreement, torch.zeros(()))
    scale = ValueScale.of(action.numpy(), value.numpy(), 2)
    heads = ActionHeads(4, 2, heads_chance, scale)
    optimiser = torch.optim.Adam(heads.parameters(), lr=0.02)
    for _ in range(200):
        optimiser.zero_grad()
        heads.loss(hidden[:2000], item[:2000], action[:2000], value[:2000]).backward()
        optimiser.step()
    with torch.no_grad():
        chances, expected = heads.scores(hidden[2000:], item[2000:, None])
    assert ((chances[:, 0, 1] > 0.5).long() == action[2000:]).float().mean() > 0.93
    assert np.corrcoef(expected[:, 0].numpy(), value[2000:].numpy())[0, 1] > 0.95
    assert expected.mean().item() == pytest.approx(value[2000:].mean().item(), rel=0.15)
