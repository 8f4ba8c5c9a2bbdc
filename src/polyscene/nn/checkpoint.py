"""Checkpoints: a training that was killed goes on from the last one and comes to the same end.

One file holds it all: safetensors whose header carries the numbers as JSON. It is written beside and
renamed, so it is whole or not there.
"""

import json
import logging
import time
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import safetensors
import safetensors.numpy
import torch

from polyscene.artifacts.files import TEMPORARY, refused, replace_synced
from polyscene.core.arrays import Array
from polyscene.core.config import Config, to_json
from polyscene.core.contracts import Data, Run
from polyscene.core.errors import BundleError, StoreError
from polyscene.dataset.digest import digest_of, digest_of_edges, digest_of_items
from polyscene.nn.course import Course

log = logging.getLogger(__name__)
FORMAT = 1
STATE = "state.safetensors"


def identity(config: Config, data: Data) -> str:
    """Sha256 (hex) of a config and all that it learns from."""
    things = [digest_of_items(each) for each in (data.catalogue, data.people)]
    told = [to_json(config), digest_of(data), *things, digest_of_edges(data.edges), data.at, data.clock]
    return sha256(msgspec.json.encode(told)).hexdigest()


@dataclass(frozen=True, slots=True)
class Fingerprint:
    """What must be equal for one training to go on where another stopped.

    Threads and matmul precision are not in it: they change results by rounding alone, and a machine that
    is busier after a restart may choose others.
    """

    parts: Mapping[str, Any]
    label: str

    @classmethod
    def of(cls, course: Course, run: Run, more: Mapping[str, Any]) -> "Fingerprint":
        """Of a training that has not begun, and whatever `more` (JSON data) shapes its result."""
        start = sha256(course.weights.flat.detach().cpu().numpy().tobytes())
        for _, buffer in course.model.named_buffers():
            start.update(buffer.cpu().numpy().tobytes())
        parts = {
            **asdict(course.plan),
            **more,
            "seed": run.seed,
            "steps": course.pace.steps,
            "shapes": {name: list(each.shape) for name, each in course.model.named_parameters()},
            "start": start.hexdigest(),
            "torch": torch.__version__,
            "device": course.weights.flat.device.type,
        }
        # What JSON makes of a value (tuples, infinity) is what a file will give back.
        return cls(json.loads(json.dumps(parts)), course.plan.label)

    @property
    def name(self) -> str:
        """Of the training's folder."""
        text = json.dumps(self.parts, sort_keys=True)
        return f"{self.label}-{sha256(text.encode()).hexdigest()[:16]}"


class Keeper:
    """Writes the checkpoints of one training into a folder of its own, and reads the last.

    A fit may hold several trainings, and the folder given may hold those of other settings: each has its
    own folder by its fingerprint, and what does not match is left alone.
    """

    def __init__(self, root: Path, fingerprint: Fingerprint, run: Run) -> None:
        self.folder = root / fingerprint.name
        self._fingerprint, self._run = fingerprint, run
        self._failed = False
        with refused(self.folder, "make a folder for checkpoints"):
            self.folder.mkdir(parents=True, exist_ok=True)
            for torn in self.folder.glob(f"{TEMPORARY}*"):
                torn.unlink()
        self._written = time.monotonic()

    def resume(self, course: Course) -> None:
        """Puts `course` where the last checkpoint was, if there is one; ``run.warnings`` says so.

        Raises:
            BundleError: The file is damaged.
        """
        path = self.folder / STATE
        if not path.exists():
            self._tell_of_others()
            return
        meta, tensors = _read(path)
        course.restore(meta["facts"], tensors)
        went_on = (
            f"{course.plan.label}: went on from step {course.steps:,} of {course.pace.steps:,} in {path}"
        )
        self._run.warnings.append(f"{went_on}; the seconds of the fit count from there")
        then, now = meta["rounding"], _rounding()
        if then != now:
            self._run.warnings.append(
                f"{course.plan.label}: the checkpoint was made with {then}, now it is {now}: the result is"
                " that of an unbroken training up to rounding only"
            )

    def keep_when_due(self, course: Course) -> None:
        """Writes a checkpoint if the last one is old enough."""
        if time.monotonic() - self._written >= self._run.training.checkpoint_s:
            self.keep(course)

    def keep(self, course: Course) -> None:
        """Writes a checkpoint. A disk that refuses is a warning: the training itself is worth more."""
        tensors = course.tensors()
        meta = {
            "format": FORMAT,
            "fingerprint": self._fingerprint.parts,
            "facts": course.facts(),
            "rounding": _rounding(),
            "sha256": _digest(tensors),
        }
        path = self.folder / STATE
        try:
            with refused(path, "write the checkpoint"):
                replace_synced(path, safetensors.numpy.save(tensors, {"checkpoint": json.dumps(meta)}))
        except StoreError as problem:
            log.warning("%s", problem)
            if not self._failed:
                self._run.warnings.append(str(problem))
            self._failed = True
        self._written = time.monotonic()

    def _tell_of_others(self) -> None:
        for path in sorted(self.folder.parent.glob(f"{self._fingerprint.label}-*/{STATE}")):
            try:
                meta, _ = _read(path)
            except BundleError as problem:
                log.warning("%s", problem)
                continue
            ours, theirs = self._fingerprint.parts, meta["fingerprint"]
            names = [name for name in ours if ours[name] != theirs.get(name)]
            if not meta["facts"]["finished"]:
                self._run.warnings.append(
                    f"{self._fingerprint.label}: began anew, for the checkpoint in {path.parent} differs in"
                    f" {', '.join(names)}; delete that folder if it is of no more use"
                )


def keeper_of(course: Course, run: Run, fingerprint: Fingerprint) -> Keeper | None:
    """Who keeps the checkpoints that `run` asks for; `course` then stands where the last one was.

    Raises:
        BundleError: The checkpoint to go on from is damaged.
    """
    if run.training.checkpoint is None:
        return None
    if not course.plan.identity:
        told = f"{course.plan.label}: does not say what it learns from, so no checkpoint is kept"
        run.warnings.append(told)
        return None
    keeper = Keeper(run.training.checkpoint, fingerprint, run)
    keeper.resume(course)
    return keeper


def forget(root: Path) -> None:
    """Deletes the checkpoints below a folder, once their result is kept elsewhere; curves stay."""
    for path in root.glob(f"*/{STATE}"):
        path.unlink()


def _read(path: Path) -> tuple[dict[str, Any], dict[str, Array]]:
    remedy = f"delete {path.parent} to begin anew"
    with refused(path, "read the checkpoint"):
        try:
            with safetensors.safe_open(path, "np") as file:
                meta: dict[str, Any] = json.loads((file.metadata() or {}).get("checkpoint", "{}"))
                tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - no dict
        except (safetensors.SafetensorError, ValueError) as problem:
            raise BundleError(f"{path}: no readable checkpoint: {problem}; {remedy}") from problem
    if meta.get("format") != FORMAT:
        raise BundleError(f"{path}: format {meta.get('format')}, expected {FORMAT}; {remedy}")
    if meta["sha256"] != _digest(tensors):
        raise BundleError(f"{path}: was changed after it was written (its digest differs); {remedy}")
    return meta, tensors


def _digest(tensors: Mapping[str, Array]) -> str:
    digest = sha256()
    for name in sorted(tensors):
        digest.update(name.encode())
        digest.update(tensors[name].tobytes())
    return digest.hexdigest()


def _rounding() -> str:
    return f"{torch.get_num_threads()} threads at {torch.get_float32_matmul_precision()} precision"
