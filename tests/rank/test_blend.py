"""A blend learns whom to believe from events that no member knows, and is one part like any other."""

from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from polyscene.core.config import Config, load_config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.dataset.newest import newest_out
from polyscene.models.covisit import Covisit
from polyscene.models.ease import Ease
from polyscene.models.popular import Popular
from polyscene.models.random import Random
from polyscene.models.table import KINDS
from polyscene.rank.average import Average
from polyscene.rank.blend import Blend
from polyscene.rank.held_out import Composed
from polyscene.rank.score import Score
from polyscene.rerank.mmr import Mmr
from polyscene.retrieve.step import Step
from polyscene.scenario.file import read_scenario
from polyscene.testing.worlds import ask, chain, noise, popularity

FITS: list[tuple[str, Data, Run, Any]] = []


class Spy(Config, frozen=True, kw_only=True, tag="spy"):
    """Notes on what it was fitted; scores every item alike, or as `Random` does."""

    name: str = ""

    def fit(self, data: Data, run: Run, warm: Any = None) -> "SpyPart":
        FITS.append((self.name, data, run, warm))
        return SpyPart(self.name)


@dataclass(frozen=True)
class SpyPart:
    name: str
    effect = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        raise AssertionError("asked for its scores")

    def score_all(self, queries: Queries) -> np.ndarray:
        if self.name == "mute":
            raise AssertionError("it has no say")
        return np.zeros((len(queries), queries.allowed.size), np.float32)

    def state(self) -> State:
        return State()


@pytest.fixture(autouse=True)
def _fresh() -> None:
    FITS.clear()


def events(data: Data) -> int:
    return len(data.histories["item"])


def test_it_believes_who_knows_what_comes_next() -> None:
    world = chain()
    run = Run(seed=1)
    part = Blend(of=(Random(), Covisit(), Popular())).fit(world.data, run)
    assert part.weights[0] == 1
    assert part.weights[1] > 5 * part.weights[2]
    slates = part(world.queries, Slates.empty(len(world.queries)))
    firsts = [slates.of(row)[0] == world.answers[row][0] for row in range(len(slates))]
    assert np.mean(firsts) > 0.9


def test_without_a_holdout_members_first_learn_from_all_but_the_newest_events() -> None:
    data = noise()
    Blend(of=(Spy(), Covisit())).fit(data, Run())
    able = int((data.histories.lengths >= 3).sum())
    assert [events(each[1]) for each in FITS] == [events(data) - able, events(data)]
    for user in range(len(data.users)):
        left, whole = (FITS[at][1].histories.ragged("item")[user].tolist() for at in (0, 1))
        assert left == (whole[:-1] if len(whole) >= 3 else whole)


def test_without_refit_the_members_of_the_first_round_stay() -> None:
    data = noise()
    Blend(of=(Spy(), Covisit()), refit=False).fit(data, Run())
    assert len(FITS) == 1
    assert events(FITS[0][1]) < events(data)


def test_a_holdout_of_the_run_is_tuned_on_and_one_fit_does() -> None:
    data = chain().data
    before, asked = newest_out(data, 1000, np.random.default_rng(0))
    part = Blend(of=(Spy(), Random(), Covisit())).fit(before, Run(holdout=asked))
    assert [events(each[1]) for each in FITS] == [events(before)]
    assert part.weights[2] > 2 * part.weights[1]


def test_given_weights_need_no_question() -> None:
    data = noise()
    part = Blend(of=(Spy(), Covisit()), weights=(0.5, 2)).fit(data, Run())
    assert [events(each[1]) for each in FITS] == [events(data)]
    assert part.weights.tolist() == [0.5, 2]


def test_an_older_part_lends_its_members_only_where_weights_are_not_tuned() -> None:
    data = noise()
    config = Blend(of=(Spy(name="a"), Covisit()))
    old = config.fit(data, Run())
    FITS.clear()
    config.fit(data, Run(), warm=old)
    assert [each[3] for each in FITS] == [None, SpyPart("a")]
    FITS.clear()
    Blend(of=(Covisit(), Spy(name="b")), weights=(1, 1)).fit(data, Run(), warm=old)
    assert FITS[0][3] is None, "another kind stood at its place"


@pytest.mark.parametrize(("refit", "most"), [(True, 6.0), (False, 12.0)])
def test_the_budget_is_shared_and_the_first_gets_what_is_left(refit: bool, most: float) -> None:
    config = Blend(of=(Spy(name="slow"), Spy(), Spy()), refit=refit)
    config.fit(noise(), Run(budget_s=12.0))
    first = [each[2].budget_s for each in FITS[:3]]
    assert [each[0] for each in FITS[:3]] == ["", "", "slow"]
    assert first == pytest.approx([most / 3, most / 2, most], rel=0.1)
    assert len(FITS) == (6 if refit else 3)
    if refit:
        assert FITS[5][2].budget_s == pytest.approx(12, rel=0.1), "what the first round left"


def test_the_first_member_has_the_seed_of_the_run_and_the_others_their_own() -> None:
    Average(of=(Spy(), Spy(), Average(of=(Spy(), Spy())))).fit(noise(), Run(seed=5))
    seeds = [each[2].seed for each in FITS]
    assert len(set(seeds)) == 4
    assert seeds[-1] == 5


def test_who_weighs_nothing_is_not_asked() -> None:
    world = popularity()
    part = Blend(of=(Popular(), Spy(name="mute")), weights=(1, 0)).fit(world.data, Run())
    alone = Popular().fit(world.data, Run())
    queries = ask(world.data)
    none = Slates.empty(len(queries))
    assert part(queries, none).items.tolist() == alone(queries, none).items.tolist()


def test_weights_and_members_come_back_from_the_state() -> None:
    data = noise()
    config = Blend(of=(Covisit(), Average(of=(Covisit(last=1), Popular())), Ease(l2=5.0)))
    part = config.fit(data, Run())
    state = part.state()
    assert {"weights", "1/0/lifts", "2/weights"} <= set(state.tensors)
    again = config.load(state, Run())
    queries = ask(data)
    np.testing.assert_array_equal(again.score_all(queries), part.score_all(queries))
    short = {name: each for name, each in state.tensors.items() if name != "weights"}
    with pytest.raises(BundleError, match="0 weights for 3 members"):
        config.load(State(short, state.meta), Run())


def test_scales_may_be_given() -> None:
    data = noise()
    members = (Ease(l2=5.0), Covisit())
    queries = ask(data)
    free, same, other = (
        Blend(of=members, weights=(1, 1), scales=scales).fit(data, Run()).score_all(queries)
        for scales in ((), ("z", "log_softmax"), ("z", "z"))
    )
    np.testing.assert_array_equal(free, same)
    assert not np.allclose(free, other)


def test_an_average_is_an_ordinary_member_and_stage() -> None:
    world = chain()
    part = Average(of=(Covisit(), Covisit(last=1))).fit(world.data, Run())
    scores = part.score_all(world.queries)
    scored = scores > -np.inf
    np.testing.assert_allclose(np.where(scored, np.exp(scores), 0).sum(axis=1), 1, rtol=1e-4)


def test_candidates_of_a_slate_are_scored_by_all_members() -> None:
    world = chain()
    model = Blend(of=(Covisit(), Ease(l2=5.0)), weights=(1, 0.5))
    stage, part = Score(model=model).fit(world.data, Run()), model.fit(world.data, Run())
    queries = world.queries.take(np.arange(2))
    slates = Slates(np.array([0, 3, 5]), np.array([6, 1, 3, 7, 2], np.int32), np.ones(5, np.float32))
    found = stage(queries, slates)
    block = part.score_all(queries)
    for row in range(2):
        expected = sorted(slates.of(row).tolist(), key=lambda item: -block[row, item])
        assert found.of(row).tolist() == expected


def test_a_scenario_may_draw_from_a_blend() -> None:
    raw = {
        "scenario": "x",
        "stages": [{"kind": "blend", "take": 5, "of": [{"kind": "covisit"}, {"kind": "popular"}]}],
    }
    scenario = read_scenario(raw, "x")
    data = noise()
    pipeline = scenario.fit(data, Run())
    again = scenario.load(pipeline.state(), Run())
    none = Slates.empty(len(data.users))
    assert pipeline(ask(data), none).items.tolist() == again(ask(data), none).items.tolist()
    raw["stages"][0]["of"][0]["take"] = 3
    with pytest.raises(ConfigError, match=r"blend.of\[0\]: a member takes no 'name', 'take' or 'on_error'"):
        read_scenario(raw, "x")


def test_where_nothing_can_be_found_all_weigh_the_same_and_it_is_said() -> None:
    data = noise()
    short = replace(data, histories=data.histories.tail(2))
    run = Run()
    part = Blend(of=(Covisit(), Popular())).fit(short, run)
    assert part.weights.tolist() == [1, 1]
    assert "no held-out event could be found" in run.warnings[0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"of": ()}, "blend.of: there is no member"),
        ({"of": (Popular(),), "weights": (1, 2)}, "blend.weights: got 2 for 1 members"),
        ({"of": (Popular(),), "scales": ("z", "z")}, "blend.scales: got 2 for 1 members"),
        ({"of": (Popular(),), "weights": (0.0,)}, "blend.weights: all are 0"),
        ({"of": (Step(stage=Popular(), take=3),)}, r"blend.of\[0\]: a member takes no"),
    ],
)
def test_what_does_not_fit_together_is_told(settings: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        Blend(**settings)
    with pytest.raises(ConfigError, match="'mmr' can't score a given item"):
        Blend(of=(Popular(), Mmr())).fit(noise(), Run())


@pytest.mark.parametrize("path", sorted((Path(__file__).parents[2] / "bench" / "blends").glob("*.toml")))
def test_the_files_of_the_bench_are_compositions(path: Path) -> None:
    assert isinstance(load_config(path, KINDS), Composed)
