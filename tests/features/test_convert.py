"""Converters: what comes out of known, unknown and missing values; saving changes nothing."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.config import find, to_json
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, ConfigError, DataError
from polyscene.features.convert import CONVERTERS, Conversion, fit_conversion
from polyscene.features.numbers import LIMIT, Log, MinMax, Quantile, Standard
from polyscene.features.words import FIRST, MISSING, UNKNOWN, Hashing, Vocabulary

NUMBERS = st.lists(st.floats(), min_size=1, max_size=40).map(np.array)
WORDS = st.lists(st.one_of(st.none(), st.text(max_size=6)), min_size=1, max_size=40)
SCALERS = st.sampled_from([Standard(), MinMax(), Log(), Quantile(bins=8)])


def through_json(state: State) -> State:
    tensors = {
        name: np.frombuffer(t.tobytes(), t.dtype).reshape(t.shape) for name, t in state.tensors.items()
    }
    return State(tensors, json.loads(json.dumps(state.meta)))


@given(config=SCALERS, training=NUMBERS, new=NUMBERS)
def test_scaling_is_finite_bounded_and_survives_saving(config, training, new):
    part = config.fit(training)
    for values in (training, new, np.array([np.nan, np.inf, -np.inf, 1e300, 0.0])):
        scaled = part(values)
        assert scaled.dtype == np.float32
        assert np.isfinite(scaled).all()
        assert np.abs(scaled).max() <= (1 if isinstance(config, MinMax | Quantile) else LIMIT)
    loaded = config.load(through_json(part.state()))
    np.testing.assert_array_equal(loaded(new), part(new))


@given(config=SCALERS, training=NUMBERS, new=st.lists(st.floats(-1e30, 1e30), min_size=2).map(sorted))
def test_scaling_keeps_order(config, training, new):
    assert (np.diff(config.fit(training)(np.array(new))) >= 0).all()


def test_standard_gives_mean_0_and_deviation_1():
    scaled = Standard().fit(np.array([1.0, 2.0, np.nan, 3.0]))(np.array([1.0, 2.0, 3.0, np.nan]))
    assert scaled[:3].mean() == pytest.approx(0, abs=1e-6)
    assert scaled[:3].std() == pytest.approx(1, abs=1e-6)
    assert scaled[3] == 0


def test_min_max_cuts_off_what_training_did_not_have():
    part = MinMax().fit(np.array([10.0, 20.0, 30.0, 20.0]))
    assert part(np.array([10, 30, 5, 99, np.nan])).tolist() == [0, 1, 0, 1, 0.5]


def test_log_takes_negative_numbers_and_zero():
    part = Log().fit(np.array([-9.0, 0.0, 9.0]))
    scaled = part(np.array([-9.0, 0.0, 9.0]))
    assert scaled[0] == -scaled[2] == pytest.approx(-np.sqrt(1.5))
    assert scaled[1] == 0


def test_quantile_gives_a_tie_its_middle():
    part = Quantile().fit(np.array([1.0, 5.0, 5.0, 9.0]))
    assert part(np.array([0.0, 1.0, 5.0, 9.0, 10.0, np.nan])).tolist() == [0, 0.125, 0.5, 0.875, 1, 0.5]


def test_quantile_keeps_at_most_its_bins():
    part = Quantile(bins=11).fit(np.arange(1_001.0))
    assert len(part.edges) == 11
    assert part(np.array([500.0]))[0] == pytest.approx(0.5, abs=0.05)


@pytest.mark.parametrize("config", [Standard(), MinMax(), Log(), Quantile()])
def test_a_column_with_nothing_in_training_is_still_defined(config):
    assert np.isfinite(config.fit(np.array([np.nan]))(np.array([1.0, np.nan]))).all()


@pytest.mark.parametrize("config", [Standard(), Log()])
def test_a_constant_column_is_only_shifted(config):
    assert config.fit(np.array([7.0, 7.0]))(np.array([7.0])).tolist() == [0]


@given(training=WORDS, new=WORDS)
def test_vocabulary_round_trip(training, new):
    part = Vocabulary().fit(training)
    codes = part(training)
    assert [part.word(code) for code in codes] == [word or None for word in training]
    assert set(part(new)[[not word for word in new]].tolist()) <= {MISSING}
    loaded = Vocabulary().load(through_json(part.state()))
    np.testing.assert_array_equal(loaded(new), part(new))
    assert max(codes.tolist()) < len(part)


def test_vocabulary_orders_by_frequency_and_marks_the_unknown():
    part = Vocabulary(min_count=2, size=2).fit(["b", "a", "c", "c", "c", "a", "b", "z", None, ""])
    assert part.words == ("c", "a")
    assert part(["c", "a", "b", "z", None, ""]).tolist() == [
        FIRST,
        FIRST + 1,
        UNKNOWN,
        UNKNOWN,
        MISSING,
        MISSING,
    ]


@given(words=WORDS, buckets=st.integers(1, 50))
def test_hashing_stays_in_its_buckets_and_never_changes(words, buckets):
    part = Hashing(buckets=buckets).fit([])
    codes = part(words)
    assert ((codes == 0) == [not word for word in words]).all()
    assert codes.max() < len(part)
    np.testing.assert_array_equal(Hashing(buckets=buckets).load(through_json(part.state()))(words), codes)


def test_hashing_is_the_same_on_every_machine_and_differs_by_salt():
    assert Hashing(buckets=1000).fit([])(["Comedy", "\ud800"]).tolist() == [675, 915]
    assert Hashing(buckets=1000, salt="x").fit([])(["Comedy"]).tolist() != [675]


COLUMNS = {"price": np.array([1.0, 2.0, 1e9]), "genre": ["a", "b", "new"]}
PLAN = {"price": {"kind": "standard"}, "genre": Vocabulary()}


def test_only_training_rows_are_looked_at():
    conversion = fit_conversion(PLAN, COLUMNS, np.array([True, True, False]))
    out = conversion(COLUMNS)
    assert out["price"][:2].tolist() == [-1, 1]
    assert out["genre"].tolist() == [2, 3, UNKNOWN]


def test_conversion_survives_saving():
    conversion = fit_conversion(PLAN, COLUMNS, np.ones(3, bool))
    loaded = Conversion.load(through_json(conversion.state()))
    assert loaded.plan == conversion.plan
    for name, values in conversion(COLUMNS).items():
        np.testing.assert_array_equal(loaded(COLUMNS)[name], values)


@pytest.mark.parametrize("kind", CONVERTERS)
def test_every_row_of_the_table_is_its_kind(kind):
    assert to_json(find(CONVERTERS, kind, "test")())["kind"] == kind


def test_errors_tell_what_to_do():
    with pytest.raises(
        ConfigError, match=r"column 'price': unknown kind 'standart'; did you mean 'standard'\?"
    ):
        fit_conversion({"price": {"kind": "standart"}}, COLUMNS, np.ones(3, bool))
    with pytest.raises(DataError, match=r"column 'prize' of the plan is missing; did you mean 'price'\?"):
        fit_conversion({"prize": Standard()}, COLUMNS, np.ones(3, bool))
    with pytest.raises(DataError, match=r"column 'price' has 3 rows, 'train' 2"):
        fit_conversion(PLAN, COLUMNS, np.ones(2, bool))
    with pytest.raises(BundleError, match="'affine' is missing"):
        Standard().load(State())
    with pytest.raises(BundleError, match=r"shape \(2,\), expected \(5,\)"):
        Standard().load(State({"affine": np.zeros(2)}))
    with pytest.raises(BundleError, match="'words' is missing"):
        Vocabulary().load(State())
    with pytest.raises(BundleError, match="no 'columns'"):
        Conversion.load(State())
