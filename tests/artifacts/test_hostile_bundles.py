"""Whatever is offered as a bundle, nothing of it runs: it is refused by name, type or digest."""

import io
import json
import pickle  # noqa: TID251 (to offer one)
import struct
import sys
import zipfile
from hashlib import sha256
from pathlib import Path

import numpy as np
import pytest

from polyscene.artifacts.bundle import MANIFEST, META, TENSORS, Facts, read_bundle, write_bundle
from polyscene.artifacts.shelf import Shelf
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, InputError, NotFoundError

MARKER = "marker-that-must-not-be-made"


class Payload:
    """Makes a file when it is unpickled."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return Path.touch, (Path(self.path),)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "bundle"
    write_bundle(folder, Facts(kind="test", created=1), State({"w": np.arange(4.0)}, {"a": 1}))
    return folder


def forge(folder, name, content):
    """Puts `content` in place of a file and makes every digest fit, as who may write there can."""
    (folder / name).write_bytes(content)
    facts = json.loads((folder / MANIFEST).read_text())
    facts["files"][name] = {"size": len(content), "sha256": sha256(content).hexdigest()}
    facts["digest"] = "0" * 64
    text = json.dumps(facts, indent=2)
    digest = sha256(text.encode()).hexdigest()
    (folder / MANIFEST).write_text(text.replace('"digest": "' + "0" * 64, f'"digest": "{digest}'))


def header(table, size=None):
    text = table if isinstance(table, bytes) else json.dumps(table).encode()
    return struct.pack("<Q", len(text) if size is None else size) + text


def torch_file(marker):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr("archive/data.pkl", pickle.dumps(Payload(marker)))
        archive.writestr("archive/version", "3")
    return out.getvalue()


def zip_slip(marker):
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        archive.writestr(f"../{MARKER}", "out")
        archive.writestr(str(marker), "out")
    return out.getvalue()


FORMS = {
    "pickle": lambda marker: pickle.dumps(Payload(marker)),
    "old pickle": lambda marker: pickle.dumps(Payload(marker), protocol=0),
    "numpy objects": lambda marker: _saved(np.array([Payload(marker)], dtype=object)),
    "torch": torch_file,
    "zip slip": zip_slip,
    "empty": lambda marker: b"",
    "header longer than the file": lambda marker: header({}, size=10**6),
    "header of 2^63 bytes": lambda marker: header({}, size=2**63),
    "data beyond the end": lambda marker: header(
        {"w": {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]}}
    ),
    "offsets turned round": lambda marker: (
        header({"w": {"dtype": "F32", "shape": [4], "data_offsets": [16, 0]}}) + b"\0" * 16
    ),
    "shape that does not fit": lambda marker: (
        header({"w": {"dtype": "F32", "shape": [2**40, 2**40], "data_offsets": [0, 16]}}) + b"\0" * 16
    ),
    "negative shape": lambda marker: (
        header({"w": {"dtype": "F32", "shape": [-4], "data_offsets": [0, 16]}}) + b"\0" * 16
    ),
    "overlapping": lambda marker: (
        header({n: {"dtype": "F32", "shape": [4], "data_offsets": [0, 16]} for n in "ab"}) + b"\0" * 16
    ),
    "unknown type": lambda marker: (
        header({"w": {"dtype": "PY", "shape": [4], "data_offsets": [0, 16]}}) + b"\0" * 16
    ),
    "deep header": lambda marker: header(b'{"w":' + b"[" * 100_000),
    "header that is no text": lambda marker: header(b"\xff\xfe" * 50),
}


def _saved(array):
    out = io.BytesIO()
    np.save(out, array, allow_pickle=True)
    return out.getvalue()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("honest", [True, False], ids=["digests fit", "digests differ"])
def test_what_is_no_tensors_is_refused_and_nothing_of_it_runs(folder, tmp_path, form, honest):
    marker = tmp_path / MARKER
    content = FORMS[form](marker)
    if honest:
        forge(folder, TENSORS, content)
    else:
        (folder / TENSORS).write_bytes(content)
    with pytest.raises(BundleError, match=TENSORS):
        read_bundle(folder)
    assert not list(tmp_path.rglob(MARKER))


@pytest.mark.parametrize("name", ["../x", "/etc/passwd", "model.pt", "weights.pkl", "a/b", ".."])
def test_a_manifest_that_names_other_files_is_refused(folder, name):
    facts = json.loads((folder / MANIFEST).read_text())
    facts["files"][name] = facts["files"][TENSORS]
    facts["digest"] = "0" * 64
    text = json.dumps(facts, indent=2)
    digest = sha256(text.encode()).hexdigest()
    (folder / MANIFEST).write_text(text.replace('"digest": "' + "0" * 64, f'"digest": "{digest}'))
    with pytest.raises(BundleError, match=r"expected tensors\.safetensors"):
        read_bundle(folder)


@pytest.mark.parametrize("name", ["model.pt", "data.pkl", "x.joblib", "__init__.py", "sitecustomize.py"])
def test_a_file_more_is_refused_and_nothing_is_imported(folder, name):
    (folder / name).write_bytes(b"raise SystemExit(1)")
    before = set(sys.modules)
    with pytest.raises(BundleError, match=name):
        read_bundle(folder)
    assert not {each for each in set(sys.modules) - before if "bundle" in each}


@pytest.mark.parametrize("name", [MANIFEST, TENSORS, META])
def test_a_link_in_place_of_a_file_is_refused(folder, tmp_path, name):
    (folder / name).rename(tmp_path / name)
    (folder / name).symlink_to(tmp_path / name)
    with pytest.raises(BundleError, match=name):
        read_bundle(folder)


@pytest.mark.parametrize(
    "name", ["..", "../home", "a/b", "a\\b", "/etc", "%2e%2e", "file:///etc", "", ".tmp-x", "a\x00b", "~"]
)
def test_no_name_leads_out_of_the_shelf(tmp_path, name):
    shelf = Shelf(tmp_path / "bundles")
    shelf.add("home", State({"w": np.arange(2)}), Facts(kind="test", created=1))
    for pair in ((name, "x"), ("home", name)):
        with pytest.raises((InputError, NotFoundError)):
            shelf.read(*pair)


def test_links_below_the_shelf_are_not_followed(tmp_path):
    outside = tmp_path / "outside"
    bundle = Shelf(outside).add("home", State({"w": np.arange(2)}), Facts(kind="test", created=1))
    shelf = Shelf(tmp_path / "bundles")
    shelf.add("home", State({"w": np.arange(3)}), Facts(kind="test", created=2))
    (shelf.root / "linked").symlink_to(outside / "home")
    (shelf.root / "home" / bundle).symlink_to(outside / "home" / bundle)
    assert shelf.names() == ["home"]
    assert bundle not in {each.id for each in shelf.list("home")}
    for name in ("home", "linked"):
        with pytest.raises(InputError, match="is a link"):
            shelf.read(name, bundle)
