import json
import subprocess
import sys

import numpy as np
import pytest

from polyscene.artifacts.bundle import Facts, write_bundle
from polyscene.core.contracts import Encodes, Run, State
from polyscene.core.errors import BundleError, InputError
from polyscene.core.memo import memo
from polyscene.core.queries import Queries
from polyscene.lean.__main__ import recommend
from polyscene.lean.folder import read_lean, write_lean
from polyscene.lean.model import LeanModel
from polyscene.lean.packing import packed, unpacked
from polyscene.lean.vectors import ByteVectors, FloatVectors
from polyscene.models.foundation import Foundation
from polyscene.testing import worlds

SMALL = {"dim": 16, "layers": 2, "heads": 2, "epochs": 1, "max_len": 12, "batch_size": 256}


@pytest.fixture(scope="module")
def world():
    return worlds.chain()


@pytest.fixture(scope="module")
def model(world):
    config = Foundation(**SMALL)
    return config.load(config.fit(world.data, Run()).state(), Run()).lean


@pytest.mark.parametrize(("block", "clock"), [("ligr", "query"), ("hstu", "order"), ("sasrec", "last")])
def test_it_scores_as_the_part_it_was_made_of(world, block, clock):
    config = Foundation(**SMALL, block=block, clock=clock)
    part = config.fit(world.data, Run())
    lean = config.load(part.state(), Run()).lean
    expected = part.score_all(world.queries)
    np.testing.assert_allclose(lean.score_all(world.queries), expected, rtol=1e-4, atol=1e-4)
    stateful = lean.remembering(1)
    for _ in range(2):
        np.testing.assert_allclose(stateful.score_all(world.queries), expected, rtol=1e-4, atol=1e-4)
    assert len(stateful.states) > 0


def test_a_history_is_read_once_a_request(model, world):
    assert isinstance(model, Encodes)
    with memo():
        first = model.encode(world.queries)
        model.score_all(world.queries)
        assert model.encode(world.queries) is first


@pytest.mark.parametrize(("limit", "kept_as"), [(0, ByteVectors), (1 << 20, FloatVectors)])
def test_int8_takes_a_quarter_and_scores_nearly_the_same(model, world, monkeypatch, limit, kept_as):
    monkeypatch.setattr("polyscene.lean.vectors.SMALL", limit)
    small = model.in_bytes()
    assert isinstance(small.backbone.items, kept_as)
    assert small.tensors["evidence.ease"].dtype == np.int8
    left, right = model.score_all(world.queries), small.score_all(world.queries)
    np.testing.assert_allclose(left, right, atol=0.05 * np.abs(left).max())
    sizes = [
        sum(each.nbytes for name, each in one.tensors.items() if name.endswith(".weight"))
        for one in (model, small)
    ]
    assert sizes[1] < 0.4 * sizes[0]


@pytest.mark.parametrize("rows", [0, 1, 3000])
def test_one_byte_vectors_score_as_the_floats_they_stand_for(rows):
    rng = np.random.default_rng(0)
    tensors = packed({"items": rng.normal(size=(rows, 8)).astype(np.float32)})
    if rows:
        tensors["items"][0] = 0
    bytewise = ByteVectors(tensors["items"], tensors["items:scale"])
    floats = FloatVectors(unpacked(tensors)["items"])
    queries = rng.normal(size=(3, 8)).astype(np.float32)
    chosen = rng.integers(0, rows, 5) if rows else np.zeros(0, np.int64)
    np.testing.assert_allclose(bytewise.scores(queries), floats.scores(queries), rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(bytewise.of(chosen), floats.of(chosen))


def test_a_row_is_off_by_half_a_step_at_most():
    values = np.random.default_rng(0).normal(size=(50, 8)).astype(np.float32)
    values[3] = 0
    error = np.abs(unpacked(packed({"items": values}))["items"] - values)
    assert (error <= np.abs(values).max(1, keepdims=True) / 254 + 1e-7).all()


WITHOUT_TORCH = """
import sys
class No:
    def find_spec(self, name, path=None, target=None):
        if name == "torch" or name.startswith("torch."):
            raise ImportError("torch is not there")
sys.meta_path.insert(0, No())
import runpy
sys.argv = ["polyscene.lean", sys.argv[1]]
runpy.run_module("polyscene.lean", run_name="__main__")
"""


def run(folder, lines):
    command = [sys.executable, "-c", WITHOUT_TORCH, str(folder)]
    return subprocess.run(command, input=lines, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("int8", [False, True])
def test_an_exported_model_answers_where_there_is_no_torch(tmp_path, model, int8):
    model = model.in_bytes() if int8 else model
    ids = [f"item {code}" for code in model.rows.codes]
    write_lean(tmp_path / "out", model, ids, created=0)
    again, names = read_lean(tmp_path / "out")
    assert names == ids
    lines = ['["item 1", "item 2"]', '[{"item": "item 3", "time": 5000, "value": 1}, "nobody knows"]', "[]"]
    done = run(tmp_path / "out", "\n".join(lines))
    assert done.returncode == 0, done.stderr
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    assert [len(answer) for answer in answers] == [10, 10, 10]
    assert not {"item 1", "item 2"} & set(answers[0])
    queries = Queries.of_histories(
        worlds.chain().queries.history.take(np.array([0])), int(model.rows.codes.max()) + 1
    )
    np.testing.assert_allclose(again.score_all(queries), model.score_all(queries), atol=1e-6)


@pytest.mark.parametrize("line", ["{", '[{"no": 1}]', "5", '[{"item": "a", "time": "noon"}]'])
def test_what_is_wrong_with_a_line_is_said(model, line):
    with pytest.raises(InputError, match="expected a JSON list of ids"):
        recommend(model, {}, line)


def test_what_is_wrong_with_a_folder_is_said(tmp_path, model):
    done = run(tmp_path / "nothing", "")
    assert done.returncode == 1
    assert done.stderr.startswith("polyscene.lean: ")
    with pytest.raises(BundleError, match="12 items but 1 ids; give one for each row"):
        write_lean(tmp_path / "other", model, ["a"], created=0)
    write_bundle(tmp_path / "other", Facts(kind="ease", created=0), State())
    with pytest.raises(BundleError, match="a bundle of kind 'ease', expected 'lean'"):
        read_lean(tmp_path / "other")


def test_a_state_without_form_is_refused(model):
    with pytest.raises(BundleError, match="'form' is missing or wrong; export it again"):
        LeanModel.of(State(model.tensors))
    with pytest.raises(BundleError, match="block"):
        LeanModel.of(State(model.tensors, {"form": {"max_len": 3, "block": "cnn"}}))
