import threading

import numpy as np
import pytest

from polyscene.core.memo import memo, remember
from polyscene.core.seeds import seed_of, uniform


def test_uniform_is_even_and_independent_of_shape():
    block = uniform(np.arange(50, dtype=np.uint64)[:, None], np.arange(2000)[None])
    assert 0 <= block.min() < block.max() < 1
    assert abs(block.mean() - 0.5) < 0.005
    assert abs(np.corrcoef(block[0], block[1])[0, 1]) < 0.1
    assert abs(np.corrcoef(block[:, 0], block[:, 1])[0, 1]) < 0.5
    assert len(np.unique(block)) == block.size
    assert uniform(np.uint64(7), np.array([11]))[0] == uniform(np.array([7], np.uint64), np.array([11]))[0]
    assert block[7, 11] == uniform(np.array([7], np.uint64), np.array([11]))[0]


def test_uniform_takes_negative_keys_and_the_largest_seed():
    assert np.isfinite(uniform(np.array([2**64 - 1], np.uint64), np.array([-1, 2**31 - 1]))).all()


def test_uniform_never_moves_between_versions():
    found = uniform(np.array([0, 1, 2**63], np.uint64), np.array([0, 5, 9]))
    np.testing.assert_allclose(found, [0.8833108082136426, 0.0, 0.0], atol=1)
    assert found[0] == 0.8833108082136426, "SplitMix64's first output for seed 0 is 0xE220A8397B1DCDAF"


def test_seeds_of_texts_differ_by_text_and_salt():
    assert seed_of("a") == seed_of("a")
    assert len({seed_of("a"), seed_of("b"), seed_of("a", "x"), seed_of("a", "x" * 100)}) == 4
    assert 0 <= seed_of("é" * 1000) < 2**64


def test_memo_computes_once_for_the_same_objects():
    calls = []
    owner, about = object(), object()

    def compute():
        calls.append(1)
        return len(calls)

    assert [remember(owner, about, compute), remember(owner, about, compute)] == [1, 2]
    with memo():
        assert [remember(owner, about, compute), remember(owner, about, compute)] == [3, 3]
        assert remember(owner, object(), compute) == 4
        with memo():
            assert remember(owner, about, compute) == 3, "an inner memo shares the outer one"
        assert remember(owner, about, compute) == 3
    assert remember(owner, about, compute) == 5


def test_memo_is_closed_after_a_failure_and_not_shared_between_threads():
    with pytest.raises(ValueError, match="x"), memo():
        raise ValueError("x")
    seen = []
    owner = object()
    with memo():
        remember(owner, owner, lambda: seen.append("main"))
        thread = threading.Thread(target=lambda: remember(owner, owner, lambda: seen.append("other")))
        thread.start()
        thread.join()
    assert seen == ["main", "other"]
