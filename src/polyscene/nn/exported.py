"""Networks as ONNX files, each held against its torch twin before it is kept.

Legend: B batch, L length, R item rows.
"""

import json
import logging
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.arrays import Codes
from polyscene.core.errors import BundleError, ConfigError

TOLERANCE = 1e-4
"""Largest difference between torch and ONNX that is let pass, on the scale of the largest score."""
AXES = ("batch", "length")
SEEN = (3, 7)
"""Sizes that the network is followed with; neither 0 nor 1, which would be taken for constants."""
HELD = ((1, 1), (2, 5), (4, 20))
"""Batches and lengths that both are asked with."""
Inputs = dict[str, Tensor]


@dataclass(frozen=True, slots=True)
class Graph:
    """A network as a function of named tensors.

    `module` takes a dict of inputs and gives (B, R) scores. `examples` makes inputs of a batch and a
    length; `axes` names the dynamic axes of each input, of `AXES`, and None for those that stay.
    `longest`: the greatest length it can read. `codes` (R,) of the items that the scores are for.
    """

    module: nn.Module
    examples: Callable[[int, int], Inputs]
    axes: Mapping[str, tuple[str | None, ...]]
    longest: int
    codes: Codes


@runtime_checkable
class Graphs(Protocol):
    """A part whose network can be written as a graph."""

    def graph(self) -> Graph:
        """Its network, in evaluation mode."""
        ...


def write_onnx(graph: Graph, path: Path, ids: Sequence[str]) -> float:
    """Writes a graph and gives the largest difference from torch; `ids` of the item rows stand inside.

    Raises:
        ConfigError: The extra ``onnx`` is not installed, or the network has an operation that ONNX has not.
        BundleError: The file exists, or what was written answers differently; then nothing is kept.
    """
    if path.exists():
        raise BundleError(f"{path}: exists and is never overwritten; name another file")
    beside = path.with_name(path.name + ".part")
    try:
        program = _followed(graph)
        program.model.metadata_props["ids"] = json.dumps(list(ids), ensure_ascii=False)
        path.parent.mkdir(parents=True, exist_ok=True)
        program.save(beside, external_data=False)
        worst = difference(graph, beside)
        if not worst <= TOLERANCE:
            raise BundleError(
                f"{path}: ONNX and torch differ by {worst:.2g}, more than {TOLERANCE:g}; nothing was"
                " written: report it with the model's settings"
            )
        beside.rename(path)
    finally:
        beside.unlink(missing_ok=True)
    return worst


def difference(graph: Graph, path: Path) -> float:
    """The largest difference of any score, over the largest score, in batches and lengths of all sizes."""
    runtime = _runtime()
    options = runtime.SessionOptions()
    options.log_severity_level = 3
    session = runtime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    worst = 0.0
    for batch, length in HELD:
        inputs = graph.examples(batch, min(length, graph.longest))
        with torch.inference_mode():
            expected: Any = graph.module(inputs).numpy()
        (found,) = session.run(None, {name: each.numpy() for name, each in inputs.items()})
        if found.shape != expected.shape:
            return float("inf")
        scale = max(1.0, float(np.abs(expected).max(initial=0)))
        worst = max(worst, float(np.abs(found - expected).max(initial=0)) / scale)
    return worst


def _followed(graph: Graph) -> Any:
    """The network as an ONNX program."""
    _runtime()
    inputs = graph.examples(SEEN[0], min(SEEN[1], graph.longest))
    dims = dict.fromkeys(AXES, torch.export.Dim.DYNAMIC)
    shapes = {
        name: {place: dims[axis] for place, axis in enumerate(axes) if axis is not None}
        for name, axes in graph.axes.items()
    }
    logger = logging.getLogger("torch.onnx")
    before = logger.level
    logger.setLevel(logging.ERROR)  # it tells of operators of other packages
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # deprecations inside of the exporter
            return torch.onnx.export(
                graph.module.eval(),
                kwargs={"inputs": inputs},
                dynamo=True,
                dynamic_shapes={"inputs": shapes},
                input_names=list(inputs),
                output_names=["scores"],
                verbose=False,
            )
    except torch.onnx.OnnxExporterError as problem:
        why = str(problem.__cause__ or problem).strip().splitlines()[0]
        raise ConfigError(
            f"onnx: the network can't be written: {why}; `polyscene bundles export` without --onnx writes"
            " the lean form of sequence models"
        ) from problem
    finally:
        logger.setLevel(before)


def _runtime() -> Any:
    try:
        import onnxruntime
        import onnxscript  # noqa: F401 - torch's exporter wants it
    except ImportError as problem:
        raise ConfigError(f"onnx: {problem}; install the extra: pip install 'polyscene[onnx]'") from problem
    return onnxruntime
