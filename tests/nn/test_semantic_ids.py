import numpy as np
import pytest
import torch

from polyscene.nn.semantic_ids import kmeans, nearest, residual_kmeans, with_ordinals


def clustered(count=600, seed=0):
    """Vectors in 4 far groups of 4 near groups of noise."""
    rng = np.random.default_rng(seed)
    far, near = rng.standard_normal((4, 8)) * 10, rng.standard_normal((4, 8))
    a, b = rng.integers(0, 4, (2, count))
    return (far[a] + near[b] + rng.standard_normal((count, 8)) * 0.01).astype(np.float32), a, b


def test_nearest_is_that_of_a_loop():
    rng = np.random.default_rng(0)
    x, points = rng.standard_normal((50, 3)), rng.standard_normal((7, 3))
    loop = [int(np.argmin(((points - each) ** 2).sum(1))) for each in x]
    assert nearest(torch.from_numpy(x), torch.from_numpy(points)).tolist() == loop


def test_levels_go_from_coarse_to_fine():
    x, far, _ = clustered()
    quantiser = residual_kmeans(x, 2, 4, seed=0)
    codes = quantiser.codes(x)
    # One code of the first level for each far group, whatever its number.
    assert len(np.unique(np.stack([far, codes[:, 0]]), axis=1).T) == 4
    quality = quantiser.quality(x, codes)
    assert quality.error[1] < quality.error[0] < 0.05
    assert quality.usage == (1.0, 1.0)


def test_each_level_codes_what_the_ones_before_left_over():
    x, _, _ = clustered()
    quantiser = residual_kmeans(x, 3, 4, seed=0)
    left = x.copy()
    for level in range(3):
        distances = ((left[:, None] - quantiser.codebooks[level]) ** 2).sum(2)
        np.testing.assert_array_equal(quantiser.codes(x)[:, level], distances.argmin(1))
        left -= quantiser.codebooks[level][distances.argmin(1)]


def test_no_code_stays_dead_while_items_share_one():
    # Two starts in one place: one of them gets no item, and must move to what is represented worst.
    x = torch.tensor([[0.0]] * 500 + [[100.0], [200.0], [300.0]])
    means = kmeans(x, 4, torch.Generator().manual_seed(0))
    assert sorted(means[:, 0].tolist()) == pytest.approx([0, 100, 200, 300])


@pytest.mark.parametrize("count", [0, 1, 3])
def test_fewer_items_than_codes(count):
    x = np.eye(4, dtype=np.float32)[:count]
    quantiser = residual_kmeans(x, 2, 8, seed=0)
    assert quantiser.codes(x).shape == (count, 2)
    np.testing.assert_allclose(quantiser.quality(x, quantiser.codes(x)).error, 0, atol=1e-6)


def test_quality_counts_what_is_shared():
    quantiser = residual_kmeans(np.arange(4, dtype=np.float32)[:, None], 1, 2, seed=0)
    quality = quantiser.quality(
        np.arange(4, dtype=np.float32)[:, None], np.array([[0], [0], [0], [1]], np.int32)
    )
    assert quality.collisions == 0.75
    assert quality.usage == (1.0,)
    assert quality.perplexity[0] == pytest.approx(np.exp(-(0.75 * np.log(0.75) + 0.25 * np.log(0.25))))


def test_adopted_ids_are_the_nearest_in_use():
    x, _, _ = clustered()
    quantiser = residual_kmeans(x, 2, 4, seed=0)
    homes = np.unique(quantiser.codes(x[:5]), axis=0)
    adopted = quantiser.adopt(x[:50], homes)
    points = quantiser.codebooks[0][homes[:, 0]] + quantiser.codebooks[1][homes[:, 1]]
    expected = homes[((x[:50, None] - points) ** 2).sum(2).argmin(1)]
    np.testing.assert_array_equal(adopted, expected)
    np.testing.assert_array_equal(quantiser.adopt(x[:5], homes), quantiser.codes(x[:5]))


def test_ordinals_tell_equal_codes_apart():
    ids = with_ordinals(np.array([[1, 2], [3, 4], [1, 2], [1, 2]], np.int32))
    assert ids.tolist() == [[1, 2, 0], [3, 4, 0], [1, 2, 1], [1, 2, 2]]


def test_ordinals_go_on_after_the_highest_taken():
    taken = np.array([[1, 2, 5], [3, 4, 0]], np.int32)
    ids = with_ordinals(np.array([[3, 4], [1, 2], [0, 0], [1, 2]], np.int32), taken)
    assert ids.tolist() == [[3, 4, 1], [1, 2, 6], [0, 0, 0], [1, 2, 7]]


def test_seed_decides():
    x, _, _ = clustered()
    one, again = residual_kmeans(x, 2, 4, seed=1), residual_kmeans(x, 2, 4, seed=1)
    np.testing.assert_array_equal(one.codebooks, again.codebooks)
