"""Boosted trees find what a sum of features can't say."""

from dataclasses import replace

import numpy as np
import pytest
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from polyscene.core.contracts import Data, Examples, Run, State, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.slates import Slates
from polyscene.rank.lambdamart import LambdaMart
from polyscene.rank.linear_ranker import LinearRanker
from polyscene.rank.trees import Grouped, grown
from polyscene.testing.worlds import ask, noise

USERS, WIDTH = 400, 10
SMALL = LambdaMart(trees=60, leaves=8, learning_rate=0.2, leaf_rows=5, l2=1.0, columns=1.0)


def data() -> Data:
    """What comes next is the candidate that exactly one of two sources brought, whichever it was."""
    world = noise(users=USERS, items=40)
    rng = np.random.default_rng(0)
    items = np.concatenate([rng.permutation(40)[:WIDTH] for _ in range(USERS)]).astype(np.int32)
    brought = np.zeros((USERS, WIDTH, 2), bool)
    brought[:, ::2] = True
    answers = rng.integers(0, WIDTH, USERS)
    side = rng.integers(0, 2, USERS)
    for row in range(USERS):
        brought[row, answers[row]] = (side[row] == 0, side[row] == 1)
    columns = {}
    for at, name in enumerate(("left", "right")):
        there = brought[:, :, at].ravel()
        columns[f"rank:{name}"] = np.where(there, 0, np.nan).astype(np.float32)
        columns[f"score:{name}"] = np.where(there, 0, np.nan).astype(np.float32)
    slates = Slates(np.arange(USERS + 1) * WIDTH, items, np.zeros(len(items), np.float32), columns)
    labels = (np.arange(USERS * WIDTH) % WIDTH == np.repeat(answers, WIDTH)).astype(np.float32)
    return replace(world, examples=Examples(ask(world), slates, labels))


@pytest.fixture(scope="module")
def known() -> Data:
    return data()


def hits(part: object, known: Data) -> float:
    """The share of slates whose first candidate is the labelled one."""
    slates = known.examples.slates.with_column("label", known.examples.labels)
    found = part(known.examples.queries, slates)
    return float(found.columns["label"][found.offsets[:-1]].mean())


def test_trees_find_an_interaction_that_a_sum_cannot(known: Data) -> None:
    assert hits(LinearRanker().fit(known, Run()), known) < 0.5
    part = SMALL.fit(known, Run())
    assert hits(part, known) > 0.95
    weights = part.weights()
    assert sum(weights.values()) == pytest.approx(1, abs=1e-4)
    brought = sum(weight for name, weight in weights.items() if name.endswith(("left", "right")))
    assert brought > 0.8


def test_a_batch_is_its_singles_and_a_bundle_is_its_part(known: Data) -> None:
    part = SMALL.fit(known, Run())
    queries, slates = known.examples.queries, known.examples.slates
    batch = part(queries, slates)
    state = part.state()
    kept = from_bytes(to_bytes({name: np.ascontiguousarray(each) for name, each in state.tensors.items()}))
    again = SMALL.load(State(kept, state.meta), Run(view=StillView(known.catalogue)))
    np.testing.assert_array_equal(again(queries, slates).scores, batch.scores)
    assert again.weights() == part.weights()
    for row in (0, 7, 199):
        one = part(queries.take(np.array([row])), slates.take(np.array([row])))
        assert one.items.tolist() == batch.of(row).tolist()
    assert len(part(queries.take(np.arange(2)), Slates.empty(2)).items) == 0


def test_equal_seeds_grow_equal_trees(known: Data) -> None:
    few = LambdaMart(trees=5, negatives=3)
    texts = [few.fit(known, Run(seed=4, threads=many)).known.trees.text for many in (1, 2)]
    one, two = (text.split("\nparameters:")[0] for text in texts)
    assert one == two


def test_a_monotone_feature_never_speaks_the_other_way(known: Data) -> None:
    """The most popular candidate comes next, but popularity may only lower a score."""
    counts = np.bincount(known.histories["item"], minlength=known.size)
    slates = known.examples.slates
    best = np.maximum.reduceat(counts[slates.items], slates.offsets[:-1])
    labels = (counts[slates.items] == best[slates.rows()]).astype(np.float32)
    world = replace(known, examples=replace(known.examples, labels=labels))
    assert hits(SMALL.fit(world, Run()), world) > 0.95
    lowering = LambdaMart(trees=60, leaf_rows=5, monotone={"popularity": -1}).fit(world, Run())
    assert hits(lowering, world) < 0.5
    with pytest.raises(ConfigError, match="did you mean 'popularity'"):
        LambdaMart(monotone={"popularty": 1}).fit(world, Run())


def test_labels_are_gains(known: Data) -> None:
    """Of candidates that are all labelled, those that are worth more come first."""
    slates, answers = known.examples.slates, known.examples.labels > 0
    both = ~np.isnan(slates.columns["rank:left"]) & ~answers
    for worth, other in ((2.5, 0.3), (0.3, 2.5)):
        labels = (worth * answers + other * both).astype(np.float32)
        part = SMALL.fit(replace(known, examples=replace(known.examples, labels=labels)), Run())
        assert (hits(part, known) > 0.95) == (worth > other)


def test_without_labels_it_follows_the_sources(known: Data) -> None:
    blank = replace(known.examples, labels=np.zeros_like(known.examples.labels))
    run = Run()
    part = SMALL.fit(replace(known, examples=blank), run)
    assert "no candidate was what came next" in run.warnings[0]
    again = SMALL.load(part.state(), Run(view=StillView(known.catalogue)))
    found = again(known.examples.queries, known.examples.slates)
    brought = ~np.isnan(found.columns["rank:left"]) * 1 + ~np.isnan(found.columns["rank:right"])
    assert (np.diff(brought)[np.diff(found.rows()) == 0] <= 0).all()
    assert set(part.weights().values()) == {0.0}


def test_candidates_that_score_alike_are_no_success() -> None:
    """Ten weak signs need many trees; the first ones look best only if ties are read for the labelled."""
    rng = np.random.default_rng(0)
    lists = np.repeat(np.arange(600), 10)
    values = rng.normal(size=(len(lists), 10)).astype(np.float32)
    first = np.arange(len(lists)) % 10 == 0
    values[first] += 0.4
    rows = Grouped(values, first.astype(np.float32), lists)
    held = lists >= 400
    parts = rows.take(np.flatnonzero(~held)), rows.take(np.flatnonzero(held))
    settings = {
        "objective": "lambdarank",
        "metric": "ndcg",
        "eval_at": [10],
        "num_leaves": 4,
        "num_iterations": 60,
        "early_stopping_round": 20,
        "verbosity": -1,
        "seed": 0,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": 1,
    }
    text = grown(*parts, settings, Run(), "test")
    assert text.count("\nTree=") > 10


def test_a_budget_ends_it_in_time(known: Data) -> None:
    run = Run(budget_s=1e-9)
    part = SMALL.fit(known, run)
    assert "made 1 of 60 trees" in run.warnings[0]
    assert len(part(known.examples.queries, known.examples.slates).items) == USERS * WIDTH


def test_what_it_cannot_work_with_is_told(known: Data) -> None:
    view = Run(view=StillView(known.catalogue))
    with pytest.raises(ConfigError, match="put it behind a retriever"):
        SMALL.fit(replace(known, examples=None), Run())
    with pytest.raises(ConfigError, match="view"):
        SMALL.load(State(), Run())
    with pytest.raises(BundleError, match="'popularity' is missing"):
        SMALL.load(State(), view)
    state = SMALL.fit(known, Run()).state()
    with pytest.raises(BundleError, match="do not belong"):
        SMALL.load(State(state.tensors, {**state.meta, "sources": ["left"]}), view)
    broken = {**state.tensors, "trees": np.frombuffer(b"no trees", np.uint8)}
    with pytest.raises(BundleError, match="can't be read"):
        SMALL.load(State(broken, state.meta), view)
    with pytest.raises(ConfigError, match="did you mean 'log'"):
        LambdaMart(attributes={"price": {"kind": "logg"}})
