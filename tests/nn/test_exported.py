"""Every torch kind as ONNX: the file answers as torch does, at sizes that the exporter never saw."""

import json

import numpy as np
import onnxruntime
import pytest
import torch
from torch import nn

from polyscene.core.config import fill, find
from polyscene.core.contracts import Run, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.models.table import KINDS
from polyscene.nn.exported import Graph, Graphs, write_onnx
from polyscene.testing import worlds

SMALL = {"dim": 8, "layers": 1, "epochs": 1, "max_len": 20, "batch_size": 256}
SETTINGS = {
    "bert4rec": SMALL,
    "hstu": SMALL,
    "gru4rec": SMALL,
    "two_tower": {name: value for name, value in SMALL.items() if name != "layers"},
    "foundation": {**SMALL, "clock": "query", "heads": 2},
    "mult_vae": {"dim": 4, "hidden": 8, "epochs": 1},
}


@pytest.mark.parametrize("kind", SETTINGS)
def test_the_file_answers_as_the_network_does(kind, tmp_path):
    config = fill(find(KINDS, kind, kind), SETTINGS[kind], kind, KINDS)
    world = worlds.checkerboard()
    run = Run(view=StillView(world.data.catalogue))
    part = config.load(config.fit(world.data, run).state(), run)
    assert isinstance(part, Graphs)
    path = tmp_path / "model.onnx"
    assert write_onnx(part.graph(), path, ["a", "ö"]) < 1e-4
    session = onnxruntime.InferenceSession(str(path))
    assert json.loads(session.get_modelmeta().custom_metadata_map["ids"]) == ["a", "ö"]
    with pytest.raises(BundleError, match="exists and is never overwritten"):
        write_onnx(part.graph(), path, [])


class Chance(nn.Module):
    def forward(self, inputs):
        return torch.rand_like(inputs["x"])


class Branching(nn.Module):
    def forward(self, inputs):
        return inputs["x"] if inputs["x"].sum() > 0 else -inputs["x"]


@pytest.mark.parametrize(
    ("module", "error", "says"),
    [
        (Chance(), BundleError, "ONNX and torch differ by .*, more than 0.0001; nothing was written"),
        (Branching(), ConfigError, "onnx: the network can't be written: "),
    ],
)
def test_nothing_is_kept_of_what_is_not_the_same(tmp_path, module, error, says):
    graph = Graph(
        module,
        lambda batch, length: {"x": torch.ones(batch, length)},
        {"x": ("batch", "length")},
        20,
        np.arange(20),
    )
    with pytest.raises(error, match=says):
        write_onnx(graph, tmp_path / "model.onnx", [])
    assert not list(tmp_path.iterdir())
