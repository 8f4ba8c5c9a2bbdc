"""A compressed bundle serves, a roll-back leads to the one before; a fresh model is measured twice."""

import json

import polars as pl
import pytest

from polyscene.compress.methods import method_of
from polyscene.core.clock import FixedClock
from polyscene.core.contracts import silent
from polyscene.core.errors import ConfigError, NotFoundError
from polyscene.jobs.compress import BundleRequest, compress_bundle, compress_model
from polyscene.jobs.engine import Engine
from polyscene.jobs.evaluate import EvaluateRequest
from polyscene.jobs.train import TrainRequest, train
from polyscene.lean.folder import read_lean
from polyscene.scenario.ask import Ask

SCENARIO = """
scenario = "sequence"
slate = 3

[[stages]]
kind = "union"
of = [
  { kind = "popular", take = 5 },
  { kind = "sasrec", name = "next", dim = 8, layers = 1, epochs = 1, max_len = 4, take = 5 },
]
"""
INT8 = (method_of("int8"),)


@pytest.fixture
def circle_events(tmp_path):
    """60 users walk round a circle of 12 items."""
    rows = [
        {"user": f"u{user}", "item": f"i{(user + step) % 12}", "time": 1_700_000_000 + user * 100 + step}
        for user in range(60)
        for step in range(6)
    ]
    pl.DataFrame(rows).write_csv(tmp_path / "events.csv")
    return tmp_path


@pytest.fixture
def sequence(copied):
    (copied.root / "scenarios" / "sequence.toml").write_text(SCENARIO, encoding="utf-8")
    train(copied, TrainRequest(names=["sequence"]), silent)
    return copied


def test_a_compressed_bundle_serves_and_the_one_before_comes_back(sequence):
    shelf = sequence.shelf()
    whole = shelf.current("sequence")
    request = BundleRequest(scenario="sequence", methods=INT8, source="next", force=True)
    result = compress_bundle(sequence, request)
    assert shelf.current("sequence") == result["bundle"] != whole
    assert result["after"]["size_mb"] < result["before"]["size_mb"]
    assert result["after"]["scan_ms"] > 0
    assert abs(result["gap"]["difference"]) < 0.1
    manifest, state = shelf.read("sequence", result["bundle"])
    assert manifest.parent == whole
    assert state.tensors["union/next/items"].dtype == "int8"
    with Engine.open(sequence.root, clock=FixedClock(1_790_000_000_000)) as engine:
        answer = engine.recommend(Ask(scenario="sequence", user="u1"))
        assert answer.bundle == result["bundle"]
        assert len(answer.items) == 3
    with pytest.raises(ConfigError, match="'next' is compressed already"):
        compress_bundle(sequence, request)
    assert shelf.roll_back("sequence") == whole


def test_which_model_is_asked_for(sequence):
    with pytest.raises(ConfigError, match=r"which model.*--source: next, popular"):
        compress_bundle(sequence, BundleRequest(scenario="sequence", methods=INT8))
    with pytest.raises(NotFoundError, match="no source 'nexd'; did you mean 'next'"):
        compress_bundle(sequence, BundleRequest(scenario="sequence", methods=INT8, source="nexd"))
    with pytest.raises(NotFoundError, match="'sequense' has no bundle; did you mean 'sequence'"):
        compress_bundle(sequence, BundleRequest(scenario="sequense", methods=INT8))


def test_a_fresh_model_is_compared_with_itself_and_written(circle_events, tmp_path):
    settings = {"dim": "8", "layers": "1", "epochs": "2", "max_len": "8"}
    request = EvaluateRequest(data=str(circle_events), model="sasrec", settings=settings)
    result = compress_model(request, INT8, silent, tmp_path / "out")
    assert json.loads(json.dumps(result["methods"])) == [{"kind": "int8"}]
    assert result["before"]["metrics"]["ndcg@10"] == pytest.approx(
        result["after"]["metrics"]["ndcg@10"], abs=0.1
    )
    assert result["before"]["encode_ms"] is not None
    assert len(read_lean(tmp_path / "out")[1]) == 12
    with pytest.raises(ConfigError, match="'ease' has no lean form to write"):
        compress_model(EvaluateRequest(data=str(circle_events), model="ease"), INT8, silent, tmp_path)
