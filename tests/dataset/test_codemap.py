import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.errors import BundleError, DataError, InputError, NotFoundError
from polyscene.dataset.codemap import CodeMap

IDS = st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=6)


def test_unknown_ids_are_minus_one_and_growing_gives_codes_in_the_order_of_arrival():
    codes = CodeMap()
    assert codes.codes(["b", "a", "b"]).tolist() == [-1, -1, -1]
    assert codes.codes(["b", "a", "b"], grow=True).tolist() == [0, 1, 0]
    assert codes.codes(["a", "c"]).tolist() == [1, -1]
    assert codes.codes(["a"]).dtype == np.int32
    assert codes.ids == ["b", "a"]
    assert "a" in codes
    assert "c" not in codes


@given(st.lists(st.lists(IDS, max_size=5), max_size=6))
def test_a_code_means_the_same_id_for_ever(batches):
    codes, seen = CodeMap(), {}
    for batch in batches:
        for item_id, code in zip(batch, codes.codes(batch, grow=True).tolist(), strict=True):
            assert seen.setdefault(item_id, code) == code
    assert sorted(seen.values()) == list(range(len(codes)))
    assert codes.ids_of(np.arange(len(codes))) == codes.ids
    assert [codes.id(code) for code in range(len(codes))] == sorted(seen, key=seen.__getitem__)


@pytest.mark.parametrize("grow", [False, True])
def test_lists_arrays_and_series_give_the_same_codes(grow):
    ids = [f"i{(place * 7) % 400}" for place in range(2000)]
    known = ids[:300]
    found = [
        CodeMap(known).codes(form, grow=grow).tolist()
        for form in (
            ids,
            np.array(ids),
            np.array(ids, object),
            pl.Series(ids),
            pl.Series(ids, dtype=pl.Categorical),
        )
    ]
    assert all(each == found[0] for each in found)
    assert (min(found[0]) == -1) is not grow


def test_a_prefix_stays_as_it_is_while_the_map_grows():
    codes = CodeMap(["a", "b", "c"])
    before = codes.prefix(2)
    codes.codes(["d"], grow=True)
    assert len(before) == 2
    assert before.ids == ["a", "b"]
    assert before.codes(["a", "c", "d"]).tolist() == [0, -1, -1]
    assert before.code("c") == -1
    with pytest.raises(NotFoundError, match="0 to 1"):
        before.id(2)
    with pytest.raises(InputError, match="can't grow"):
        before.codes(["c"], grow=True)
    assert before.codes(["a"], grow=True).tolist() == [0]


@pytest.mark.parametrize("wrong", ["", 5, None])
def test_what_is_no_id_is_refused_and_adds_nothing(wrong):
    codes = CodeMap(["a"])
    with pytest.raises(DataError, match="not empty"):
        codes.codes(["b", wrong], grow=True)
    assert codes.ids == ["a"]
    assert codes.codes([wrong]).tolist() == [-1]


def test_a_forgotten_id_leaves_its_code_behind_and_comes_back_under_another():
    codes = CodeMap(["a", "b"])
    early = codes.prefix(2)
    codes.forget(0)
    assert codes.code("a") == early.code("a") == -1
    assert "a" not in codes.id(0)
    assert codes.codes(["a"], grow=True).tolist() == [2]


@given(st.lists(IDS, max_size=8))
def test_saving_and_loading_gives_the_same_map(tmp_path_factory, ids):
    path = tmp_path_factory.mktemp("codes") / "items.jsonl"
    codes = CodeMap(ids)
    codes.save(path)
    again = CodeMap.load(path)
    assert again.ids == codes.ids
    assert again.digest() == codes.digest()
    assert again.codes(["new one"], grow=True).tolist() == [len(codes)]


@pytest.mark.parametrize(
    ("damage", "says"),
    [
        (lambda raw: raw[:-3], "sha256"),
        (lambda raw: raw.replace(b'"b"', b'"x"'), "sha256"),
        (lambda raw: raw.replace(b'"format":1', b'"format":9'), "format 9"),
        (lambda raw: b"not json", "can't be read"),
        (lambda raw: b"", "can't be read"),
    ],
)
def test_a_damaged_file_is_refused(tmp_path, damage, says):
    path = tmp_path / "items.jsonl"
    CodeMap(["a", "b"]).save(path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(BundleError, match=says):
        CodeMap.load(path)


def test_a_missing_file_is_refused(tmp_path):
    with pytest.raises(BundleError, match="restore the file"):
        CodeMap.load(tmp_path / "none")
