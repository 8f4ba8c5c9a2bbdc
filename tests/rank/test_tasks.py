"""Several actions, several scenarios: what one opinion for all can't say."""

import json
from dataclasses import replace

import msgspec
import numpy as np
import pytest
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from polyscene.core.config import find
from polyscene.core.contracts import Data, Examples, Run, State, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.slates import Slates
from polyscene.models.popular import Popular
from polyscene.rank.mlp import MlpRanker
from polyscene.rank.table import KINDS
from polyscene.rank.tasks import ONLY, MultiTask
from polyscene.scenario.file import Scenario
from polyscene.testing.worlds import ask, noise

USERS, WIDTH, ITEMS = 300, 8, 40
QUICK = {"dim": 4, "epochs": 15, "batch_size": 256, "learning_rate": 0.02, "dropout": 0.0, "average": 0.9}
WIDTHS = {
    "shared_bottom": {"hidden": (16,), "towers": (8,)},
    "mmoe": {"experts": 2, "hidden": (16,), "towers": (8,)},
    "ple": {"experts": 1, "shared": 1, "hidden": (16,), "towers": (8,)},
    "star": {"hidden": (16,), "auxiliary": (8,)},
    "pepnet": {"hidden": (16,), "gate": 8, "max_len": 4},
}
KIND = list(WIDTHS)


def config(kind: str, **more: object) -> MultiTask:
    return find(KINDS, kind, kind)(**{**QUICK, **WIDTHS[kind], **more})


def slates_of(rng: np.random.Generator) -> Slates:
    """Each slate has four items below 20 and four others, in no order."""
    low, high = (np.stack([rng.permutation(20)[:4] for _ in range(USERS)]) for _ in range(2))
    items = rng.permuted(np.concatenate([low, high + 20], 1), axis=1).astype(np.int32)
    place = np.tile(np.arange(WIDTH, dtype=np.float32), USERS)
    columns = {"rank:any": place, "score:any": -place}
    return Slates(np.arange(USERS + 1) * WIDTH, items.ravel(), np.zeros(USERS * WIDTH, np.float32), columns)


def one_of(wanted: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """1 for one of the wanted candidates of each slate, by chance."""
    chance = np.where(wanted, rng.random(len(wanted)), -1.0).reshape(USERS, WIDTH)
    return (chance == chance.max(1, keepdims=True)).ravel().astype(np.float32)


@pytest.fixture(scope="module")
def actions() -> Data:
    """Three of four times an item below 20 is clicked, else one of the others is bought."""
    rng = np.random.default_rng(0)
    slates = slates_of(rng)
    bought = np.repeat(rng.random(USERS) < 0.25, WIDTH)
    labels = one_of((slates.items >= 20) == bought, rng)
    slates = slates.with_column("label:click", labels * ~bought).with_column("label:buy", labels * bought)
    world = noise(users=USERS, items=ITEMS)
    return replace(world, examples=Examples(ask(world), slates, labels))


@pytest.fixture(scope="module")
def scenes() -> Data:
    """At home an item below 20 comes next, in the cart one of the others."""
    rng = np.random.default_rng(0)
    slates = slates_of(rng)
    world = noise(users=USERS, items=ITEMS)
    queries = replace(ask(world), scenario=rng.integers(0, 2, USERS).astype(np.int32))
    labels = one_of((slates.items >= 20) == np.repeat(queries.scenario == 1, WIDTH), rng)
    return replace(world, examples=Examples(queries, slates, labels))


def first_high(part: object, known: Data) -> np.ndarray:
    """(B,) whether the first candidate of each slate is one of the others."""
    found = part(known.examples.queries, known.examples.slates)
    return found.items[found.offsets[:-1]] >= 20


@pytest.mark.parametrize("kind", KIND)
def test_each_action_has_an_order_of_its_own(kind: str, actions: Data) -> None:
    """One label for all can't tell what is bought from what is clicked; weights decide, without a refit."""
    assert first_high(MlpRanker(**QUICK).fit(actions, Run()), actions).mean() < 0.1
    clicked = config(kind, weights={"click": 1.0}, held_out=0.0)
    part = clicked.fit(actions, Run())
    assert first_high(part, actions).mean() < 0.1
    view = Run(view=StillView(actions.catalogue))
    bought = msgspec.structs.replace(clicked, weights={"buy": 1.0}).load(part.state(), view)
    assert first_high(bought, actions).mean() > 0.9
    product = msgspec.structs.replace(clicked, weights={"buy": 1.0}, combine="product")
    assert first_high(product.load(part.state(), view), actions).mean() > 0.9


@pytest.mark.parametrize("kind", KIND)
def test_each_scenario_has_an_order_of_its_own(kind: str, scenes: Data) -> None:
    in_cart = scenes.examples.queries.scenario == 1
    single = first_high(MlpRanker(**QUICK).fit(scenes, Run()), scenes)
    assert (single == in_cart).mean() < 0.7
    part = config(kind).fit(scenes, Run())
    assert part.value.tasks == (ONLY,)
    assert (first_high(part, scenes) == in_cart).mean() > 0.95


@pytest.mark.parametrize("kind", KIND)
def test_it_keeps_what_stages_promise(kind: str, actions: Data) -> None:
    """Beside what `tests/contracts` asks with one action: chances, bundle, seeds, strange scenarios."""
    settings = config(kind, epochs=2)
    part = settings.fit(actions, Run(seed=4))
    queries, slates = actions.examples.queries, actions.examples.slates
    batch = part(queries, slates)
    assert sorted(zip(batch.rows().tolist(), batch.items.tolist(), strict=True)) == sorted(
        zip(slates.rows().tolist(), slates.items.tolist(), strict=True)
    )
    assert ((batch.columns["chance:buy"] > 0) & (batch.columns["chance:buy"] < 1)).all()
    total = batch.columns["chance:buy"] + batch.columns["chance:click"]
    np.testing.assert_allclose(batch.scores, total, atol=1e-6)

    state = part.state()
    kept = from_bytes(to_bytes({name: np.ascontiguousarray(each) for name, each in state.tensors.items()}))
    saved = State(kept, json.loads(json.dumps(dict(state.meta))))
    again = settings.load(saved, Run(view=StillView(actions.catalogue)))
    np.testing.assert_array_equal(again(queries, slates).scores, batch.scores)
    np.testing.assert_array_equal(settings.fit(actions, Run(seed=4))(queries, slates).scores, batch.scores)

    for row in (0, 7):
        one = part(queries.take(np.array([row])), slates.take(np.array([row])))
        assert one.items.tolist() == batch.of(row).tolist()
        np.testing.assert_allclose(one.scores, batch.take(np.array([row])).scores, atol=1e-5)
    strange = replace(queries.take(np.arange(2)), scenario=np.array([-1, 99], np.int32))
    unknown = replace(slates.take(np.arange(2)), items=np.arange(2 * WIDTH, dtype=np.int32) + 1000)
    assert np.isfinite(part(strange, unknown).scores).all()
    assert len(part(queries.take(np.arange(2)), Slates.empty(2)).items) == 0
    assert len(part(queries.take(np.arange(0)), Slates.empty(0))) == 0


@pytest.mark.parametrize("kind", KIND)
def test_without_labels_it_says_so(kind: str, actions: Data) -> None:
    slates = actions.examples.slates
    bare = replace(slates, columns={"rank:any": slates.columns["rank:any"]})
    blank = Examples(actions.examples.queries, bare, np.zeros_like(actions.examples.labels))
    run = Run()
    part = config(kind).fit(replace(actions, examples=blank), run)
    assert "no candidate was what came next" in run.warnings[0]
    assert np.isfinite(part(actions.examples.queries, slates).scores).all()


def test_what_it_cannot_work_with_is_told(actions: Data) -> None:
    quick = config("shared_bottom", epochs=1)
    view = Run(view=StillView(actions.catalogue))
    with pytest.raises(ConfigError, match="put it behind a retriever"):
        quick.fit(replace(actions, examples=None), Run())
    with pytest.raises(ConfigError, match="view"):
        quick.load(State(), Run())
    with pytest.raises(BundleError, match="'tasks' is missing"):
        quick.load(State(), view)
    with pytest.raises(ConfigError, match="none of bye labels a candidate; there is buy, click"):
        config("shared_bottom", weights={"bye": 1.0}).fit(actions, Run())
    run = Run()
    config("shared_bottom", epochs=1, weights={"bye": 1.0, "click": 1.0}).fit(actions, run)
    assert "did you mean 'buy'" in run.warnings[0]
    with pytest.raises(ConfigError, match="did you mean 'log'"):
        config("shared_bottom", attributes={"price": {"kind": "logg"}})


def test_a_scenario_learns_its_actions_and_comes_back_from_a_bundle() -> None:
    """The last event's action is the label; nobody has to say which actions there are."""
    world = noise(users=200)
    scenario = Scenario(scenario="x", stages=(Popular(), config("mmoe", epochs=1)))
    pipeline = scenario.fit(world, Run())
    assert pipeline.parts[1].part.value.tasks == ("buy", "view")
    again = scenario.load(pipeline.state(), Run(view=StillView(world.catalogue)))
    queries = ask(world)
    one, other = (each(queries, Slates.empty(len(queries))) for each in (pipeline, again))
    np.testing.assert_array_equal(one.items, other.items)
    np.testing.assert_array_equal(one.scores, other.scores)
