"""Times in any unit or text become UTC milliseconds; positions are told apart."""

from datetime import UTC, date, datetime

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.errors import DataError
from polyscene.dataset.times import EARLIEST, HORIZON, UNITS, read_times

MOMENTS = st.lists(
    st.integers(EARLIEST, HORIZON - 1).map(lambda ms: ms - ms % 1000), min_size=1, max_size=20
)


@given(moments=MOMENTS, unit=st.sampled_from(sorted(UNITS)), text=st.booleans())
def test_every_unit_is_told_by_size(moments, unit, text):
    numbers = [ms // 1000 if unit == "s" else ms * int(UNITS[unit]) for ms in moments]
    raw = pl.Series([str(n) for n in numbers] if text else numbers)
    times = read_times(raw, "t")
    assert (times.unit, times.corrected, times.clock) == (unit, 0, True)
    assert times.ms.to_list() == moments


@given(moments=MOMENTS)
def test_iso_texts_and_datetimes(moments):
    dates = [datetime.fromtimestamp(ms / 1000, UTC) for ms in moments]
    for raw in (
        pl.Series([d.isoformat() for d in dates]),
        pl.Series([d.strftime("%Y-%m-%d %H:%M:%SZ") for d in dates]),
        pl.Series(dates),
        pl.Series([d.replace(tzinfo=None) for d in dates]),
    ):
        assert read_times(raw, "t").ms.to_list() == moments


def test_text_forms():
    texts = [
        "2020-01-01",
        " 2020-01-01T00:00 ",
        "2020-01-01 02:00:00.25+02:00",
        "2019-12-31T19:00:00-0500",
        "x",
        None,
    ]
    assert read_times(pl.Series(texts), "t").ms.to_list() == [
        *[1577836800000] * 2,
        1577836800250,
        1577836800000,
        None,
        None,
    ]
    assert read_times(pl.Series([date(2020, 1, 1)]), "t").ms.to_list() == [1577836800000]


def test_a_number_in_another_unit_is_corrected():
    times = read_times(pl.Series([978300760, 978300761000, 978300762, None]), "t")
    assert (times.unit, times.corrected) == ("s", 1)
    assert times.ms.to_list() == [978300760000, 978300761000, 978300762000, None]


def test_times_too_early_or_late_keep_the_unit_of_the_others():
    times = read_times(pl.Series([978300760, 5, 978300761, 2**62, 978300762]), "t")
    assert times.ms.to_list() == [978300760000, 5000, 978300761000, None, 978300762000]


def test_fractions_of_seconds():
    assert read_times(pl.Series([978300760.25, float("nan")]), "t").ms.to_list() == [978300760250, None]


@pytest.mark.parametrize("raw", [[0, 1, 2], ["7", "8"], [3.0, 4.0], [5, -1, 6]])
def test_small_whole_numbers_are_positions(raw):
    times = read_times(pl.Series(raw), "t")
    assert not times.clock
    assert times.ms.to_list() == [None if n == -1 else int(n) for n in raw]


@pytest.mark.parametrize("raw", [[0, 0, 978300760], [0.5, 0.25], ["noon"], [-5, -6], [None, None]])
def test_what_is_neither_is_an_error(raw):
    with pytest.raises(DataError, match=r"file, column 't': its values run from .*--map time="):
        read_times(pl.Series(raw, dtype=None if any(raw) else pl.Int64), "file, column 't'")


def test_truths_are_no_times():
    with pytest.raises(DataError, match="holds Boolean, which is no time; map another"):
        read_times(pl.Series([True]), "t")


@pytest.mark.parametrize(
    ("written", "unit", "first"),
    [
        (["31.12.2023", "1.2.2024 08:15"], "day first", "2023-12-31T00:00"),
        (["25/06/2024 17:03:05", "01/02/2024 00:00:00"], "day first", "2024-06-25T17:03:05"),
        (["06/25/2024 5:03 PM", "1/2/2024 12:00 AM"], "month first", "2024-06-25T17:03"),
        (["2024/06/25", "2024/01/02"], "day first", "2024-06-25T00:00"),
        (["20240625", "20240102"], "digits", "2024-06-25T00:00"),
        ([20240625, 20240102], "digits", "2024-06-25T00:00"),
    ],
)
def test_dates_as_people_write_them(written, unit, first):
    times = read_times(pl.Series("when", written), "f.csv, column 'when'")
    assert times.unit == unit
    assert times.clock
    assert times.ms[0] == int(datetime.fromisoformat(first).replace(tzinfo=UTC).timestamp() * 1000)
    assert times.ms.null_count() == 0


def test_days_that_may_be_months_are_not_guessed():
    with pytest.raises(DataError, match=r"may be day first or month first.*write them as 2024-04-03"):
        read_times(pl.Series("when", ["03/04/2024", "05/06/2024"]), "f.csv, column 'when'")
