"""The runner: blocks, cuts, propensities, masks."""

import numpy as np
import pytest

from polyscene.core import answer
from polyscene.core.contracts import Run
from polyscene.core.slates import Slates
from polyscene.models.popular import Popular
from polyscene.models.random import Random
from polyscene.rank.linear_ranker import LinearRanker
from polyscene.rerank.mmr import Mmr
from polyscene.retrieve.step import Step
from polyscene.retrieve.union import Union
from polyscene.scenario import run as runner
from polyscene.scenario.file import Scenario
from polyscene.scenario.run import Pipeline, run
from polyscene.testing.worlds import ask, noise

DATA = noise()


@pytest.fixture(scope="module")
def pipeline() -> Pipeline:
    sources = Union(of=(Step(stage=Popular(), take=15), Step(stage=Random(), take=15)))
    stages = (sources, Step(stage=LinearRanker(), on_error="skip"), Mmr())
    return Scenario(scenario="home", stages=stages).fit(DATA, Run())


def test_blocks_change_nothing(pipeline: Pipeline, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = run(pipeline, ask(DATA)).slates
    monkeypatch.setattr(runner, "BLOCK_CELLS", 3 * DATA.size)
    blocked = run(pipeline, ask(DATA)).slates
    assert blocked.items.tolist() == whole.items.tolist()
    np.testing.assert_allclose(blocked.scores, whole.scores, atol=1e-5)
    assert 3 * DATA.size < answer.BLOCK_CELLS
    single = run(pipeline, ask(DATA).take(np.array([7]))).slates
    assert single.items.tolist() == whole.of(7).tolist()


def test_the_cut_is_what_is_wanted_and_unexplored_places_were_certain(pipeline: Pipeline) -> None:
    found = run(pipeline, ask(DATA, wanted=4)).slates
    assert found.lengths.max() == 4
    assert (found.columns["propensity"] == 1).all()


def test_a_pipeline_is_a_part_like_any_other(pipeline: Pipeline) -> None:
    queries = ask(DATA, wanted=3)
    first = Slates(np.arange(len(queries) + 1), np.full(len(queries), 28, np.int32), np.ones(len(queries)))
    found = pipeline(queries, first)
    assert (found.items[found.offsets[:-1]] == 28).all()
    assert [step.name for step in pipeline.sources()] == ["popular", "random"]


def test_the_mask_names_what_was_left_out(pipeline: Pipeline) -> None:
    queries = ask(DATA)
    plain, masked = run(pipeline, queries), run(pipeline, queries, skip=["linear_ranker"])
    assert plain.skipped == []
    assert masked.skipped == ["linear_ranker"]
    assert masked.slates.items.tolist() != plain.slates.items.tolist()


def test_no_queries_give_no_slates(pipeline: Pipeline) -> None:
    assert len(run(pipeline, ask(DATA).take(np.zeros(0, np.int64))).slates) == 0
