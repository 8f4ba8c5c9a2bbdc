"""A bundle: one fitted part as a folder of JSON and safetensors, checked byte for byte when it is read."""

import json
from collections.abc import Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import safetensors.numpy
from safetensors import SafetensorError

from polyscene import __version__
from polyscene.artifacts.files import new_folder, refused, sync_folder, write_synced
from polyscene.core.arrays import Array
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError

FORMAT = 1
"""Number of the layout written here; older ones are read, newer ones refused."""
MANIFEST, TENSORS, META = "manifest.json", "tensors.safetensors", "meta.json"
DTYPES = frozenset({"bool", "int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"}) | {
    "float16",
    "float32",
    "float64",
}
_NO_DIGEST = "0" * 64


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """What whoever fitted a part says about it.

    `kind` and `config` give the untrained part; `data` is the digest of what it was fitted on, and
    `log_position` how far into the event log that reached (None: not from a log). `parent`: id of the
    bundle it follows. `created`: UTC ms. A NaN metric is kept as None. `notes`: warnings of the fit.
    """

    kind: str
    created: int
    config: Mapping[str, Any] = {}
    data: str = ""
    log_position: int | None = None
    metrics: Mapping[str, float | None] = {}
    parent: str | None = None
    notes: tuple[str, ...] = ()


class FileFacts(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Size in bytes and SHA-256 of a file of the bundle."""

    size: int
    sha256: str


class Manifest(Facts, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The facts, and what the folder must hold.

    `format`: layout number. `code`: version of polyscene that wrote it. `digest`: SHA-256 of the manifest
    file itself with this field as zeros; through `files` it stands for the whole bundle.
    """

    format: int
    code: str
    files: Mapping[str, FileFacts]
    digest: str


def write_bundle(folder: Path, facts: Facts, state: State) -> Manifest:
    """Writes a bundle so that `folder` is either whole or not there, also after a crash.

    Raises:
        BundleError: The folder exists, or the state holds what is no tensor or no JSON.
        StoreError: The disk refused.
    """
    if folder.exists():
        raise BundleError(f"{folder}: a bundle is never overwritten; give a new folder")
    with refused(folder, "write"), new_folder(folder.parent) as beside:
        manifest = fill(beside, facts, state)
        publish(beside, folder)
    return manifest


def fill(folder: Path, facts: Facts, state: State) -> Manifest:
    """Writes the files of a bundle into an empty folder and syncs them."""
    files = _encode(state)
    for name, content in files.items():
        write_synced(folder / name, content)
    manifest = Manifest(
        **{name: getattr(facts, name) for name in Facts.__struct_fields__},
        format=FORMAT,
        code=__version__,
        files={
            name: FileFacts(size=len(content), sha256=sha256(content).hexdigest())
            for name, content in files.items()
        },
        digest=_NO_DIGEST,
    )
    text = msgspec.json.format(msgspec.json.encode(manifest), indent=2)
    digest = sha256(text).hexdigest()
    write_synced(folder / MANIFEST, _with_digest(text, _NO_DIGEST, digest))
    sync_folder(folder)
    return msgspec.structs.replace(manifest, digest=digest)


def publish(beside: Path, folder: Path) -> None:
    """Renames a filled folder to its own name."""
    beside.rename(folder)
    sync_folder(folder.parent)


def read_bundle(folder: Path) -> tuple[Manifest, State]:
    """The manifest and state of a bundle; every digest is checked before anything is parsed.

    Raises:
        BundleError: Missing, damaged, foreign or of a newer format; the text names the file.
        StoreError: The disk refused.
    """
    manifest = read_manifest(folder)
    if not {TENSORS} <= set(manifest.files) <= {TENSORS, META}:
        raise BundleError(
            f"{folder / MANIFEST}: expected {TENSORS} and {META}, it names {sorted(manifest.files)}"
        )
    with refused(folder, "read"):
        present = {path.name for path in folder.iterdir()} - {MANIFEST}
        for name in sorted(present - set(manifest.files)):
            raise BundleError(f"{folder / name}: not in the manifest; take it out of the bundle")
        contents = {name: _checked(folder / name, facts) for name, facts in manifest.files.items()}
    return manifest, _decode(folder, contents)


def read_manifest(folder: Path) -> Manifest:
    """The manifest of a bundle, held against its own digest. Raises as `read_bundle`."""
    path = folder / MANIFEST
    with refused(path, "read"):
        if not path.is_file() or path.is_symlink():
            raise BundleError(f"{path}: missing; {folder} is no bundle or was damaged: take another one")
        text = path.read_bytes()
    try:
        number = json.loads(text)["format"]
        if isinstance(number, int) and number > FORMAT:
            raise BundleError(f"{path}: format {number} is newer than {FORMAT}; upgrade polyscene")
        manifest = msgspec.json.decode(text, type=Manifest)
    except (ValueError, KeyError, TypeError) as problem:
        raise BundleError(
            f"{path}: no manifest ({problem}); the bundle is damaged: take another one"
        ) from problem
    if sha256(_with_digest(text, manifest.digest, _NO_DIGEST)).hexdigest() != manifest.digest:
        raise BundleError(
            f"{path}: was changed after it was written (its digest differs): take another bundle"
        )
    return manifest


def _with_digest(text: bytes, old: str, new: str) -> bytes:
    return text.replace(f'"digest": "{old}"'.encode(), f'"digest": "{new}"'.encode())


def _checked(path: Path, facts: FileFacts) -> bytes:
    if not path.is_file() or path.is_symlink():
        raise BundleError(f"{path}: missing; the bundle is damaged: take another one")
    content = path.read_bytes()
    if len(content) != facts.size:
        raise BundleError(f"{path}: expected {facts.size} bytes, found {len(content)}: take another bundle")
    if sha256(content).hexdigest() != facts.sha256:
        raise BundleError(f"{path}: its SHA-256 differs from the manifest's: take another bundle")
    return content


def _encode(state: State) -> dict[str, bytes]:
    files = {
        TENSORS: safetensors.numpy.save({name: _tensor(name, each) for name, each in state.tensors.items()})
    }
    if state.meta:
        try:
            text = json.dumps(state.meta, allow_nan=False, ensure_ascii=False, sort_keys=True, indent=1)
        except (TypeError, ValueError) as problem:
            raise BundleError(
                f"{META}: the meta of a part must be JSON: {problem}; mend its state()"
            ) from problem
        files[META] = text.encode()
    return files


def _tensor(name: str, tensor: Array) -> Array:
    if not isinstance(tensor, np.ndarray) or tensor.dtype.name not in DTYPES:
        what = tensor.dtype if isinstance(tensor, np.ndarray) else type(tensor).__name__
        raise BundleError(
            f"{TENSORS}: {name!r}: expected an array of numbers or booleans, got {what}; texts go into meta"
        )
    # safetensors writes the memory as it lies, so strided and Fortran arrays must be laid out first
    return np.asarray(tensor, tensor.dtype.newbyteorder("="), order="C")


def _decode(folder: Path, contents: Mapping[str, bytes]) -> State:
    try:
        tensors = safetensors.numpy.load(contents[TENSORS])
    except SafetensorError as problem:
        raise BundleError(f"{folder / TENSORS}: not readable: {problem}; take another bundle") from problem
    return State(tensors, json.loads(contents[META]) if META in contents else {})
