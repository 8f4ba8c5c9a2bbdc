"""A switch gives each segment the member that served others of it best."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.models.covisit import Covisit
from polyscene.models.popular import Popular
from polyscene.models.random import Random
from polyscene.rank.switch import Switch
from polyscene.testing.worlds import chain


def test_each_segment_is_answered_by_its_own_member():
    world = chain()
    part = Switch(of=(Popular(), Covisit(), Random()), lengths=(2, 4), least=1).fit(world.data, Run())
    part = replace(part, choice=np.array([2, 0, 1, 0], np.int32))
    lengths = world.queries.history.lengths
    found = part.score_all(world.queries)
    for row, length in enumerate(lengths):
        member = part.members[2 if length < 2 else 0 if length < 4 else 1]
        expected = member.score_all(world.queries.take(np.array([row])))
        np.testing.assert_array_equal(found[[row]], expected)


def test_it_chooses_who_knows_and_leaves_rare_segments_to_the_best_of_all():
    world = chain()
    config = Switch(of=(Random(), Covisit()), lengths=(1, 10_000), least=20)
    part = config.fit(world.data, Run(seed=2))
    assert part.choice.tolist() == [1, 1, 1, 1]


def test_a_scenario_that_nobody_asked_in_gets_the_best_of_all():
    world = chain()
    config = Switch(of=(Random(), Covisit()), by="scenario", least=1)
    part = config.fit(world.data, Run(seed=2))
    elsewhere = replace(world.queries, scenario=np.full(len(world.queries), 7, np.int32))
    np.testing.assert_array_equal(part.score_all(elsewhere), part.members[1].score_all(elsewhere))


def test_lengths_that_do_not_rise_are_refused():
    with pytest.raises(ConfigError, match="do not rise"):
        Switch(lengths=(20, 5))


def test_a_bundle_that_names_no_member_is_refused():
    world = chain()
    config = Switch(of=(Popular(), Covisit()))
    state = config.fit(world.data, Run()).state()
    bad = State({**state.tensors, "choice": np.array([2], np.int32)}, state.meta)
    with pytest.raises(BundleError, match="who answers whom"):
        config.load(bad, Run())
