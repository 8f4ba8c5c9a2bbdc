import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.nn.beam import Open, Trie, search

K = 4


def random_ids(count=60, levels=3, seed=0):
    rng = np.random.default_rng(seed)
    every = np.stack(np.unravel_index(rng.permutation(K**levels), (K,) * levels), axis=1)
    return every[:count].astype(np.int32)


def table(levels=3, queries=5, seed=1):
    """Logits by query and path, as plain numbers that a brute-force search can look up."""
    rng = np.random.default_rng(seed)
    values = [rng.standard_normal((queries, K**level, K)).astype(np.float32) * 2 for level in range(levels)]

    def logits(query, path):
        level = path.shape[1]
        place = path @ (K ** np.arange(level)[::-1]) if level else np.zeros(len(query), np.int64)
        return values[level][query, place]

    return logits


def brute(ids, logits, query, trained):
    """(N,) log-probability of every id: a softmax over trained codes at each node of its path."""
    scores = np.zeros(len(ids))
    for place, each in enumerate(ids):
        for level in range(ids.shape[1]):
            here = (ids[:, :level] == each[:level]).all(1)
            value = logits(np.array([query]), each[None, :level])[0]
            known = np.unique(ids[here & trained, level])
            scores[place] += value[each[level]] - np.log(np.exp(value[known]).sum())
    return scores


def everything(trie, queries=5):
    masks = np.ones((1, len(trie.ids)), bool)
    return Open.of(masks, np.zeros(queries, np.int64), Ragged.empty(queries))


def found(trie, open_, logits, width, trained=None):
    trained = np.ones(len(trie.ids), bool) if trained is None else trained
    query, place, score = search(trie, open_, trained, logits, width)
    return [(place[query == row], score[query == row]) for row in range(len(width))]


def test_nodes_are_the_distinct_beginnings():
    trie = Trie.of(np.array([[1, 0], [0, 2], [1, 3]], np.int32))
    assert trie.ids.tolist() == [[0, 2], [1, 0], [1, 3]]
    assert trie.items.tolist() == [1, 0, 2]
    assert [starts.tolist() for starts in trie.starts] == [[0, 3], [0, 1, 3], [0, 1, 2, 3]]
    assert [children.tolist() for children in trie.children] == [[0, 2], [0, 1, 3]]


@pytest.mark.parametrize("count", [1, 7, 60])
def test_a_wide_beam_finds_what_brute_force_finds(count):
    trie, logits = Trie.of(random_ids(count)), table()
    for row, (places, scores) in enumerate(found(trie, everything(trie), logits, np.full(5, 64))):
        exact = brute(trie.ids, logits, row, np.ones(count, bool))
        assert sorted(places) == list(range(count))
        np.testing.assert_allclose(scores, exact[places], atol=1e-4)
        assert (np.diff(scores) <= 0).all()
        assert np.exp(scores).sum() == pytest.approx(1, abs=1e-4)


@pytest.mark.parametrize("width", [1, 3, 10])
def test_a_narrow_beam_keeps_the_best_beginnings_at_each_level(width):
    trie, logits = Trie.of(random_ids()), table()
    for row, (places, scores) in enumerate(found(trie, everything(trie), logits, np.full(5, width))):
        kept = [((), 0.0)]
        for level in range(3):
            grown = []
            for path, score in kept:
                below = trie.ids[(trie.ids[:, :level] == np.array(path, np.int32)).all(1)]
                codes = np.unique(below[:, level])
                value = logits(np.array([row]), np.array([path], np.int32).reshape(1, level))[0]
                value = value - np.log(np.exp(value[codes]).sum())
                grown += [((*path, code), score + value[code]) for code in codes.tolist()]
            kept = sorted(grown, key=lambda each: -each[1])[:width]
        assert trie.ids[places].tolist() == [list(path) for path, _ in kept]
        np.testing.assert_allclose(scores, [score for _, score in kept], atol=1e-4)


def test_only_eligible_ids_come_and_as_many_as_there_are():
    rng = np.random.default_rng(3)
    trie, logits = Trie.of(random_ids()), table()
    masks = rng.random((2, 60)) < 0.2
    groups = np.array([0, 1, 0, 1, 0])
    excluded = Ragged.of([rng.integers(-1, 60, 20).tolist() for _ in range(5)])
    open_ = Open.of(masks, groups, excluded)
    for row, (places, scores) in enumerate(found(trie, open_, logits, np.full(5, 6))):
        eligible = masks[groups[row]].copy()
        eligible[excluded[row][excluded[row] >= 0]] = False
        assert eligible[places].all()
        assert len(places) == min(6, eligible.sum())
        exact = brute(trie.ids, logits, row, np.ones(60, bool))
        np.testing.assert_allclose(scores, exact[places], atol=1e-4)


def test_counts_under_a_stretch_are_those_of_a_loop():
    rng = np.random.default_rng(0)
    masks = rng.random((3, 20)) < 0.5
    groups = rng.integers(0, 3, 8)
    excluded = Ragged.of([rng.integers(-1, 20, 9).tolist() for _ in range(8)])
    open_ = Open.of(masks, groups, excluded)
    query = rng.integers(0, 8, 50)
    first = rng.integers(0, 20, 50)
    last = rng.integers(first, 21)
    for row, start, stop, count in zip(query, first, last, open_.count(query, first, last), strict=True):
        eligible = masks[groups[row]].copy()
        eligible[excluded[row][excluded[row] >= 0]] = False
        assert eligible[start:stop].sum() == count


def test_each_query_has_a_width_of_its_own():
    trie, logits = Trie.of(random_ids()), table()
    widths = np.array([0, 1, 2, 5, 30])
    together = found(trie, everything(trie), logits, widths)
    assert [len(places) for places, _ in together] == widths.tolist()
    for row in range(5):
        alone = found(trie, everything(trie), logits, np.where(np.arange(5) == row, widths, 0))[row]
        np.testing.assert_array_equal(together[row][0], alone[0])


def test_later_ids_change_no_older_score():
    ids, logits = random_ids(), table()
    # What came later shares all but the last code with something older.
    older = np.array([(ids[:40, :2] == each[:2]).all(1).any() for each in ids])
    ids = ids[older]
    before, after = Trie.of(ids[:40]), Trie.of(ids)
    trained = after.items < 40
    (left, old), (right, new) = (
        found(before, everything(before, 1), logits, np.array([64]))[0],
        found(after, everything(after, 1), logits, np.array([64]), trained)[0],
    )
    scores = dict(zip(after.items[right].tolist(), new.tolist(), strict=True))
    assert len(scores) == len(ids) > 40
    np.testing.assert_allclose([scores[item] for item in before.items[left].tolist()], old, atol=1e-5)


def test_nobody_asks_and_nothing_is_there():
    trie, empty = Trie.of(random_ids()), Trie.of(np.zeros((0, 3), np.int32))
    assert found(trie, everything(trie, 0), table(), np.zeros(0, np.int64)) == []
    assert [len(each) for each, _ in found(empty, everything(empty, 2), table(), np.full(2, 5))] == [0, 0]
