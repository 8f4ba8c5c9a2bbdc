import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.nn.batching import NextItem, Padded

CPU = torch.device("cpu")


def batches(lists, *, max_len=5, batch_size=12, seed=0):
    return NextItem(Ragged.of(lists), max_len=max_len, batch_size=batch_size, seed=seed, device=CPU)


def pairs(source, epoch=0):
    """Every (history so far, next) example of an epoch."""
    found = []
    for batch in source.epoch(epoch):
        targets = iter(batch.targets.tolist())
        for rows, real in zip(batch.inputs.rows, batch.inputs.real, strict=True):
            places = real.nonzero()[:, 0].tolist()
            found += [(tuple(rows[: place + 1].tolist()), next(targets)) for place in places]
        assert next(targets, None) is None
    return sorted(found)


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 99), max_size=60), max_size=30),
    st.integers(1, 50),
    st.integers(1, 200),
)
def test_every_newest_transition_comes_once_an_epoch(lists, max_len, batch_size):
    source = batches(lists, max_len=max_len, batch_size=batch_size)
    newest = [items[-(max_len + 1) :] for items in lists]
    expected = [(tuple(items[:cut]), items[cut]) for items in newest for cut in range(1, len(items))]
    assert pairs(source) == sorted(expected)
    assert sum(1 for _ in source.epoch(3)) == source.steps


def test_no_batch_is_much_larger_than_asked():
    rng = np.random.default_rng(0)
    lists = [[0] * int(length) for length in rng.integers(2, 300, 200)]
    for batch in batches(lists, max_len=200, batch_size=1600).epoch(0):
        assert batch.inputs.rows.numel() <= 1600
        assert batch.inputs.real.float().mean() > 0.5


def test_order_depends_on_seed_and_epoch():
    lists = [[user, user + 1, user + 2] for user in range(50)]
    first = [batch.targets.tolist() for batch in batches(lists).epoch(0)]
    assert first == [batch.targets.tolist() for batch in batches(lists).epoch(0)]
    assert first != [batch.targets.tolist() for batch in batches(lists).epoch(1)]
    assert first != [batch.targets.tolist() for batch in batches(lists, seed=1).epoch(0)]


def test_nothing_to_predict_gives_no_batches():
    for lists in ([], [[]], [[1], [2]]):
        assert batches(lists).steps == 0
        assert list(batches(lists).epoch(0)) == []


def test_padded_counts_ages_from_the_newest_event():
    padded = Padded.of(np.array([7, 8, 9, 5], np.int32), np.array([0, 3]), np.array([3, 1]), CPU)
    assert padded.rows.tolist() == [[7, 8, 9], [5, 0, 0]]
    assert padded.ages.tolist() == [[2, 1, 0], [0, 0, 0]]
    assert padded.real.tolist() == [[True, True, True], [True, False, False]]
    assert padded.last.tolist() == [2, 0]


def test_pieces_of_a_batch_are_the_batch():
    lists = [[0] * length for length in (3, 5, 9, 2, 7)]
    for batch in batches(lists, batch_size=60).epoch(0):
        parts = batch.split(2)
        assert sum(share for _, share in parts) == pytest.approx(1)
        assert torch.cat([part.targets for part, _ in parts]).tolist() == batch.targets.tolist()
        assert all(int(part.inputs.real.sum()) == len(part.targets) for part, _ in parts)
        assert len(batch.split(99)) == len(batch.inputs.last)


def test_times_stand_beside_their_events_also_in_pieces():
    source = batches([[10, 11, 12, 13], [20, 21], [30, 31, 32]], batch_size=60)
    source.times = np.arange(9), np.arange(9) * 100
    rows_of_event = [10, 11, 12, 13, 20, 21, 30, 31, 32]
    for batch in source.epoch(0):
        for piece, _ in [(batch, 1.0), *batch.split(3)]:
            then, now = piece.inputs.times
            real = piece.inputs.real
            np.testing.assert_array_equal([rows_of_event[at] for at in then[real]], piece.inputs.rows[real])
            np.testing.assert_array_equal(now, then * 100)
