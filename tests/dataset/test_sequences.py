import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import RaggedTable, offsets_of
from polyscene.core.errors import BundleError, InputError
from polyscene.core.queries import history_of
from polyscene.dataset.sequences import open_sequences, save_sequences


def same(left: RaggedTable, right: RaggedTable) -> bool:
    return (
        left.offsets.tolist() == right.offsets.tolist()
        and list(left.columns) == list(right.columns)
        and all(
            left[name].dtype == right[name].dtype and left[name].tolist() == right[name].tolist()
            for name in left.columns
        )
    )


@given(st.lists(st.lists(st.integers(0, 2**31 - 1), max_size=4), max_size=5))
def test_what_was_saved_is_opened(tmp_path_factory, lists):
    folder = tmp_path_factory.mktemp("sequences") / "histories"
    table = history_of(lists)
    save_sequences(folder, table)
    assert same(open_sequences(folder), table)
    assert same(open_sequences(folder, verify=True), table)


def test_columns_are_mapped_not_read_and_can_not_be_written(tmp_path):
    save_sequences(tmp_path / "s", history_of([[1, 2], [3]]))
    column = open_sequences(tmp_path / "s")["item"]
    assert isinstance(column, np.memmap)
    with pytest.raises(ValueError, match="read-only"):
        column[0] = 5


def test_saving_again_replaces_the_folder_and_leaves_open_tables_alone(tmp_path):
    save_sequences(tmp_path / "s", history_of([[1, 2], [3]]))
    early = open_sequences(tmp_path / "s")
    save_sequences(tmp_path / "s", history_of([[9]]))
    assert early["item"].tolist() == [1, 2, 3]
    assert open_sequences(tmp_path / "s")["item"].tolist() == [9]
    assert [path.name for path in tmp_path.iterdir()] == ["s"]


def test_big_endian_columns_become_little_endian(tmp_path):
    table = RaggedTable(offsets_of(np.array([2])), {"item": np.array([1, 256], ">i4")})
    save_sequences(tmp_path / "s", table)
    assert (tmp_path / "s" / "item.bin").read_bytes() == b"\x01\0\0\0\0\1\0\0"
    assert open_sequences(tmp_path / "s")["item"].tolist() == [1, 256]


@pytest.mark.parametrize(
    ("file", "damage", "says"),
    [
        ("item.bin", lambda raw: raw[:-1], "has 11 bytes, expected 12"),
        ("item.bin", lambda raw: raw + b"x", "has 13 bytes"),
        ("time.bin", None, "is missing"),
        ("offsets.bin", lambda raw: raw[:-8], "has 16 bytes"),
        ("offsets.bin", lambda raw: raw[:-8] + b"\x09" + raw[-7:], "offsets end at 9"),
        ("header.json", None, "no readable header"),
        ("header.json", lambda raw: raw[:30], "no readable header"),
        ("header.json", lambda raw: raw.replace(b'"format": 1', b'"format": 2'), "format 2"),
        ("header.json", lambda raw: raw.replace(b"<i4", b"|O8"), "expected such as"),
        ("header.json", lambda raw: raw.replace(b'"item"', b'"../item"'), "missing"),
    ],
)
@pytest.mark.fault
def test_a_damaged_folder_is_refused(tmp_path, file, damage, says):
    save_sequences(tmp_path / "s", history_of([[1, 2], [3]]))
    path = tmp_path / "s" / file
    if damage is None:
        path.unlink()
    else:
        path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError, match=says):
        open_sequences(tmp_path / "s")


@pytest.mark.fault
def test_a_changed_value_is_found_when_asked_to_verify(tmp_path):
    save_sequences(tmp_path / "s", history_of([[1, 2], [3]]))
    path = tmp_path / "s" / "item.bin"
    path.write_bytes(b"\x07" + path.read_bytes()[1:])
    assert open_sequences(tmp_path / "s")["item"].tolist() == [7, 2, 3]
    with pytest.raises(BundleError, match="sha256"):
        open_sequences(tmp_path / "s", verify=True)


@pytest.mark.parametrize(
    ("columns", "says"),
    [({"../x": np.zeros(1)}, "can't name a column"), ({"x": np.array(["a"])}, "expected numbers")],
)
def test_what_can_not_be_saved_is_refused(tmp_path, columns, says):
    with pytest.raises(InputError, match=says):
        save_sequences(tmp_path / "s", RaggedTable(np.array([0, 1]), columns))
    assert not list(tmp_path.iterdir())


def test_the_header_tells_types_and_digests(tmp_path):
    save_sequences(tmp_path / "s", history_of([[1]]))
    header = json.loads((tmp_path / "s" / "header.json").read_text())
    assert header["columns"]["item"]["dtype"] == "<i4"
    assert header["offsets"]["length"] == 2
