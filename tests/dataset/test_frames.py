"""Frames of pandas and Polars give what files give."""

import numpy as np
import pandas as pd
import polars as pl
import pytest

from polyscene.core.errors import DataError
from polyscene.dataset.load import load_tables, tables_from_frames

EVENTS = {
    "userId": ["u1", "u2", "u1"],
    "movieId": [3, 4, 4],
    "rating": [4.0, 5.0, 1.0],
    "timestamp": [978300760, 978300761, 978300762],
}


def test_pandas_polars_lazy_and_files_agree(tmp_path):
    polars = pl.DataFrame(EVENTS)
    polars.write_csv(tmp_path / "ratings.csv")
    expected = load_tables(tmp_path).events
    for frame in (polars, polars.lazy(), pd.DataFrame(EVENTS)):
        assert tables_from_frames(frame).events.equals(expected)


def test_pandas_types_are_understood():
    events = pd.DataFrame(
        {
            "user": pd.Series([1, None, 2], dtype="Int64"),
            "item": pd.Categorical(["a", "b", "c"]),
            "value": [1.5, 2.0, np.nan],
            "time": pd.to_datetime(["2020-01-01"] * 3, utc=True).tz_convert("Asia/Tokyo"),
        }
    )
    items = pd.DataFrame({"item": ["a"], "tags": [["x", "y"]], "new": [True]})
    tables = tables_from_frames(events, items)
    assert tables.name == "frames"
    assert tables.events.select("user", "item", "value", "time").rows() == [("1", "a", 1.5, 1577836800000)]
    assert tables.report.tables["events"].removed == {"user is missing": 1, "value is missing": 1}
    assert tables.items is not None
    assert tables.items.rows() == [("a", "item", ["x", "y"], True)]


def test_frames_are_not_changed():
    frame = pd.DataFrame(EVENTS)
    before = frame.copy()
    tables_from_frames(frame)
    pd.testing.assert_frame_equal(frame, before)


def test_other_things_are_errors():
    with pytest.raises(DataError, match="events frame: got list, expected a Polars or pandas DataFrame"):
        tables_from_frames([1, 2])
    with pytest.raises(DataError, match="items frame: column 'a' is there twice"):
        tables_from_frames(pl.DataFrame(EVENTS), pd.DataFrame([[1, 2]], columns=["a", "a"]))
    with pytest.raises(DataError, match=r"events frame: no column for the item.*--map item=thing"):
        tables_from_frames(pl.DataFrame({"user": [1], "thing": [2]}))
