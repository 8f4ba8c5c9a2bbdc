"""What a column of any table is read as, and what its values become."""

import numpy as np
import polars as pl
import pytest

from polyscene.core.errors import DataError
from polyscene.dataset.fields import Field, fields_of, read_field

ROWS = 200
RNG = np.random.default_rng(0)
FRAME = pl.DataFrame(
    {
        "city": RNG.choice(["Ulm", "Bonn"], ROWS),
        "shop_id": RNG.integers(0, 150, ROWS),
        "grade": RNG.integers(1, 6, ROWS),
        "zip": RNG.choice(["01067", "02763", "04103"], ROWS),
        "size": RNG.normal(size=ROWS),
        "income": np.exp(RNG.normal(5, 3, ROWS)),
        "at": 1_700_000_000 + RNG.integers(0, 10**7, ROWS),
        "day": RNG.choice(["2024-05-01", "2024-06-01", "2024-07-01"], ROWS),
        "member": RNG.random(ROWS) < 0.5,
        "tags": [["a", "b"]] * ROWS,
        "code": [f"k{row}" for row in range(ROWS)],
        "one": ["x"] * ROWS,
    }
)


def test_each_column_gets_the_role_that_its_values_ask_for():
    roles = {field.name: field.role for field in fields_of(FRAME, {"size": "words"})}
    assert roles == {
        "city": "words",
        "shop_id": "words",
        "grade": "words",
        "zip": "words",
        "size": "words",
        "income": "log",
        "at": "time",
        "day": "time",
        "member": "words",
        "tags": "left out",
        "code": "left out",
        "one": "left out",
    }


def test_values_become_what_converters_want():
    assert read_field(pl.Series("a", [1.0, None, 12.0]), Field("a", "words", ""), "t") == ["1", None, "12"]
    numbers = read_field(pl.Series("a", ["1", "2,5", "", "much"]), Field("a", "number", ""), "t")
    np.testing.assert_array_equal(numbers, [1, 2.5, np.nan, np.nan])
    days = read_field(pl.Series("a", ["1970-01-02", None]), Field("a", "time", ""), "t")
    np.testing.assert_array_equal(days, [86_400_000, np.nan])


def test_what_cannot_be_read_is_told():
    with pytest.raises(DataError, match=r"t, column 'tags': holds List.*Leave it out"):
        read_field(FRAME["tags"], Field("tags", "words", ""), "t")
    with pytest.raises(DataError, match="did you mean 'city'"):
        fields_of(FRAME, {"citty": "words"})
    with pytest.raises(DataError, match="did you mean 'number'"):
        fields_of(FRAME, {"city": "numbr"})
