"""The linear ranker learns whom to believe."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.catalogue import Column
from polyscene.core.contracts import Data, Examples, Run, State, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.slates import Slates
from polyscene.features.convert import Conversion
from polyscene.rank.features import Facts, features, names
from polyscene.rank.linear_ranker import LinearRanker
from polyscene.testing.worlds import ask, noise

USERS, WIDTH = 200, 12


def data() -> Data:
    """Slates where ``good`` ranks what comes next high and ``bad`` says nothing about it."""
    world = noise(users=USERS, items=40)
    queries = ask(world)
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(40)[:WIDTH] for _ in range(USERS)]).astype(np.int32)
    good = np.concatenate([rng.permutation(WIDTH) for _ in range(USERS)]).astype(np.float32)
    bad = np.concatenate([rng.permutation(WIDTH) for _ in range(USERS)]).astype(np.float32)
    columns = {"rank:good": good, "score:good": -good, "rank:bad": bad, "score:bad": -bad}
    slates = Slates(np.arange(USERS + 1) * WIDTH, items, np.zeros(len(items), np.float32), columns)
    labels = (good == np.repeat(rng.choice(3, USERS, p=[0.6, 0.3, 0.1]), WIDTH)).astype(np.float32)
    return replace(world, examples=Examples(queries, slates, labels))


@pytest.fixture(scope="module")
def known() -> Data:
    return data()


def test_it_believes_the_source_that_was_right(known: Data) -> None:
    part = LinearRanker().fit(known, Run())
    slates = known.examples.slates
    found = part(known.examples.queries, slates)
    best = found.columns["rank:good"][found.offsets[:-1]]
    assert (best == 0).mean() > 0.95
    weights = part.weights()
    said = {
        name: sum(abs(w) for key, w in weights.items() if key.endswith(name)) for name in ("good", "bad")
    }
    assert said["good"] > 10 * said["bad"]


def test_a_batch_is_its_singles_and_a_bundle_is_its_part(known: Data) -> None:
    config = LinearRanker(negatives=5)
    part = config.fit(known, Run())
    queries, slates = known.examples.queries, known.examples.slates
    batch = part(queries, slates)
    again = config.load(part.state(), Run(view=StillView(known.catalogue)))
    np.testing.assert_array_equal(again(queries, slates).items, batch.items)
    for row in (0, 7, 199):
        one = part(queries.take(np.array([row])), slates.take(np.array([row])))
        assert one.items.tolist() == batch.of(row).tolist()
        np.testing.assert_allclose(one.scores, batch.take(np.array([row])).scores, atol=1e-5)
    assert len(part(queries.take(np.arange(2)), Slates.empty(2)).items) == 0


def test_equal_seeds_learn_equal_weights(known: Data) -> None:
    config = LinearRanker(negatives=3)
    assert config.fit(known, Run(seed=4)).weights() == config.fit(known, Run(seed=4)).weights()


def test_without_labels_it_says_so_and_follows_the_sources(known: Data) -> None:
    blank = replace(known.examples, labels=np.zeros_like(known.examples.labels))
    run = Run()
    part = LinearRanker().fit(replace(known, examples=blank), run)
    assert "no candidate was what came next" in run.warnings[0]
    found = part(known.examples.queries, known.examples.slates)
    total = 1 / np.log2(2 + found.columns["rank:good"]) + 1 / np.log2(2 + found.columns["rank:bad"])
    assert (np.diff(total)[np.diff(found.rows()) == 0] <= 1e-6).all()


def test_what_it_cannot_work_with_is_told(known: Data) -> None:
    with pytest.raises(ConfigError, match="put it behind a retriever"):
        LinearRanker().fit(replace(known, examples=None), Run())
    with pytest.raises(ConfigError, match="view"):
        LinearRanker().load(State(), Run())
    view = Run(view=StillView(known.catalogue))
    with pytest.raises(BundleError, match="'popularity' is missing"):
        LinearRanker().load(State(), view)
    state = LinearRanker().fit(known, Run()).state()
    with pytest.raises(BundleError, match="do not belong"):
        LinearRanker().load(State(state.tensors, {**state.meta, "sources": ["good"]}), view)


def test_features_are_what_their_names_say(known: Data) -> None:
    queries, slates = known.examples.queries.take(np.array([0])), known.examples.slates.take(np.array([0]))
    missing = slates.columns["score:good"].copy()
    missing[2] = np.nan
    slates = replace(slates, columns={**slates.columns, "score:good": missing, "rank:good": -missing})
    popularity = np.arange(5, dtype=np.float32)
    facts = Facts(("good", "other"), popularity, known.catalogue, Conversion({}, {}))
    table = dict(zip(names(facts.sources, ()), features(queries, slates, facts).T, strict=True))
    there = ~np.isnan(missing)
    assert table["brought:good"].tolist() == there.astype(float).tolist()
    expected = (missing - missing[there].mean()) / missing[there].std()
    np.testing.assert_allclose(table["score:good"], np.where(there, expected, 0), atol=1e-5)
    assert table["near:good"].max() == pytest.approx(1.0)
    assert not table["score:other"].any()
    assert not table["brought:other"].any()
    np.testing.assert_allclose(
        table["popularity"], [item if item < 5 else 0 for item in slates.items.tolist()]
    )
    assert (table["age"] > 0).all()
    assert not table["overlap"].any()


def test_numbers_of_the_items_count_scaled_as_at_the_fit(known: Data) -> None:
    """What comes next is always the dearest of the slate: the price is all there is to learn."""
    price = np.linspace(1, 1e6, known.size)
    catalogue = replace(
        known.catalogue, columns={"price": Column("number", price), "name": Column("text", price)}
    )
    queries, slates = known.examples.queries, known.examples.slates
    dearest = np.maximum.reduceat(slates.items, slates.offsets[:-1])
    labels = (slates.items == dearest[slates.rows()]).astype(np.float32)
    world = replace(known, catalogue=catalogue, examples=Examples(queries, slates, labels))
    config = LinearRanker(attributes={"price": {"kind": "quantile"}})
    part = config.fit(world, Run())
    assert max(part.weights(), key=part.weights().get) == "attribute:price"
    found = part(queries, slates)
    assert (found.items[found.offsets[:-1]] == dearest).mean() > 0.9

    # The bundle keeps the scaling; a catalogue without the attribute is no fault.
    again = config.load(part.state(), Run(view=StillView(known.catalogue)))
    assert again(queries, slates).items.shape == found.items.shape
    same = config.load(part.state(), Run(view=StillView(catalogue)))
    np.testing.assert_array_equal(same(queries, slates).items, found.items)
    with pytest.raises(ConfigError, match="'name' is a text, expected a number"):
        LinearRanker(attributes={"name": {"kind": "log"}}).fit(world, Run())
    with pytest.raises(ConfigError, match="did you mean 'quantile'"):
        LinearRanker(attributes={"price": {"kind": "quantil"}})
