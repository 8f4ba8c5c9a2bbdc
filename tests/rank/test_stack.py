"""A stack weighs its members by what they knew of questions that none of them had seen."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.slates import Slates
from polyscene.models.covisit import Covisit
from polyscene.models.popular import Popular
from polyscene.models.random import Random
from polyscene.rank.logit import conditional_logit
from polyscene.rank.scales import on_scale
from polyscene.rank.stack import Stack
from polyscene.testing.worlds import chain


def test_it_believes_who_knows_what_comes_next():
    world = chain()
    part = Stack(of=(Random(), Covisit())).fit(world.data, Run(seed=1))
    plain, with_length = np.split(part.weights, 2)
    asked = np.log1p(world.queries.history.lengths.mean())
    says = plain + with_length * asked
    assert says[1] > 3 * abs(says[0])
    slates = part(world.queries, Slates.empty(len(world.queries)))
    firsts = [slates.of(row)[0] == world.answers[row][0] for row in range(len(slates))]
    assert np.mean(firsts) > 0.9


def test_a_score_is_the_weighted_sum_of_what_the_members_say():
    world = chain()
    part = Stack(of=(Popular(), Covisit())).fit(world.data, Run(seed=1))
    queries = world.queries
    length_B1 = np.log1p(queries.history.lengths)[:, None]
    popular = on_scale(part.members[0].score_all(queries), "z")
    next_one = on_scale(part.members[1].score_all(queries), "log_softmax")
    next_one = np.where(next_one > -np.inf, next_one, next_one[next_one > -np.inf].min())
    w = part.weights.astype(float)
    expected = (w[0] + w[3] * length_B1) * popular + (w[1] + w[4] * length_B1) * next_one
    expected = expected + (w[2] + w[5] * length_B1) * part.popularity
    found = part.score_all(queries)
    scored = (next_one > next_one.min(axis=1, keepdims=True)) & (found > -np.inf)
    np.testing.assert_allclose(found[scored], expected[scored], rtol=1e-3, atol=1e-3)


def test_the_weights_follow_the_length_of_the_history():
    rng = np.random.default_rng(0)
    count, width = 4000, 5
    long_B = rng.integers(0, 2, count)
    right_B = rng.integers(0, width, count)
    said = rng.normal(size=(count, width, 2)).astype(np.float32)
    said[np.arange(count), right_B, long_B] += 3.0  # the first voice knows short ones, the second long ones
    values = said.reshape(-1, 2)
    features = np.concatenate([values, values * np.repeat(long_B, width)[:, None]], axis=1)
    labels = np.zeros((count, width), np.float32)
    labels[np.arange(count), right_B] = 1
    weights = conditional_logit(
        features.astype(np.float32), labels.ravel(), np.arange(count + 1) * width, l2=1e-4, steps=200
    )
    assert weights[0] > 2 > 0.3 > abs(weights[1])
    assert abs(weights[0] + weights[2]) < 0.3 < 2 < weights[1] + weights[3]


def test_without_questions_all_weigh_the_same_and_it_says_so():
    world = chain()
    run = Run()
    lonely = replace(world.data, histories=world.data.histories.tail(1))
    part = Stack(of=(Popular(), Covisit())).fit(lonely, run)
    assert part.weights.tolist() == [1, 1, 0, 0, 0, 0]
    assert any("all members weigh the same" in line for line in run.warnings)


def test_a_bundle_without_its_weights_is_refused():
    world = chain()
    config = Stack(of=(Popular(), Covisit()))
    state = config.fit(world.data, Run()).state()
    kept = {name: tensor for name, tensor in state.tensors.items() if name != "weights"}
    with pytest.raises(BundleError, match="0 weights for 2 members"):
        config.load(State(kept, state.meta), Run())


def test_no_member_is_refused():
    with pytest.raises(ConfigError, match=r"stack\.of: there is no member"):
        Stack(of=())
