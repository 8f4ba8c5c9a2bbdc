"""A scenario that the events of the others harm keeps a model of its own, and its owner is told."""

from dataclasses import dataclass, replace

import msgspec
import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.contracts import Effect, Holdout, Run, silent
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.dataset.split import split
from polyscene.evaluate.validation import asked_in
from polyscene.events.event import Event
from polyscene.jobs.harm import alone, kinds_in, standing, standings, unharmed
from polyscene.jobs.train import TrainRequest, train
from polyscene.jobs.workspace import Workspace
from polyscene.models.foundation import Foundation
from polyscene.rank.adapted import Adapted
from polyscene.scenario.file import read_scenario
from polyscene.testing.worlds import scenes

SMALL = {
    "kind": "foundation",
    "dim": 16,
    "layers": 1,
    "max_len": 16,
    "batch_size": 256,
    "dropout": 0.0,
    "learning_rate": 0.02,
    "epochs": 15,
    "evidence": None,
}
BASE = msgspec.convert(
    {key: value for key, value in SMALL.items() if key != "kind"} | {"kind": "foundation"}, Foundation
)
SIGHTED = {"kind": "adapted", "base": SMALL, "rank": 4, "epochs": 10, "learning_rate": 0.02, "least": 10}
BLIND = {**SMALL, "surface": False}
"""It can't tell one scenario from the other, so each is harmed by the events of the other."""


@dataclass(frozen=True)
class Fixed:
    """Puts the target of some questions first and of all others last."""

    right: int
    effect = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        raise AssertionError("asked for its scores")

    def score_all(self, queries: Queries) -> np.ndarray:
        scores = np.zeros((len(queries), queries.allowed.size), np.float32)
        scores[:, 0] = np.where(queries.seeds < self.right, 1.0, -np.inf)
        return scores


def questions(count=100):
    queries = Queries.of_histories(history_of([[1]] * count), 3)
    one_each = Ragged.of([[0]] * count)
    return Holdout(queries, one_each, Ragged(one_each.offsets, np.ones(count, np.float32)))


def test_harm_is_what_lies_below_the_own_model_beyond_the_interval():
    forms = {"own": Fixed(50), "joint": Fixed(20), "adapted": Fixed(49)}
    found = standing("cart", forms, questions(), seed=0)
    assert found.values == {"own": 0.5, "joint": 0.2, "adapted": 0.49}
    assert found.harmed == ("joint",)
    assert found.best == "own"
    assert found.gaps["joint - own"].difference == pytest.approx(-0.3)
    assert found.figures()["harmed"] == ["joint"]
    better = standing("cart", {**forms, "adapted": Fixed(70)}, questions(), seed=0)
    assert better.best == "adapted"


def test_one_scenario_alone_has_its_own_events_and_their_users():
    data = scenes()
    mine = alone(data, 1)
    assert set(mine.histories["scenario"].tolist()) == {1}
    assert len(mine.histories["item"]) == (data.histories["scenario"] == 1).sum()
    assert mine.histories.lengths.min() >= 1
    few = data.histories.take(np.array([0]))
    none = replace(data, users=data.users[:1], histories=few.where(few["scenario"] == 0))
    assert len(alone(none, 1).users) == 0


def test_the_three_forms_are_asked_the_same_in_the_scenario_of_the_answer():
    parts = split(scenes(users=160), "loo", repeats="keep")
    np.testing.assert_array_equal(
        parts.test.queries.scenario, scenes(users=160).histories["scenario"].reshape(160, -1)[:, -1]
    )
    config = msgspec.structs.replace(Adapted(base=BASE), rank=4, epochs=5, learning_rate=0.02)
    asked = {code: asked_in(parts.test, code) for code in (0, 1)}
    home, cart = standings(config, parts.fit_all, asked)
    assert (home.scenario, cart.scenario) == ("home", "cart")
    assert home.queries + cart.queries == 160
    for found in (home, cart):
        assert set(found.values) == {"own", "joint", "adapted"}
        assert found.values["adapted"] > 0.95
        assert not found.harmed


@pytest.fixture(scope="module")
def parts():
    return split(scenes(users=160), "loo", repeats="keep")


def cart(stage):
    return read_scenario({"scenario": "cart", "seen": "keep", "stages": [stage]}, "test")


def test_the_own_form_stands_in_where_other_scenarios_harm(parts):
    scenario = cart(BLIND)
    joint = scenario.fit(parts.fit_all, Run())
    chosen, why = unharmed(scenario, joint, parts.fit_all, parts.test, Run())
    assert chosen is not joint
    assert why.startswith("events of other scenarios harm 'cart': ndcg@10 0.")
    assert "use kind 'adapted', or give it a higher rank or more epochs, then train again" in why


def test_what_does_no_harm_stays(parts):
    scenario = cart(SIGHTED)
    joint = scenario.fit(parts.fit_all, Run())
    assert unharmed(scenario, joint, parts.fit_all, parts.test, Run()) == (joint, "")


@pytest.mark.parametrize("case", ["nothing held out", "few questions", "another name", "no such model"])
def test_where_harm_cannot_be_told_nothing_changes(parts, case):
    scenario, test = cart(BLIND), parts.test
    if case == "nothing held out":
        test = None
    if case == "few questions":
        rows = np.arange(60)
        test = Holdout(test.queries.take(rows), test.targets.take(rows), test.values.take(rows))
    if case == "another name":
        scenario = msgspec.structs.replace(scenario, scenario="feed")
    if case == "no such model":
        scenario = cart({"kind": "covisit"})
    joint = scenario.fit(parts.train, Run())
    assert unharmed(scenario, joint, parts.fit_all, test, Run()) == (joint, "")


def test_models_are_found_however_deep_they_stand():
    stage = {
        "kind": "union",
        "of": [{"kind": "popular", "take": 3}, {"kind": "blend", "of": [SIGHTED], "take": 5}],
    }
    assert {"union", "step", "popular", "blend", "adapted", "foundation"} == set(
        kinds_in(cart(stage).stages[0])
    )


def test_a_file_is_trained_end_to_end_and_the_own_form_is_promoted(tmp_path):
    space = Workspace.create(tmp_path / "space")
    for starter in (space.root / "scenarios").iterdir():
        starter.unlink()
    data = scenes(users=160)
    names, owners = data.scenarios, data.histories.rows()
    columns = zip(*(data.histories[name].tolist() for name in ("item", "scenario", "time")), strict=True)
    log = space.log()
    log.append(
        [
            Event(
                id=f"e{row}", user=f"u{owners[row]}", item=f"i{item}", time=time, scenario=names[scenario]
            )
            for row, (item, scenario, time) in enumerate(columns)
        ]
    )
    log.close()
    for name, stage in (("home", SIGHTED), ("cart", BLIND)):
        write(space, name, stage)
    cart, home = train(space, TrainRequest(), silent)
    assert home.refused == ""
    assert home.warnings == ()
    assert home.metrics["ndcg@10"] > 0.5
    assert cart.refused == ""
    assert cart.warnings[0].startswith("events of other scenarios harm 'cart'")
    assert space.shelf().read("cart", cart.bundle)[0].notes == cart.warnings
    assert space.shelf().current("cart") == cart.bundle
    forced = train(space, TrainRequest(names=("cart",), force=True), silent)[0]
    assert forced.warnings == ()


def write(space, name, stage):
    def text(value):
        if isinstance(value, dict):
            return (
                "{ "
                + ", ".join(f"{key} = {text(each)}" for key, each in value.items() if each is not None)
                + " }"
            )
        return msgspec.json.encode(value).decode()

    inner = {key: value for key, value in stage.items() if key != "evidence"}
    body = "\n".join(f"{key} = {text(value)}" for key, value in inner.items())
    (space.root / "scenarios" / f"{name}.toml").write_text(
        f'scenario = "{name}"\nseen = "keep"\nslate = 5\n\n[[stages]]\n{body}\n', encoding="utf-8"
    )
