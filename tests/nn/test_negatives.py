import numpy as np
import pytest
import torch

from polyscene.nn.negatives import Sampler

KINDS = ["uniform", "popularity", "in_batch", "mixed"]
COUNTS = np.array([0, 1, 2, 5, 20, 72])


def sampler(kind, count=30, counts=COUNTS, seed=0, **settings):
    return Sampler(kind, count, counts, torch.Generator().manual_seed(seed), **settings)


def targets(N=50, seed=1):
    """Targets that come as often as `COUNTS` says, each once at least."""
    share = torch.from_numpy(np.maximum(COUNTS, 1) / np.maximum(COUNTS, 1).sum())
    return torch.multinomial(share, N, replacement=True, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("kind", KINDS)
def test_items_come_as_often_as_their_chance_says(kind):
    source, rounds = sampler(kind), 3000
    seen, expected = np.zeros(6), np.full(6, np.nan)
    for number in range(rounds):
        drawn = source.draw(targets(seed=number))
        seen += np.bincount(drawn.rows.numpy(), minlength=6) / rounds
        expected[drawn.rows.numpy()] = drawn.log_chance.exp().numpy()
    np.testing.assert_allclose(seen, expected, rtol=0.08)
    assert expected.sum() == pytest.approx(30, rel=1e-5)


@pytest.mark.parametrize("power", [0.0, 0.5, 1.0])
def test_popularity_is_raised_to_its_power(power):
    weights = np.maximum(COUNTS, 1.0) ** power
    drawn = sampler("popularity", 4000, power=power).draw(targets())
    expected = np.log(4000 * weights / weights.sum())
    np.testing.assert_allclose(drawn.log_chance.numpy(), expected[drawn.rows.numpy()], rtol=1e-5)


def test_in_batch_takes_all_targets_or_as_many_as_asked():
    whole = sampler("in_batch", 50).draw(targets())
    assert whole.rows.tolist() == targets().tolist()
    some = sampler("in_batch", 10).draw(torch.arange(50).remainder(6))
    assert len(some.rows) == 10


def test_mixed_is_half_and_half():
    only = torch.full((100,), 5)
    drawn = sampler("mixed", 40, np.ones(1000)).draw(only)
    assert (drawn.rows[:20] == 5).all()
    assert len(drawn.rows[20:].unique()) > 15
    single = sampler("mixed", 1).draw(only)
    assert single.log_chance.tolist() == pytest.approx([-np.log(6)])


def test_few_targets_leave_more_to_the_uniform_half():
    drawn = sampler("mixed", 40).draw(torch.tensor([3]))
    assert len(drawn.rows) == 40
    assert drawn.rows[0] == 3


@pytest.mark.parametrize("kind", KINDS)
def test_equal_seeds_draw_alike(kind):
    left, right, other = (sampler(kind, seed=seed).draw(targets()) for seed in (4, 4, 5))
    assert torch.equal(left.rows, right.rows)
    assert not torch.equal(left.rows, other.rows)


def test_a_catalogue_of_one_item():
    for kind in KINDS:
        drawn = sampler(kind, 3, np.array([7])).draw(torch.zeros(3, dtype=torch.int64))
        assert drawn.rows.tolist() == [0, 0, 0]
        assert drawn.log_chance.exp().tolist() == pytest.approx([3, 3, 3])
