from dataclasses import replace

import numpy as np

from polyscene.core.queries import history_of
from polyscene.dataset.newest import asked_more, later_out, newest_out
from polyscene.testing.worlds import noise


def test_answers_are_gone_from_the_data_and_from_the_histories() -> None:
    lists = [[1, 2, 3], [4, 5], [6, 7, 6, 1], []]
    data = replace(noise(4, 9), histories=history_of(lists))
    before, asked = newest_out(data, 10, np.random.default_rng(0))
    assert [before.histories.ragged("item")[row].tolist() for row in range(4)] == [
        [1, 2],
        [4, 5],
        [6, 7, 6],
        [],
    ]
    assert asked.targets.values.tolist() == [3, 1]
    assert asked.queries.users.tolist() == data.users[[0, 2]].tolist()
    assert asked.queries.history.ragged("item")[1].tolist() == [6, 7, 6]
    assert asked.queries.exclude[1].tolist() == [6, 7, 6]
    assert asked.queries.at.tolist() == [2, 3]
    assert not asked.queries.allowed.of(0)[7]  # a deleted item of the noisy world


def test_of_many_users_a_seeded_few_are_asked() -> None:
    data = noise(users=50)
    one, other = (newest_out(data, 5, np.random.default_rng(seed)) for seed in (1, 1))
    assert len(one[1].queries) == 5
    assert one[1].queries.users.tolist() == other[1].queries.users.tolist()
    able = int((data.histories.lengths >= 3).sum())
    assert len(one[0].histories["item"]) == len(data.histories["item"]) - able


def test_what_comes_after_a_moment_is_asked_of_those_with_a_past() -> None:
    lists = [[1, 2, 3, 1], [4, 5], [6, 7, 6, 1], []]
    data = replace(noise(4, 9), histories=history_of(lists))  # times are places: 0, 1, 2, 3
    before, asked = later_out(data, 0.5, 10, np.random.default_rng(0))
    moment = int(asked.queries.at[0])
    assert before.histories["time"].max() < moment <= data.histories["time"].max()
    assert [before.histories.ragged("item")[row].tolist() for row in (0, 2)] == [
        each[:moment] for each in (lists[0], lists[2])
    ]
    assert asked.targets[0].tolist() == lists[0][moment:]
    assert asked.queries.history.ragged("item")[0].tolist() == lists[0][:moment]
    assert set(asked.queries.at.tolist()) == {moment}
    _, few = later_out(data, 0.5, 1, np.random.default_rng(0))
    assert len(few.queries) == 1


def test_what_was_touched_before_is_excluded_only_where_nobody_comes_back() -> None:
    once = [[1, 2, 3, 4], [5, 6, 7, 8]]
    twice = [[1, 2, 3, 1], [5, 6, 7, 8]]
    for lists, expected in ((once, [[1, 2], [5, 6]]), (twice, [[], []])):
        data = replace(noise(2, 9), histories=history_of(lists))
        _, asked = later_out(data, 0.5, 10, np.random.default_rng(0))
        assert [asked.queries.exclude[row].tolist() for row in range(2)] == expected


def test_more_is_asked_of_few_users_and_nothing_of_many() -> None:
    data = noise(30, 12)
    before, asked = newest_out(data, 30, np.random.default_rng(0))
    same, enough = asked_more(before, asked, 20, np.random.default_rng(0))
    assert len(same.histories["item"]) == len(before.histories["item"])
    assert len(enough.queries) == len(asked.queries)
    fewer, more = asked_more(before, asked, 70, np.random.default_rng(0))
    taken = len(before.histories["item"]) - len(fewer.histories["item"])
    assert 70 <= len(more.queries) == len(asked.queries) + taken == len(more.targets)
    known = {
        (int(user), tuple(fewer.histories.ragged("item")[row].tolist()))
        for row, user in enumerate(fewer.users)
    }
    for row in range(len(asked.queries), len(more.queries)):
        user = int(more.queries.users[row])
        past = tuple(more.queries.history.ragged("item")[row].tolist())
        learned = next(items for owner, items in known if owner == user)
        assert past[: len(learned)] == learned
        assert len(past) <= len(learned) + taken
