"""The canary: what is unsound is not promoted, by nobody and on no way, unless by force."""

import time
from dataclasses import replace

import msgspec
import numpy as np
import pytest

from polyscene.artifacts.bundle import Facts
from polyscene.core.contracts import Effect, State, silent
from polyscene.core.errors import CanaryError, ConflictError, NotFoundError
from polyscene.core.slates import Slates
from polyscene.jobs import bundles as bundles_job
from polyscene.jobs import canary as canary_module
from polyscene.jobs.train import TrainRequest, train
from polyscene.observe.counters import CANARY_REFUSALS
from polyscene.retrieve.step import StepPart
from polyscene.scenario.ask import Ask

NOW = 1_790_000_000_000


def shelve(space, name="popular", metrics=None, **changes):
    """Another bundle of a scenario: the current one with some tensors changed."""
    shelf = space.shelf()
    manifest, state = shelf.read(name, shelf.current(name))
    tensors = {key: changes.get(key.split("/")[-1], array) for key, array in state.tensors.items()}
    facts = {field: getattr(manifest, field) for field in Facts.__struct_fields__}
    facts |= {"created": manifest.created + 1, "parent": None, "metrics": metrics or {}}
    return shelf.add(name, State(tensors, state.meta), Facts(**facts))


def refusals(name, check):
    return CANARY_REFUSALS.labels(name, check)._value.get()


@pytest.fixture
def broken(copied):
    """A bundle whose scores are not numbers."""
    return shelve(copied, counts=np.full(16, np.nan))


def test_a_sound_bundle_passes_every_check(copied, running):
    bundle = shelve(copied)
    verdict = running.lineup.canary().examine("popular", bundle)
    assert not verdict.failed
    assert {check.name for check in verdict.checks} == {
        "errors", "scores", "empty", "load", "metric", "latency",
    }  # fmt: skip


def test_scores_that_are_no_numbers_are_refused_by_the_service_and_told_with_figures(running, broken):
    before, counted = running.lineup.shelf.current("popular"), refusals("popular", "errors")
    with pytest.raises(CanaryError, match=r"errors: 25 of 25 asks failed, the first with .*not numbers"):
        running.bundles.promote("popular", broken)
    assert running.lineup.shelf.current("popular") == before
    assert refusals("popular", "errors") == counted + 1


def test_force_promotes_it_and_the_history_says_so(copied, running, broken):
    change = running.bundles.promote("popular", broken, force=True)
    assert "25 of 25" in change.forced
    assert running.bundles.history("popular")[0].forced == change.forced
    answer = running.recommend(Ask(scenario="home", user="u1", k=3))
    assert len(answer.items) == 3  # home has other sources; popular is broken by its owner's wish
    back = running.bundles.roll_back("popular", instead_of=broken)
    assert back.bundle == running.recommend(Ask(scenario="popular")).bundle


def test_the_command_refuses_too(copied, broken):
    with pytest.raises(CanaryError):
        bundles_job.promote(copied.root, "popular", broken)
    assert bundles_job.promote(copied.root, "popular", broken, force=True).forced
    assert copied.shelf().current("popular") == broken


def test_what_was_promoted_past_the_canary_is_not_taken_up(copied, running, broken):
    serving = running.recommend(Ask(scenario="popular")).bundle
    copied.shelf().promote("popular", broken)
    running.lineup.take_up()
    assert running.recommend(Ask(scenario="popular")).bundle == serving
    (problem,) = running.status()["problems"]
    assert "25 of 25 asks failed" in problem
    copied.shelf().roll_back("popular")
    copied.shelf().promote("popular", broken, forced="by hand")
    running.lineup._refused.clear()
    running.lineup.take_up()
    assert running.lineup.served["popular"].bundle == broken


def test_training_keeps_a_bundle_that_fails_but_does_not_promote_it(copied):
    first = shelve(copied, metrics={"ndcg@10": 100.0})
    bundles_job.promote(copied.root, "popular", first)
    plenty = msgspec.structs.replace(copied.train, floor=0.8)
    space = replace(copied, train=plenty)
    (report,) = train(space, TrainRequest(names=["popular"]), silent)
    assert report.refused == ""  # too few users to measure, so nothing to compare
    bundles_job.promote(copied.root, "popular", first)
    worse = shelve(copied, metrics={"ndcg@10": 79.0})
    with pytest.raises(
        CanaryError, match=r"metric: ndcg@10 is 79\.0000, the current bundle's is 100\.0000"
    ):
        bundles_job.promote(copied.root, "popular", worse)
    near = shelve(copied, metrics={"ndcg@10": 81.0})
    assert not bundles_job.promote(copied.root, "popular", near).forced


def test_a_damaged_bundle_is_a_failed_check_and_an_unknown_one_is_not_found(copied, running):
    bundle = shelve(copied)
    tensors = copied.root / "bundles" / "popular" / bundle / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    with pytest.raises(CanaryError, match=r"load: .*tensors\.safetensors"):
        running.bundles.promote("popular", bundle)
    with pytest.raises(NotFoundError):
        running.bundles.promote("popular", "20200101T000000000-00000000")
    with pytest.raises(NotFoundError, match="no bundles of a scenario 'nowhere'"):
        running.bundles.promote("nowhere", bundle)


def test_empty_slates_are_refused_where_the_current_bundle_finds_items(copied, running):
    bundle = shelve(copied, "next", values=np.zeros(0, np.float32))
    loaded = running.lineup.loader.load("next", running.lineup.shelf.current("next"))
    ours = replace(loaded.served, pipeline=_with(loaded.served.pipeline, _Nothing()))
    theirs = loaded.served
    canary = running.lineup.canary()
    checks = canary_module._sound(*canary._duel(ours, theirs))
    assert [check.name for check in checks if not check.passed] == ["empty"]
    assert bundle


def test_a_slow_pipeline_is_refused(copied, running):
    theirs = running.lineup.served["popular"]
    ours = replace(theirs, pipeline=_with(theirs.pipeline, _Slow()))
    samples = running.lineup.canary()._duel(ours, theirs)
    check = canary_module._latency(*samples)
    assert not check.passed
    assert canary_module._latency(*samples[::-1]).passed


def test_infinite_scores_are_refused(running):
    theirs = running.lineup.served["popular"]
    ours = replace(theirs, pipeline=_with(theirs.pipeline, _Endless()))
    checks = canary_module._sound(*running.lineup.canary()._duel(ours, theirs))
    assert [check.name for check in checks if not check.passed] == ["scores"]


def test_promoting_compares_before_it_sets(copied, running):
    current = running.lineup.shelf.current("popular")
    bundle = shelve(copied)
    with pytest.raises(ConflictError, match="somebody was quicker"):
        running.bundles.promote("popular", bundle, instead_of=bundle)
    running.bundles.promote("popular", bundle, instead_of=current)
    assert running.recommend(Ask(scenario="popular")).bundle == bundle


def test_a_bundle_in_detail(copied, running):
    bundle = shelve(copied, metrics={"ndcg@10": 0.5})
    running.bundles.promote("popular", bundle)
    found = running.bundles.detail("popular", bundle)
    folder = copied.root / "bundles" / "popular" / bundle
    assert found.size == sum(
        path.stat().st_size for path in folder.iterdir() if path.name != "manifest.json"
    )
    assert (found.current, found.metrics["ndcg@10"]) == (True, 0.5)
    assert found.config["scenario"] == "popular"
    with pytest.raises(NotFoundError, match="has no bundle 'x'"):
        running.bundles.detail("popular", "x")


class _Last:
    """A stage behind the others."""

    effect = frozenset({Effect.SCORES})

    def state(self):
        return State()


class _Slow(_Last):
    def __call__(self, queries, slates):
        time.sleep(0.01)
        return slates


class _Endless(_Last):
    def __call__(self, queries, slates):
        return slates.scored(np.full(len(slates.items), np.inf, np.float32))


class _Nothing(_Last):
    def __call__(self, queries, slates):
        return Slates.empty(len(queries))


def _with(pipeline, stage):
    return replace(pipeline, parts=(*pipeline.parts, StepPart(pipeline.parts[0].step, stage)))
