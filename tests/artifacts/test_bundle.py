import json
import random
from hashlib import sha256

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from polyscene import __version__
from polyscene.artifacts.bundle import DTYPES, FORMAT, Facts, read_bundle, read_manifest, write_bundle
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, StoreError

FACTS = Facts(
    kind="ease",
    created=1_700_000_000_123,
    config={"kind": "ease", "l2": 1.5},
    data="ab12",
    log_position=7,
    metrics={"hr@10": 0.25, "auc": float("nan")},
    parent="older",
    notes=("stopped early",),
)
STATE = State(
    {"b": np.arange(6, dtype=np.float32).reshape(2, 3), "a": np.array([True])}, {"words": ["é", 1]}
)


@pytest.fixture
def folder(tmp_path):
    return tmp_path / "bundle"


def test_the_manifest_says_what_was_fitted_and_what_the_folder_holds(folder):
    manifest = write_bundle(folder, FACTS, STATE)
    assert sorted(path.name for path in folder.iterdir()) == sorted([*manifest.files, "manifest.json"])
    assert [path.name for path in folder.parent.iterdir()] == ["bundle"]
    text = json.loads((folder / "manifest.json").read_text())
    assert text["format"] == FORMAT
    assert text["code"] == __version__
    assert text["config"] == {"kind": "ease", "l2": 1.5}
    assert text["metrics"] == {"hr@10": 0.25, "auc": None}
    assert text["files"]["meta.json"]["size"] == (folder / "meta.json").stat().st_size
    read = read_manifest(folder)
    assert (read.kind, read.created, read.parent, read.notes) == (
        "ease",
        FACTS.created,
        "older",
        FACTS.notes,
    )
    assert read.digest == manifest.digest


TENSORS = st.dictionaries(
    st.text(st.characters(exclude_categories=["Cs"]), min_size=1, max_size=8).filter(
        lambda name: name != "__metadata__"
    ),
    st.sampled_from(sorted(DTYPES)).flatmap(
        lambda dtype: arrays.arrays(
            dtype, arrays.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=4)
        )
    ),
    max_size=4,
)
META = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53), 2**53)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(tensors=TENSORS, meta=st.dictionaries(st.text(), META, max_size=3), turned=st.booleans())
def test_every_state_comes_back_as_it_was(tensors, meta, turned, tmp_path_factory):
    if turned:
        tensors = {
            name: np.asfortranarray(each).T[::-1] if each.ndim else each for name, each in tensors.items()
        }
    folder = tmp_path_factory.mktemp("bundles") / "bundle"
    write_bundle(folder, FACTS, State(tensors, meta))
    _, state = read_bundle(folder)
    assert set(state.tensors) == set(tensors)
    for name, tensor in tensors.items():
        assert state.tensors[name].dtype == tensor.dtype
        assert state.tensors[name].shape == tensor.shape
        np.testing.assert_array_equal(state.tensors[name], tensor)
    assert state.meta == meta


def test_equal_states_give_equal_files(tmp_path):
    other = State(dict(reversed(STATE.tensors.items())), dict(STATE.meta))
    first, second = write_bundle(tmp_path / "a", FACTS, STATE), write_bundle(tmp_path / "b", FACTS, other)
    assert first.digest == second.digest


@pytest.mark.parametrize(
    ("state", "text"),
    [
        (
            State({"words": np.array(["a", "b"])}),
            "'words': expected an array of numbers or booleans, got <U1",
        ),
        (State({"o": np.array([{}])}), "'o': expected an array of numbers or booleans, got object"),
        (
            State({"c": np.ones(1, np.complex64)}),
            "'c': expected an array of numbers or booleans, got complex64",
        ),
        (State({"l": [1.0]}), "'l': expected an array of numbers or booleans, got list"),
        (State({}, {"x": float("nan")}), "the meta of a part must be JSON"),
        (State({}, {"x": np.float32(1)}), "the meta of a part must be JSON"),
    ],
)
def test_what_is_no_data_is_refused_and_leaves_nothing(folder, state, text):
    with pytest.raises(BundleError) as caught:
        write_bundle(folder, FACTS, state)
    assert text in str(caught.value)
    assert list(folder.parent.iterdir()) == []


def test_a_bundle_is_never_overwritten(folder):
    write_bundle(folder, FACTS, STATE)
    with pytest.raises(BundleError, match="never overwritten"):
        write_bundle(folder, FACTS, STATE)


def test_a_parent_that_is_a_file_is_a_store_error(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(StoreError, match=r"file/bundle: write: .*check free space and permissions"):
        write_bundle(tmp_path / "file" / "bundle", FACTS, STATE)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["manifest.json", "tensors.safetensors", "meta.json"])
def test_a_changed_or_shortened_file_is_refused_by_name(folder, name):
    write_bundle(folder, FACTS, STATE)
    path, chance = folder / name, random.Random(5)
    whole = path.read_bytes()
    for site in {chance.randrange(len(whole)) for _ in range(110)}:
        flipped = bytearray(whole)
        flipped[site] ^= chance.randrange(1, 256)
        for damaged in (bytes(flipped), whole[:site]):
            path.write_bytes(damaged)
            with pytest.raises(BundleError) as caught:
                read_bundle(folder)
            assert f"bundle/{name}" in str(caught.value)
    path.write_bytes(whole)
    read_bundle(folder)


@pytest.mark.fault
@pytest.mark.parametrize("name", ["manifest.json", "tensors.safetensors", "meta.json"])
def test_a_missing_file_is_named(folder, name):
    write_bundle(folder, FACTS, STATE)
    (folder / name).unlink()
    with pytest.raises(BundleError, match=f"bundle/{name}: missing"):
        read_bundle(folder)


@pytest.mark.fault
def test_an_extra_file_is_named(folder):
    write_bundle(folder, FACTS, STATE)
    (folder / "hook.py").write_text("")
    with pytest.raises(BundleError, match=r"bundle/hook\.py: not in the manifest; take it out"):
        read_bundle(folder)


@pytest.mark.fault
def test_a_newer_format_is_refused_before_its_fields_are_read(folder):
    write_bundle(folder, FACTS, STATE)
    (folder / "manifest.json").write_text(json.dumps({"format": FORMAT + 1, "new": "field"}))
    with pytest.raises(BundleError, match=f"format {FORMAT + 1} is newer than {FORMAT}; upgrade polyscene"):
        read_bundle(folder)


@pytest.mark.fault
def test_a_manifest_that_names_other_paths_is_refused(folder):
    write_bundle(folder, FACTS, STATE)
    text = json.loads((folder / "manifest.json").read_text())
    text["files"]["../../etc/passwd"] = {"size": 1, "sha256": "0"}
    resign(folder, text)
    with pytest.raises(
        BundleError, match=r"manifest\.json: expected tensors\.safetensors and meta\.json, it names"
    ):
        read_bundle(folder)


@pytest.mark.fault
def test_tensors_that_are_none_are_refused_even_with_true_digests(folder):
    write_bundle(folder, FACTS, STATE)
    (folder / "tensors.safetensors").write_bytes(b"noise" * 20)
    text = json.loads((folder / "manifest.json").read_text())
    text["files"]["tensors.safetensors"] = digest_of(folder / "tensors.safetensors")
    resign(folder, text)
    with pytest.raises(BundleError, match=r"tensors\.safetensors: not readable"):
        read_bundle(folder)


def digest_of(path):
    return {"size": path.stat().st_size, "sha256": sha256(path.read_bytes()).hexdigest()}


def resign(folder, text):
    """Writes a manifest whose own digest is true, as a forger would."""
    blank = json.dumps({**text, "digest": "0" * 64}, indent=2)
    digest = sha256(blank.encode()).hexdigest()
    (folder / "manifest.json").write_text(blank.replace("0" * 64, digest))
