from itertools import pairwise

import msgspec
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged, offsets_of
from polyscene.nn.augment import (
    WINDOW,
    Augment,
    changed_rows,
    cropped,
    reordered,
    similar_items,
    stretches,
)

LENGTHS = st.lists(st.integers(0, 30), max_size=12)


def chance(seed=0):
    return np.random.default_rng(seed)


def offsets(lengths):
    return offsets_of(np.array(lengths, np.int64))


def padded(lengths, L=12):
    """Places that tell row and column, and which are real."""
    real = np.arange(L) < np.array(lengths)[:, None]
    return np.where(real, 100 * np.arange(len(lengths))[:, None] + np.arange(L), -1), real


def test_the_default_varies_nothing():
    assert Augment() == Augment(windows="last", crop=0, reorder=0, mask=0, substitute=0)


@pytest.mark.parametrize("raw", [{"crop": 1.5}, {"mask": -0.1}, {"windows": "first"}, {"cropp": 0.1}])
def test_what_is_out_of_range_is_refused(raw):
    with pytest.raises(msgspec.ValidationError):
        msgspec.convert(raw, Augment)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 9))
def test_the_last_stretch_is_the_newest(lengths, max_len):
    bounds = offsets(lengths)
    starts, sizes = stretches("last", bounds, max_len, chance())
    expected = [(max(low, high - max_len - 1), high) for low, high in pairwise(bounds) if high - low > 1]
    assert list(zip(starts, starts + sizes, strict=True)) == expected


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 9))
def test_sliding_makes_every_event_but_the_first_a_target_once(lengths, max_len):
    bounds = offsets(lengths)
    starts, sizes = stretches("sliding", bounds, max_len, chance())
    targets = [
        place for start, size in zip(starts, sizes, strict=True) for place in range(start + 1, start + size)
    ]
    firsts = set(bounds[:-1].tolist())
    assert sorted(targets) == [place for place in range(bounds[-1]) if place not in firsts]
    assert all(2 <= size <= max_len + 1 for size in sizes)
    # The newest stretch of a long history is full.
    newest = {start + size: size for start, size in zip(starts, sizes, strict=True)}
    for low, high in pairwise(bounds):
        if high - low >= 2:
            assert newest[high] == min(high - low, max_len + 1)


@settings(max_examples=60, deadline=None)
@given(LENGTHS, st.integers(1, 9), st.integers(0, 99))
def test_a_random_stretch_lies_within_its_history(lengths, max_len, seed):
    bounds = offsets(lengths)
    starts, sizes = stretches("random", bounds, max_len, chance(seed))
    _, newest = stretches("last", bounds, max_len, chance())
    assert sizes.tolist() == newest.tolist()
    owner = np.searchsorted(bounds, starts, side="right") - 1
    assert (starts + sizes <= bounds[owner + 1]).all()
    assert len(set(owner.tolist())) == len(owner)


def test_a_random_stretch_reaches_both_ends():
    bounds = offsets([10] * 500)
    starts, _ = stretches("random", bounds, 6, chance())
    assert set((starts % 10).tolist()) == {0, 1, 2, 3}


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(2, 20), min_size=1, max_size=20), st.floats(0, 1), st.integers(0, 99))
def test_a_crop_is_part_of_its_stretch(lengths, share, seed):
    starts, sizes = offsets(lengths)[:-1], np.array(lengths)
    cut, kept = cropped(starts, sizes, share, chance(seed))
    assert (cut >= starts).all()
    assert (cut + kept <= starts + sizes).all()
    assert (kept >= 2).all()


def test_the_share_of_crops_is_as_asked():
    starts, sizes = np.zeros(4000, np.int64), np.full(4000, 101)
    cut, kept = cropped(starts, sizes, 0.3, chance())
    # One crop of a hundred lengths is the whole stretch.
    assert (kept < 101).mean() == pytest.approx(0.3 * 0.99, abs=0.03)
    assert kept[kept < 101].mean() == pytest.approx(51, abs=3)
    assert set(cut[kept == 101]) == {0}
    same = cropped(starts, sizes, 0.0, chance())
    assert (same[0] == starts).all()
    assert (same[1] == sizes).all()


@settings(max_examples=60, deadline=None)
@given(st.lists(st.integers(0, 12), min_size=1, max_size=9), st.floats(0, 1), st.integers(0, 99))
def test_reordering_permutes_one_part_of_a_row(lengths, share, seed):
    places, real = padded(lengths)
    mixed = reordered(places, real, share, chance(seed))
    assert (np.sort(mixed, 1) == np.sort(places, 1)).all()
    assert (mixed[~real] == -1).all()
    for row, length in zip(mixed != places, lengths, strict=True):
        changed = np.flatnonzero(row)
        assert len(changed) == 0 or changed[-1] - changed[0] < max(length // 2, 2)


def test_the_share_of_shuffled_rows_is_as_asked():
    places, real = padded([12] * 4000)
    mixed = reordered(places, real, 0.5, chance())
    # A shuffled part of 2 ... 6 events is as before by luck once in 1 / (2 ... 720).
    unlucky = np.mean([1 / 2, 1 / 6, 1 / 24, 1 / 120, 1 / 720])
    assert (mixed != places).any(1).mean() == pytest.approx(0.5 * (1 - unlucky), abs=0.03)
    # Every place takes part.
    assert (mixed != places).any(0).all()
    assert (reordered(places, real, 0.0, chance()) == places).all()


def test_rows_are_hidden_and_replaced_in_their_shares():
    rows = np.tile(np.arange(4), (500, 5))
    real = np.arange(20) < chance(1).integers(0, 21, 500)[:, None]
    similar = np.array([1, 2, 3, 0])
    changed = changed_rows(rows, real, Augment(mask=0.2, substitute=0.3), chance(), similar, 9)
    assert (changed[~real] == rows[~real]).all()
    hidden, replaced = (changed == 9)[real], (changed == similar[rows])[real]
    assert hidden.mean() == pytest.approx(0.2, abs=0.02)
    assert replaced.mean() == pytest.approx(0.3, abs=0.02)
    assert (hidden | replaced | (changed == rows)[real]).all()
    assert (changed_rows(rows, real, Augment(), chance(), similar, 9) == rows).all()


def test_equal_seeds_vary_alike():
    bounds, (places, real) = offsets([30, 20, 25] * 20), padded([12, 9, 3] * 20)

    def all_of(seed):
        rng = chance(seed)
        starts, sizes = cropped(*stretches("random", bounds, 9, rng), 0.5, rng)
        mixed = reordered(places, real, 0.5, rng)
        rows = changed_rows(np.maximum(places, 0) % 7, real, Augment(mask=0.5), rng, np.arange(7), 7)
        return np.concatenate([starts, sizes, mixed.ravel(), rows.ravel()]).tolist()

    assert all_of(3) == all_of(3)
    assert all_of(3) != all_of(4)


def plain_similar_items(histories, count):
    """Pair by pair: the slow, obvious twin."""
    near, often = np.zeros((count, count)), np.zeros(count)
    for items in histories:
        for place, item in enumerate(items):
            often[item] += 1
            for other in items[place + 1 : place + 1 + WINDOW]:
                if other != item:
                    near[item, other] += 1
                    near[other, item] += 1
    similar = []
    for item in range(count):
        cosine = near[item] / np.sqrt(np.maximum(often[item], 1) * np.maximum(often, 1))
        similar.append(int(cosine.argmax()) if cosine.any() else item)
    return similar


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(st.integers(0, 7), max_size=15), max_size=8))
def test_similar_items_equal_the_slow_twin(lists):
    assert similar_items(Ragged.of(lists), 9).tolist() == plain_similar_items(lists, 9)


def test_an_item_alone_is_like_itself():
    assert similar_items(Ragged.of([[2], [0, 1], [2, 2]]), 4).tolist() == [1, 0, 2, 3]
