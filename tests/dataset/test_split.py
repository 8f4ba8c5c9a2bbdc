from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import RaggedTable
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Holdout
from polyscene.core.errors import DataError
from polyscene.core.queries import history_of
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.encode import Encoded, encode
from polyscene.dataset.split import Split, split

PROTOCOLS = ("loo", "time", "strong", "random", "random20", "random25", "recbole", "cold", "cold_trained")
WIDER = ("recbole", "cold", "cold_trained")
"""Where more than the history shown is kept out of the ranking."""


def data_of(lists, times=None, clock=True, users=None):
    """Data of plain item lists; `times` default to a common clock that runs through all users in turn."""
    histories = history_of(lists, times)
    rows = len(histories["item"])
    columns = {**histories.columns, "value": np.arange(rows, dtype=np.float32)}
    if times is None and rows:
        place = histories["time"] * len(lists) + histories.rows()
        columns["time"] = place.astype(np.int64)
    histories = RaggedTable(histories.offsets, columns)
    size = max((item for each in lists for item in each), default=-1) + 1
    return Data(
        users=np.arange(len(lists), dtype=np.int32) if users is None else np.array(users, np.int32),
        histories=histories,
        catalogue=Catalogue.bare(size),
        at=int(columns["time"].max(initial=0)) + 1,
        clock=clock,
    )


def rows_of(users, table, count=None):
    """The rows of a table as a set of (user, item, value); values are unique, so it tells rows apart."""
    user = np.repeat(users, table.lengths)
    return set(zip(user.tolist(), table["item"].tolist(), table["value"].tolist(), strict=True))


def asked(holdout: Holdout):
    users = np.repeat(holdout.queries.users, holdout.targets.lengths)
    return set(
        zip(users.tolist(), holdout.targets.values.tolist(), holdout.values.values.tolist(), strict=True)
    )


def shown(holdout: Holdout):
    return rows_of(holdout.queries.users, holdout.queries.history)


# 20 users with 5 to 8 events over 30 items and some poorer ones; many events at the same time
@st.composite
def worlds(draw):
    rich = draw(st.lists(st.integers(5, 8), min_size=20, max_size=20))
    lengths = rich + draw(st.lists(st.integers(1, 4), max_size=10))
    rng = np.random.default_rng(draw(st.integers(0, 10_000)))
    repeats = draw(st.booleans())
    lists = [rng.choice(30, length, replace=repeats).tolist() for length in lengths]
    times = [np.sort(rng.integers(0, 40, length)).tolist() for length in lengths]
    return data_of(lists, times)


@given(worlds(), st.sampled_from(PROTOCOLS), st.integers(0, 3))
def test_parts_are_disjoint_and_nothing_is_made_up(data, protocol, seed):
    result = split(data, protocol, seed=seed)
    everything = rows_of(data.users, data.histories)
    train, fit = (rows_of(part.users, part.histories) for part in (result.train, result.fit_all))
    assert train <= fit
    assert not asked(result.test) & fit
    assert not asked(result.valid) & train
    assert not asked(result.test) & asked(result.valid)
    assert fit | asked(result.test) | shown(result.test) <= everything
    for holdout, known in ((result.valid, train), (result.test, fit)):
        assert not asked(holdout) & shown(holdout)
        assert (holdout.targets.lengths >= 1).all()
        if protocol != "strong":
            assert shown(holdout) <= known
            assert protocol == "recbole" or asked(result.valid) <= fit


@given(worlds(), st.sampled_from(["loo", "random"]))
def test_every_first_event_is_in_one_part(data, protocol):
    result = split(data, protocol)
    whole = rows_of(result.fit_all.users, result.fit_all.histories) | asked(result.test)
    firsts = {}
    for user, item, value in sorted(rows_of(data.users, data.histories), key=lambda row: row[2]):
        firsts.setdefault((user, item), value)
    assert whole == {(user, item, value) for (user, item), value in firsts.items()}


@given(worlds(), st.sampled_from(["loo", "time"]))
def test_no_split_sees_the_future(data, protocol):
    result = split(data, protocol)
    for part, holdout in ((result.train, result.valid), (result.fit_all, result.test)):
        queries = holdout.queries
        newest = np.array([queries.history.ragged("time")[row].max() for row in range(len(queries))])
        assert (newest <= queries.at).all()
        assert part.histories["time"].max(initial=-1) < part.at
        assert (part.catalogue.put_at < part.at).all()
        if protocol == "time":
            assert (newest < queries.at).all()
            assert (queries.at == part.at).all()
            times = dict(zip(data.histories["value"], data.histories["time"], strict=True))
            assert all(times[value] >= part.at for value in holdout.values.values)


@given(worlds(), st.sampled_from(PROTOCOLS), st.sampled_from(["drop", "keep"]))
def test_seen_items_are_excluded_and_targets_never_are(data, protocol, repeats):
    queries_of = split(data, protocol, repeats=repeats)
    for holdout in (queries_of.valid, queries_of.test):
        for row in range(len(holdout.queries)):
            excluded = set(holdout.queries.exclude[row].tolist())
            history = set(holdout.queries.history.ragged("item")[row].tolist())
            expected = history if repeats == "drop" else set()
            assert excluded >= expected if protocol in WIDER else excluded == expected
            assert not excluded & set(holdout.targets[row].tolist())


@given(worlds(), st.sampled_from(PROTOCOLS))
def test_equal_input_gives_an_equal_digest_and_one_moved_row_another(data, protocol):
    first = split(data, protocol, seed=1)
    assert split(data, protocol, seed=1).digest == first.digest
    columns = dict(data.histories.columns)
    columns["time"] = columns["time"].copy()
    columns["time"][0] -= 1
    moved = replace(data, histories=RaggedTable(data.histories.offsets, columns))
    assert split(moved, protocol, seed=1).digest != first.digest


def renamed(data: Data, seed: int) -> tuple[Encoded, Encoded]:
    """The same world under two sets of codes, with the same ids behind them."""
    rng = np.random.default_rng(seed)
    items, users = rng.permutation(data.size), rng.permutation(len(data.users))
    columns = {**data.histories.columns, "item": items[data.histories["item"]].astype(np.int32)}
    order = np.argsort(users)
    other = replace(
        data,
        users=np.arange(len(users), dtype=np.int32),
        histories=RaggedTable(data.histories.offsets, columns).take(order),
    )
    ids, names = [f"i{code}" for code in range(data.size)], [f"u{code}" for code in range(len(users))]
    return (
        Encoded(data, CodeMap(ids), CodeMap(names)),
        Encoded(
            other,
            CodeMap([ids[old] for old in np.argsort(items)]),
            CodeMap([names[old] for old in order]),
        ),
    )


@given(worlds(), st.sampled_from(PROTOCOLS), st.integers(0, 100))
def test_with_ids_the_split_does_not_depend_on_codes(data, protocol, seed):
    first, second = renamed(data, seed)
    left, right = split(first.data, protocol, ids=first), split(second.data, protocol, ids=second)
    assert left.digest == right.digest
    targets = [
        {(encoded.users.id(user), encoded.items.id(item)) for user, item, _ in asked(result.test)}
        for encoded, result in ((first, left), (second, right))
    ]
    assert targets[0] == targets[1]


def test_the_last_event_is_asked_and_ties_keep_their_order():
    data = data_of([[4, 2, 7, 1], [3, 5], [6]], [[1, 1, 1, 1], [2, 9], [3]])
    result = split(data, "loo")
    assert asked(result.test) == {(0, 1, 3.0), (1, 5, 5.0)}
    assert asked(result.valid) == {(0, 7, 2.0)}
    assert result.test.queries.at.tolist() == [1, 9]
    assert result.test.queries.history.ragged("item")[0].tolist() == [4, 2, 7]
    assert result.train.users.tolist() == [0, 1, 2]
    assert result.train.histories["item"].tolist() == [4, 2, 3, 6]


def test_the_cuts_of_time_lie_at_81_and_90_percent():
    lists = [[user, 10 + user] for user in range(10)] * 5
    result = split(data_of(lists, [[place, 50 + place] for place in range(50)]), "time")
    assert (result.train.at, result.fit_all.at) == (81, 90)
    assert len(result.train.histories["item"]) == 81
    assert len(result.test.queries) == 10
    assert set(result.test.queries.at.tolist()) == {90}


def test_who_has_no_past_before_the_cut_is_not_asked():
    times = [list(range(80)), [81, 89, 98], [85, 88], [*range(90, 98), 99], [80, 82, 83, 84, 86, 87]]
    result = split(data_of([list(range(len(each))) for each in times], times), "time")
    assert (result.train.at, result.fit_all.at) == (81, 90)
    assert result.train.users.tolist() == [0, 4]
    assert result.fit_all.users.tolist() == [0, 1, 2, 4]
    assert result.valid.queries.users.tolist() == [4]
    assert result.test.queries.users.tolist() == [1]
    assert result.test.queries.history.ragged("time")[0].tolist() == [81, 89]


def test_held_out_users_are_strangers_to_the_model():
    data = data_of([list(range(user, user + 10)) for user in range(40)])
    result = split(data, "strong", seed=3)
    testers, validators = set(result.test.queries.users), set(result.valid.queries.users)
    assert len(testers) == len(validators) == 4
    assert not testers & validators
    assert not testers & set(result.fit_all.users)
    assert not (testers | validators) & set(result.train.users)
    assert result.test.targets.lengths.tolist() == [2] * 4
    assert result.test.queries.history.lengths.tolist() == [8] * 4
    assert set(split(data, "strong", seed=4).test.queries.users) != testers


def test_random_asks_for_a_tenth_of_each_user():
    result = split(data_of([list(range(20)), list(range(3)), [0, 1]]), "random")
    assert result.test.targets.lengths.tolist() == [2, 1]
    assert result.valid.targets.lengths.tolist() == [2, 1]
    assert result.train.histories.lengths.tolist() == [16, 1, 2]


@pytest.mark.parametrize(
    ("protocol", "tested", "validated"),
    [("random20", [4, 1, 2], [2, 1, 1]), ("random25", [5, 1, 2], [2, 1, 1])],
)
def test_a_fifth_or_a_quarter_of_each_user_is_asked_for(protocol, tested, validated):
    result = split(data_of([list(range(20)), list(range(3)), list(range(9)), [0, 1]]), protocol)
    assert result.test.targets.lengths.tolist() == tested
    assert result.valid.targets.lengths.tolist() == validated
    assert result.fit_all.histories.lengths.tolist() == [20 - tested[0], 2, 7, 2]
    assert result.test.queries.history.lengths.tolist() == [20 - tested[0], 2, 7]


@given(worlds(), st.integers(0, 5))
def test_cold_items_are_unseen_and_nothing_after_a_target_is_learned_from(data, seed):
    cold, trained = split(data, "cold", seed=seed), split(data, "cold_trained", seed=seed)
    touched = np.unique(data.histories["item"])
    assert len(np.unique(cold.test.targets.values)) <= len(touched) // 10
    rows = {each: i for i, each in enumerate(data.histories["value"].tolist())}
    for part, holdout, whole in (
        (cold.train, cold.valid, trained.train),
        (cold.fit_all, cold.test, trained.fit_all),
    ):
        assert not np.isin(part.histories["item"], holdout.targets.values).any()
        ends = {
            user: rows[value]
            for user, value in zip(holdout.queries.users, holdout.values.values, strict=True)
        }
        for user, _, value in rows_of(whole.users, whole.histories):
            assert rows[value] < ends.get(user, len(rows))
        everything = rows_of(part.users, part.histories)
        assert shown(holdout) == {row for row in everything if row[0] in ends}
        assert everything <= rows_of(whole.users, whole.histories)
    unseen = np.setdiff1d(touched, np.flatnonzero(cold.valid.queries.allowed.masks[0]))
    assert set(cold.test.targets.values) <= set(unseen.tolist())
    assert not np.isin(cold.fit_all.histories["item"], unseen).any()
    assert cold.test.queries.allowed.masks.all()
    assert np.isin(cold.valid.targets.values, cold.fit_all.histories["item"]).all()
    assert asked(cold.test) == asked(trained.test)
    assert shown(cold.test) == shown(trained.test)
    assert cold.digest != trained.digest


def test_a_cold_item_that_was_seen_before_the_target_is_not_asked_again():
    data = data_of([list(range(20))] * 3)
    result = split(data, "cold", seed=1)
    cold = sorted(set(range(20)) - set(result.fit_all.histories["item"].tolist()))[:2]
    target = int(result.test.targets.values[0])
    assert len(cold) == 2
    assert target == cold[1]
    assert set(result.test.queries.exclude[0].tolist()) == set(range(target))
    assert not set(cold) & set(result.test.queries.history["item"].tolist())
    assert split(data, "cold", seed=2).test.targets.values[0] != target


def test_items_that_came_later_look_as_if_they_were_always_there():
    data = data_of([[0, 1, 2, 3]] * 10)
    data = replace(data, catalogue=replace(data.catalogue, put_at=np.array([5, 31, 32, 99])))
    result = split(data, "time")
    assert (result.train.at, result.fit_all.at) == (32, 36)
    assert result.train.catalogue.put_at.tolist() == [5, 31, 0, 0]
    assert result.fit_all.catalogue.put_at.tolist() == [5, 31, 32, 0]


def test_poor_users_can_be_left_out():
    data = data_of([[1, 2, 3], [4, 5], [6, 6, 6]])
    assert split(data, "loo", min_events=3).test.queries.users.tolist() == [0]
    assert split(data, "loo", min_events=3, repeats="keep").test.queries.users.tolist() == [0, 2]


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda: split(data_of([[1, 2]], clock=False), "time"), "no clock; use 'loo'.*--map time=COLUMN"),
        (lambda: split(data_of([[1, 2]]), "lo"), "unknown protocol 'lo'; did you mean 'loo'"),
        (lambda: split(data_of([[1]]), "loo"), "no user to ask"),
        (lambda: split(data_of([[1, 2]] * 3), "strong"), "no user to ask"),
        (lambda: split(data_of([[1, 2]]), "loo", min_events=5), "lower min_events"),
    ],
)
def test_what_can_not_be_split_says_why(make, says):
    with pytest.raises(DataError, match=says):
        make()


def test_the_input_is_left_alone():
    data = data_of([[1, 2, 1, 3], [2, 3]])
    before = data.histories["item"].tolist(), data.catalogue.put_at.tolist()
    split(data, "random")
    assert (data.histories["item"].tolist(), data.catalogue.put_at.tolist()) == before


@pytest.fixture(scope="module")
def ml_1m(ml_1m_tables):
    return encode(ml_1m_tables, only_touched=True)


@pytest.mark.golden
def test_protocol_a_on_movielens_1m(ml_1m):
    result: Split = split(ml_1m.data, "loo", ids=ml_1m)
    assert (ml_1m.data.size, len(ml_1m.data.users)) == (3_706, 6_040)
    assert len(result.test.queries) == len(result.valid.queries) == 6_040
    assert (len(result.train.histories["item"]), len(result.fit_all.histories["item"])) == (
        988_129,
        994_169,
    )
    assert result.test.queries.allowed.size == 3_706
    assert result.test.queries.allowed.masks.all()
    assert result.digest == "5726ab653fb7203d2a3b7a7c5e1e915750ecd11ac54a158b1ca0e845cce2e69f"


@pytest.mark.golden
def test_protocol_b_on_movielens_1m(ml_1m):
    result = split(ml_1m.data, "time", ids=ml_1m)
    assert (len(result.test.queries), len(result.test.targets.values)) == (1_180, 95_812)
    assert (len(result.train.histories["item"]), len(result.fit_all.histories["item"])) == (
        810_169,
        900_188,
    )
    assert len(result.valid.queries) == 488
    assert result.digest == "12fe56d035e8063f42a40275453d79f56a794dbe2f69d04f1d77962fd7c4391b"


def test_recbole_keeps_validation_rows_from_the_test():
    data = data_of([list(range(25)), [3, 4, 5], [7, 8]])
    result = split(data, "recbole")
    assert [len(each) for each in (result.test.targets[0], result.test.targets[1])] == [2, 1]
    assert len(result.test.queries) == len(result.valid.queries) == 2
    assert rows_of(result.train.users, result.train.histories) == rows_of(
        result.fit_all.users, result.fit_all.histories
    )
    for row in range(2):
        shown_items = set(result.test.queries.history.ragged("item")[row].tolist())
        validated = set(result.valid.targets[row].tolist())
        assert not shown_items & validated
        assert set(result.test.queries.exclude[row].tolist()) == shown_items | validated
