"""A bundle's sequence model goes out in its lean form, with the ids of its items."""

import json

import numpy as np
import onnxruntime
import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import BundleError, NotFoundError
from polyscene.jobs.bundles import export, export_onnx
from polyscene.jobs.train import TrainRequest, train
from polyscene.lean.folder import read_lean

MODEL = '{ kind = "sasrec", dim = 8, layers = 1, epochs = 1, max_len = 4, take = 5 }'
SCENARIO = f"""
scenario = "sequence"
slate = 3

[[stages]]
kind = "union"
of = [{{ kind = "popular", take = 5 }}, {MODEL}]
"""


@pytest.mark.parametrize("int8", [False, True])
def test_the_model_that_serves_is_written_with_its_ids(copied, tmp_path, int8):
    (copied.root / "scenarios" / "sequence.toml").write_text(SCENARIO, encoding="utf-8")
    train(copied, TrainRequest(names=["sequence"], holdout=False), silent)
    manifest = export(copied.root, "sequence", tmp_path / "out", int8=int8)
    assert manifest.kind == "lean"
    model, ids = read_lean(tmp_path / "out")
    assert sorted(ids) == sorted(f"i{number}" for number in range(16))
    assert len(model.rows) == 16
    assert ("items:scale" in model.tensors) == int8
    with pytest.raises(BundleError, match="never overwritten"):
        export(copied.root, "sequence", tmp_path / "out")


def test_a_scenario_without_such_a_model_is_named(copied, tmp_path):
    with pytest.raises(
        NotFoundError, match="no source of 'popular' has a lean form; sasrec and foundation"
    ):
        export(copied.root, "popular", tmp_path / "out")
    with pytest.raises(NotFoundError, match=r"'populer' has no bundle; .*did you mean 'popular'"):
        export(copied.root, "populer", tmp_path / "out")


def test_a_network_is_written_as_onnx_with_its_ids(copied, tmp_path):
    (copied.root / "scenarios" / "sequence.toml").write_text(SCENARIO, encoding="utf-8")
    train(copied, TrainRequest(names=["sequence"], holdout=False), silent)
    path = tmp_path / "model.onnx"
    assert export_onnx(copied.root, "sequence", path) < 1e-4
    session = onnxruntime.InferenceSession(str(path))
    ids = json.loads(session.get_modelmeta().custom_metadata_map["ids"])
    assert sorted(ids) == sorted(f"i{number}" for number in range(16))
    (scores,) = session.run(None, {"rows": np.array([[3, 5, 1]]), "last": np.array([2])})
    assert scores.shape == (1, 16)
    with pytest.raises(NotFoundError, match="'popular' has no torch network to write as ONNX"):
        export_onnx(copied.root, "sequence", tmp_path / "other.onnx", "popular")
    with pytest.raises(NotFoundError, match="no source 'sasrek'; did you mean 'sasrec'"):
        export_onnx(copied.root, "sequence", tmp_path / "other.onnx", "sasrek")
