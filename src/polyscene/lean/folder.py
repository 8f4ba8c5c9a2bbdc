"""A lean model on disk: an ordinary bundle of kind ``lean``, of JSON and safetensors."""

from collections.abc import Sequence
from pathlib import Path
from typing import Protocol, runtime_checkable

from polyscene.artifacts.bundle import Facts, Manifest, read_bundle, write_bundle
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.lean.model import LeanModel

KIND = "lean"


def write_lean(folder: Path, model: LeanModel, ids: Sequence[str], created: int) -> Manifest:
    """Writes a model with the outside id of each of its rows; `created` is UTC ms.

    Raises:
        BundleError: The folder exists, or there is not one id for each row.
        StoreError: The disk refused.
    """
    if len(ids) != len(model.rows):
        raise BundleError(f"lean model: {len(model.rows)} items but {len(ids)} ids; give one for each row")
    state = model.state()
    meta = {**state.meta, "ids": list(ids)}
    return write_bundle(folder, Facts(kind=KIND, created=created), State(state.tensors, meta))


def read_lean(folder: Path) -> tuple[LeanModel, list[str]]:
    """The model and the ids of its rows.

    Raises:
        BundleError: Missing, damaged, or a bundle of another kind.
    """
    manifest, state = read_bundle(folder)
    if manifest.kind != KIND:
        raise BundleError(
            f"{folder}: a bundle of kind {manifest.kind!r}, expected {KIND!r}; `polyscene bundles export`"
            " makes one"
        )
    return LeanModel.of(state), list(state.meta.get("ids", []))


@runtime_checkable
class Leans(Protocol):
    """A part that has a lean form, once its weights are final."""

    @property
    def lean(self) -> LeanModel | None:
        """The form without torch; None where there is none."""
        ...

    @property
    def lean_is_whole(self) -> bool:
        """Whether that form ranks all that the part does; if not, it only helps the part to read."""
        ...
