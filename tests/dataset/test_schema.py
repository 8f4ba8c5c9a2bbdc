"""The schema can be read by people, and attributes are typed by name and value."""

import polars as pl
import pytest

from polyscene.dataset.load import tables_from_frames
from polyscene.dataset.schema import SCHEMA, attribute_type, describe, field_names, fold


def test_every_field_is_described_with_type_unit_and_allowed_values():
    text = describe()
    for table, fields in SCHEMA.items():
        assert table in text
        for field in fields:
            assert f"{field.name:<9} {field.type}" in text
            assert field.allowed in text
    assert (
        "time      time in UTC ms, optional: from 1990 to a day from now; or a position, 0 and up" in text
    )


def test_clean_events_have_the_fields_of_the_schema():
    events = tables_from_frames(pl.DataFrame({"user": ["u"], "item": ["i"]})).events
    assert tuple(events.columns) == (*field_names("events"), "row")
    assert events.dtypes == [pl.String] * 3 + [pl.Float32, pl.Int64, pl.String, pl.Int64]


def test_no_name_stands_for_two_columns_of_one_tier():
    for fields in SCHEMA.values():
        for field in fields:
            names = [name for tier in field.aliases for name in tier]
            assert len(names) == len(set(names))
            assert all(name == fold(name) for name in names)


@pytest.mark.parametrize(
    ("name", "values", "expected"),
    [
        ("price", [1.5, None], "number"),
        ("new", [True], "number"),
        ("genres", [["a"]], "tags"),
        ("title", ["a", "a"], "text"),
        ("brand", ["a", "a", "b", "a", "a"], "category"),
        ("blurb", ["one", "two", None], "text"),
        ("empty", pl.Series([None], dtype=pl.String), "category"),
    ],
)
def test_attribute_types(name, values, expected):
    assert attribute_type(pl.Series(name, values)) == expected
