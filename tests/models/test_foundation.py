from dataclasses import replace

import msgspec
import numpy as np
import pytest

from polyscene.core.arrays import Ragged, RaggedTable
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.clock import DAY_MS
from polyscene.core.config import fill, with_settings
from polyscene.core.contracts import Data, Embeds, Run, ScoresAll, State, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.foundation import Foundation
from polyscene.testing import worlds


def small(**settings):
    plain = {"dim": 16, "layers": 1, "epochs": 30, "max_len": 16, "batch_size": 128, "dropout": 0.0}
    return fill(Foundation, {**plain, "learning_rate": 0.02, **settings}, "foundation")


@pytest.fixture(scope="module")
def chain():
    return worlds.chain()


@pytest.fixture(scope="module")
def part(chain):
    return small().fit(chain.data, Run(seed=3))


def solved(part, world):
    slates = part(world.queries, Slates.empty(len(world.queries)))
    return float(np.mean([slates.of(row)[0] == world.answers[row][0] for row in range(len(slates))]))


def ask(lists, size=12, times=None):
    return Queries.of_histories(history_of(lists, times), size)


@pytest.mark.parametrize(
    "settings",
    [
        {"block": "hstu", "heads": 2, "layers": 2, "epochs": 60},
        {"block": "sasrec", "positions": "end"},
        {"positions": "both", "layers": 2},
        {"evidence": None},
        {"evidence": {"lags": 0, "ease_items": 0}},
        {"objective": {"loss": "sampled", "sampler": "mixed", "negatives": 8}},
        {"objective": {"loss": "sampled", "sampler": "uniform", "negatives": 8, "ahead": 2}},
        {"objective": {"loss": "gbce", "negatives": 6}},
        {"objective": {"ahead": 2}, "epochs": 60},
        {"objective": {"denoise": 0.2}, "epochs": 60},
        {"objective": {"actions": 0.5}},
        {"augment": {"windows": "sliding", "crop": 0.3, "mask": 0.05}, "max_len": 4},
        {"clock": "query"},
    ],
    ids=str,
)
def test_every_variant_solves_the_chain(chain, settings):
    assert solved(small(**settings).fit(chain.data, Run(seed=1)), chain) == 1.0


def test_abilities_follow_from_what_is_added_to_the_score(part, chain):
    plain = small(evidence=None, epochs=1).fit(chain.data, Run())
    assert isinstance(part, ScoresAll)
    assert not isinstance(part, Embeds)
    assert isinstance(plain, Embeds)
    queries = ask([[0, 1, 2], [7]])
    codes, items = plain.item_vectors()
    np.testing.assert_allclose(
        plain.score_all(queries)[:, codes], plain.query_vectors(queries) @ items.T, rtol=1e-5, atol=1e-5
    )


def test_empty_history_gets_popularity():
    world = worlds.popularity()
    part = small(epochs=2).fit(world.data, Run())
    scores = part.score_all(ask([[], [-1, 99]], 8))
    assert scores.argsort(1)[:, ::-1].tolist() == [list(range(8))] * 2


def rhythm(users=200, seed=0):
    """After item 0: item 1 follows within minutes, item 2 after days; nothing else tells them apart."""
    rng = np.random.default_rng(seed)
    late = rng.random(users) < 0.5
    lists = [[3, 0, 2 if each else 1] for each in late]
    start = 1_700_000_000_000
    times = [[start, start + 60_000, start + 120_000 + each * 5 * 86_400_000] for each in late.tolist()]
    histories = history_of(lists, times)
    return Data(np.arange(users, dtype=np.int32), histories, Catalogue.bare(4), at=start + 10**10)


@pytest.mark.parametrize("clock", ["order", "last", "query"])
def test_the_clock_says_which_time_it_may_know(clock):
    part = small(clock=clock, epochs=20).fit(rhythm(), Run(seed=0))
    start = 1_700_000_000_000
    asked = ask([[3, 0]] * 2, 4, [[start, start + 60_000]] * 2)
    soon, late = part.score_all(
        replace(asked, at=np.array([start + 120_000, start + 120_000 + 5 * 86_400_000], np.int64))
    )
    if clock == "query":
        assert soon[1] > soon[2]
        assert late[2] > late[1]
    else:
        np.testing.assert_array_equal(soon, late)


def test_data_without_times_is_read_by_order(chain):
    run = Run()
    small(clock="query", epochs=1).fit(replace(chain.data, clock=False), run)
    assert any("no times" in line for line in run.warnings)


def labelled(world, size):
    """A world whose items say which of three groups they are of."""
    groups = Column("category", (np.arange(size) % 3).astype(np.int32), ("a", "b", "c"))
    return replace(world, catalogue=replace(Catalogue.bare(size), columns={"group": groups}))


def groups_world(users=150, size=12, seed=1):
    """Users stay in one group of items: i % 3."""
    rng = np.random.default_rng(seed)
    lists = [(rng.permutation(size // 3 - 1)[:3] * 3 + rng.integers(3)).tolist() for _ in range(users)]
    data = Data(np.arange(users, dtype=np.int32), history_of(lists), Catalogue.bare(size), at=10)
    return labelled(data, size)


@pytest.mark.parametrize("evidence", [None, {}])
def test_items_that_nobody_touched_are_ranked_by_content(evidence):
    data = groups_world()
    untouched = np.setdiff1d(np.arange(12), data.histories["item"])
    assert untouched.tolist() == [9, 10, 11]
    config = small(content={}, id_dropout=0.3, evidence=evidence, epochs=20)
    part = config.fit(data, Run(seed=0))
    scores = part.score_all(ask([[0, 3], [1, 4], [2, 5]]))
    assert untouched[scores[:, untouched].argmax(1)].tolist() == [9, 10, 11]
    if evidence is None:
        assert sorted(part.item_vectors()[0].tolist()) == list(range(12))
    else:
        assert part.known.margin != 0
    again = config.load(part.state(), Run(view=StillView.of(data)))
    asked = ask([[0, 3]])
    np.testing.assert_allclose(again.score_all(asked), part.score_all(asked), rtol=1e-4, atol=1e-4)
    with pytest.raises(ConfigError, match="view"):
        config.load(part.state(), Run())


def test_without_content_untouched_items_are_not_scored():
    part = small(epochs=1).fit(groups_world(), Run())
    assert np.isneginf(part.score_all(ask([[0, 3]]))[0, 9:]).all()


def test_kinds_of_action_and_values_are_read():
    """What follows item 0 depends on what was done with it, and how long."""
    rng = np.random.default_rng(0)
    bought, long = rng.random(300) < 0.5, rng.random(300) < 0.5
    lists = [[0, 1 + 2 * b + v] for b, v in zip(bought, long, strict=True)]
    histories = history_of(lists)
    columns = dict(histories.columns)
    columns["action"] = np.stack([bought, np.zeros(300)], 1).reshape(-1).astype(np.int16)
    columns["value"] = np.stack([1.0 + long, np.ones(300)], 1).reshape(-1).astype(np.float32)
    data = Data(
        np.arange(300, dtype=np.int32),
        RaggedTable(histories.offsets, columns),
        Catalogue.bare(5),
        at=10,
        actions=("view", "buy"),
    )
    config = small(epochs=15)
    asked = ask([[0]] * 4, 5)
    history = {**asked.history.columns}
    history["action"] = np.array([0, 0, 1, 1], np.int16)
    history["value"] = np.array([1, 2, 1, 2], np.float32)
    asked = replace(asked, history=RaggedTable(asked.history.offsets, history))
    assert config.fit(data, Run()).score_all(asked).argmax(1).tolist() == [1, 2, 3, 4]
    blind = msgspec.structs.replace(config, surface=False).fit(data, Run()).score_all(asked)
    np.testing.assert_allclose(blind[1:], blind[:-1], rtol=1e-5, atol=1e-5)


def test_a_young_model_starts_where_the_older_one_ended(chain):
    older = small(evidence=None).fit(chain.data, Run(seed=3))
    fresh = small(evidence=None, epochs=0).fit(chain.data, Run(seed=9))
    warm = small(evidence=None, epochs=0).fit(chain.data, Run(seed=9), warm=older)
    assert solved(warm, chain) == 1.0
    assert solved(fresh, chain) < 1.0
    wider = small(evidence=None, epochs=0, dim=32).fit(chain.data, Run(seed=9), warm=older)
    assert wider.items.shape[1] == 32


def test_state_survives_and_a_hole_in_it_is_told(chain, part):
    queries = ask([[0, 1], [5, 4, 3]])
    state = part.state()
    loaded = small().load(state, Run())
    assert loaded.lean is not None
    np.testing.assert_allclose(loaded.score_all(queries), part.score_all(queries), rtol=1e-4, atol=1e-4)
    many = queries.take(np.arange(40) % 2)
    np.testing.assert_allclose(loaded.score_all(many)[:2], part.score_all(queries), rtol=1e-5, atol=1e-5)
    for name in ("codes", "edges", "items.ids", "evidence.1.counts"):
        with pytest.raises(BundleError, match=name):
            small().load(State({k: v for k, v in state.tensors.items() if k != name}, state.meta), Run())
    with pytest.raises(BundleError):
        small().load(State(state.tensors, {}), Run())
    with pytest.raises(BundleError, match="shape"):
        small(layers=1, dim=32).load(state, Run())


def test_a_bundle_from_before_short_convolutions_answers_as_it_did(chain):
    plain = small(short_conv=0, epochs=1).fit(chain.data, Run())
    loaded = small(short_conv=2).load(plain.state(), Run())
    queries = ask([[0, 1], [5, 4, 3]])
    np.testing.assert_allclose(loaded.score_all(queries), plain.score_all(queries), rtol=1e-4, atol=1e-4)


def test_one_more_event_goes_on_from_what_was_read(chain, part):
    """Once loaded; the answer is that of a part which keeps nothing."""
    loaded = small().load(part.state(), Run())
    plain = small(states_mb=0).load(part.state(), Run())
    assert loaded.lean.states is not None
    assert plain.lean.states is None
    for lists in ([[1, 2, 3]], [[1, 2, 3, 4]], [[1, 2, 3, 4, 5, 6]]):
        np.testing.assert_allclose(loaded.score_all(ask(lists)), plain.score_all(ask(lists)), atol=1e-4)
        assert len(loaded.lean.states) == 1
    from_the_end = small(positions="end", epochs=0)
    state = from_the_end.fit(chain.data, Run()).state()
    assert from_the_end.load(state, Run()).lean.states is None


def test_what_comes_later_is_foretold_by_what_is_popular_of_late(chain):
    """All walked in step; of late, item 7 is what everybody takes."""
    rng, users, steps = np.random.default_rng(0), 400, 10
    items = rng.integers(0, 7, (users, steps))
    items[:, -2:] = np.where(rng.random((users, 2)) < 0.7, 7, items[:, -2:])
    moments = np.tile(np.arange(steps) * 5 * DAY_MS, (users, 1))
    data = replace(
        chain.data,
        users=np.arange(users, dtype=np.int32),
        histories=history_of(items.tolist(), moments.tolist()),
        at=steps * 5 * DAY_MS,
    )
    settings = {"epochs": 1, "evidence.horizon": "later", "evidence.ease_items": 0, "evidence.lags": 0}
    later = with_settings(small(), {key: str(each) for key, each in settings.items()}, "test").fit(
        data, Run()
    )
    evidence = later.known.evidence
    assert len(evidence.popularity) == 4
    assert evidence.popularity[1:, 7].min() > evidence.popularity[0, 7]
    scores = later.score_all(ask([[0, 1, 2]], data.size))[0]
    assert np.argmax(scores) == 7


def test_equal_seeds_give_equal_weights(chain):
    one, same, other = (
        small(epochs=2, dropout=0.2).fit(chain.data, Run(seed=s, threads=1)) for s in (1, 1, 2)
    )
    queries = ask([[0, 1, 2]])
    np.testing.assert_array_equal(one.score_all(queries), same.score_all(queries))
    assert not np.array_equal(one.score_all(queries), other.score_all(queries))


def test_evidence_is_left_out_of_sampled_losses(chain):
    part = small(objective={"loss": "sampled", "negatives": 4}, epochs=1).fit(chain.data, Run())
    assert part.known.evidence is None


def test_nothing_at_all_foretells_nothing_later(chain):
    nothing = replace(chain.data, users=chain.data.users[:0], histories=history_of([]))
    config = small(evidence={"horizon": "later"}, epochs=1)
    assert np.isneginf(config.fit(nothing, Run()).score_all(ask([[1, 2]]))).all()


def test_a_history_without_pairs_is_told(chain):
    run = Run()
    histories = RaggedTable(np.array([0, 1]), {k: v[:1] for k, v in chain.data.histories.columns.items()})
    alone = replace(chain.data, users=chain.data.users[:1], histories=histories)
    small().fit(alone, run)
    assert any("nothing to learn" in line for line in run.warnings)


def test_wrong_shapes_are_refused():
    with pytest.raises(ConfigError, match="heads"):
        small(heads=3)


def test_exclusions_and_rules_hold(part):
    queries = replace(ask([[0, 1]]), exclude=Ragged.of([[2, 3]]), wanted=np.array([12], np.int32))
    assert not {2, 3} & set(part(queries, Slates.empty(1)).of(0).tolist())


def test_content_of_nothing_at_all_is_survived(chain):
    nobody = chain.data.histories.where(np.zeros(len(chain.data.histories["item"]), bool))
    config = small(content={}, epochs=1)
    part = config.fit(replace(chain.data, histories=nobody), Run())
    assert part.score_all(chain.queries).max() == -np.inf
