from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.config import fill
from polyscene.core.contracts import Run, State, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models import generative
from polyscene.models.generative import Generative
from polyscene.testing import worlds


def small(**settings):
    plain = {
        "dim": 16,
        "epochs": 30,
        "max_len": 16,
        "batch_size": 128,
        "dropout": 0.0,
        "decoder_dropout": 0.0,
    }
    ids = {"levels": 2, "codes": 6, "beam": 16, "smoothing": 0.0}
    return fill(Generative, {**plain, **ids, "learning_rate": 0.02, **settings}, "generative")


@pytest.fixture(scope="module")
def chain():
    return worlds.chain()


@pytest.fixture(scope="module")
def part(chain):
    return small().fit(chain.data, Run(seed=3))


def described(data, size=15):
    """The same data over `size` items, each of a genre: its code modulo 4."""
    genre = np.arange(size, dtype=np.int32) % 4
    column = Column("category", genre, tuple(f"genre {number}" for number in range(4)))
    return replace(data, catalogue=replace(Catalogue.bare(size), columns={"genre": column}))


def ask(lists, size=12, wanted=10):
    return Queries.of_histories(history_of(lists), size, wanted=wanted)


def answer(part, queries):
    return part(queries, Slates.empty(len(queries)))


def scores(part, queries):
    """(B, I) by item, NaN where it was not written."""
    slates = answer(part, queries)
    block = np.full((len(queries), queries.allowed.size), np.nan)
    block[slates.rows(), slates.items] = slates.scores
    return block


def solved(part, world):
    slates = answer(part, world.queries)
    return float(np.mean([slates.of(row)[0] == world.answers[row][0] for row in range(len(slates))]))


@pytest.mark.parametrize(
    "settings",
    [
        {"quantizer": "rqvae"},
        {"item_ids": False},
        {"levels": 3, "codes": 3},
        {"block": "sasrec", "layers": 2, "heads": 2, "decoder_layers": 2, "epochs": 60},
        {"dropout": 0.1, "smoothing": 0.05},
    ],
)
def test_every_variant_solves_the_chain(chain, settings):
    assert solved(small(**settings).fit(chain.data, Run(seed=1)), chain) == 1.0


def test_probabilities_of_all_items_sum_to_one(part):
    found = scores(part, ask([[0, 1, 2], [7]], wanted=12))
    np.testing.assert_allclose(np.exp(found).sum(1), 1, atol=1e-4)


def test_nothing_ineligible_comes_and_what_is_wanted_is_found():
    data = worlds.noise(users=60, items=200, seed=2)
    part = small(epochs=1, beam=4).fit(data, Run())
    queries, rng = worlds.ask(data), np.random.default_rng(0)
    masks = rng.random((3, 200)) < 0.15
    allowed = Eligible(masks, np.arange(len(queries)) % 3)
    for wanted in (1, 4, 9, 50):
        asked = replace(queries.wanting(wanted), allowed=allowed)
        slates = answer(part, asked)
        for row in range(len(queries)):
            barred = np.isin(np.arange(200), queries.exclude[row])
            eligible = np.flatnonzero(allowed.of(row) & ~barred)
            assert set(slates.of(row)) <= set(eligible)
            assert len(slates.of(row)) == min(wanted, len(eligible))


def test_a_wide_beam_is_exact_and_a_narrow_one_near_it(chain):
    data = worlds.noise(users=60, items=200, seed=2)
    narrow = small(epochs=5, beam=8).fit(data, Run())
    wide = small(beam=200).load(narrow.state(), Run())
    asked = worlds.ask(data, wanted=5)
    left, right = answer(narrow, asked), answer(wide, asked)
    first = np.mean([left.of(row)[0] == right.of(row)[0] for row in range(len(asked))])
    assert first > 0.9
    best = right.scores[right.offsets[:-1]]
    assert (left.scores[left.offsets[:-1]] <= best + 1e-5).all()


def test_empty_history_gets_popularity_among_eligible_items():
    world = worlds.popularity()
    part = small(epochs=1).fit(world.data, Run())
    allowed = Eligible(np.arange(8)[None] % 2 == 1, np.zeros(2, np.int64))
    queries = replace(ask([[], [-1, 99]], 8), allowed=allowed, exclude=Ragged.of([[3], []]))
    slates = answer(part, queries)
    assert [slates.of(row).tolist() for row in range(2)] == [[1, 5, 7], [1, 3, 5, 7]]


def test_only_the_newest_events_count(part):
    tail = [0, 1, 2, 3] * 4
    left, right = scores(part, ask([[9, 9, 9, *tail], tail], wanted=12))
    np.testing.assert_allclose(left, right, rtol=1e-5, atol=1e-5)


def test_many_queries_in_blocks_equal_each_alone(part, monkeypatch):
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 12, length).tolist() for length in rng.integers(0, 40, 60)]
    together = scores(part, ask(lists))
    monkeypatch.setattr(generative, "ENCODE_EVENTS", 50)
    monkeypatch.setattr(generative, "SEARCH_CELLS", 700)
    in_blocks = scores(part, ask(lists))
    np.testing.assert_allclose(together, in_blocks, rtol=1e-5, atol=1e-5)


def test_items_put_later_stand_beside_their_kind(chain):
    data = described(chain.data)
    part = small(content_weight=0.9).fit(data, Run(seed=3))
    queries = ask([[3, 4, 5], [1, 2]], 15, wanted=15)
    block = scores(part, queries)
    assert np.isfinite(block).all()
    older = small(content_weight=0.9).load(part.state(), Run())
    np.testing.assert_allclose(scores(older, queries)[:, :12], block[:, :12], rtol=1e-5, atol=1e-5)
    assert np.isnan(scores(older, queries)[:, 12:]).all()


def test_a_history_may_hold_items_put_later(chain):
    data = described(chain.data)
    part = small(content_weight=0.9).fit(data, Run(seed=3))
    told, untold = scores(part, ask([[13], []], 15, wanted=12))
    assert not np.array_equal(told, untold, equal_nan=True)


def test_ids_stay_while_the_catalogue_grows(chain):
    class Growing:
        catalogue = described(chain.data, 12).catalogue

    part = small().fit(described(chain.data, 12), Run(view=Growing))
    first = part._index()
    assert part._index() is first
    Growing.catalogue = described(chain.data, 15).catalogue
    second = part._index()
    np.testing.assert_array_equal(second.ids[:12], first.ids)
    assert len(second.ids) == 15
    Growing.catalogue = described(chain.data, 15).catalogue
    assert part._index() is second, "nothing about ids changed"


def test_quality_is_told_and_saved(part):
    assert part.quality.collisions >= 0
    assert len(part.quality.usage) == len(part.quality.error) == 2
    assert small().load(part.state(), Run()).quality == part.quality


def test_validation_keeps_the_best_part(chain):
    seen = []

    def judge(part):
        seen.append(scores(part, ask([[0, 1]])))
        return -float(len(seen))

    part = small(validate_every=2, patience=2).fit(chain.data, Run(validate=judge))
    assert len(seen) == 3
    np.testing.assert_array_equal(scores(part, ask([[0, 1]])), seen[0])


def test_nothing_to_learn_from_is_said():
    run = Run()
    small().fit(worlds.nothing(3), run)
    assert run.warnings == ["generative: no history has two events, so there was nothing to learn from"]


def test_warm_start_keeps_ids_and_scores(chain, part):
    # The same circle without its first four items, so that rows shift against codes.
    lists = [[start, start + 1, start + 2] for start in range(4, 10)]
    data = replace(chain.data, histories=history_of(lists), users=chain.data.users[: len(lists)])
    warm = small(epochs=0).fit(data, Run(), part)
    np.testing.assert_array_equal(warm.given.ids, part.given.ids[4:])
    queries = ask([[5, 6, 7]], wanted=12)
    assert np.nanargmax(scores(warm, queries)[0]) == np.nanargmax(scores(part, queries)[0]) == 8


def test_warm_start_from_other_ids_trains_afresh(chain, part):
    assert solved(small(levels=1, codes=4).fit(chain.data, Run(), part), chain) == 1.0


def test_seed_decides(chain, part):
    queries = ask([[0, 1]])
    again, other = small().fit(chain.data, Run(seed=3)), small().fit(chain.data, Run(seed=4))
    np.testing.assert_array_equal(scores(again, queries), scores(part, queries))
    assert not np.allclose(scores(other, queries), scores(part, queries), equal_nan=True)


def test_heads_must_divide_dim():
    with pytest.raises(ConfigError, match="dim 64 can't be cut into 3 heads; choose a multiple"):
        Generative(heads=3)


@pytest.mark.parametrize(
    ("key", "value"), [("codes", 1), ("levels", 0), ("quantizer", "x"), ("smoothing", 1.0)]
)
def test_values_out_of_range_are_named(key, value):
    with pytest.raises(ConfigError, match=f"home.{key}: "):
        fill(Generative, {key: value}, "home")


@pytest.mark.parametrize("name", ["prior", "outputs", "ids/ids"])
def test_missing_tensor_is_named(part, name):
    state = part.state()
    tensors = {key: value for key, value in state.tensors.items() if key != name}
    with pytest.raises(BundleError, match=f"'{name.removeprefix('ids/')}' is missing"):
        small().load(State(tensors, state.meta), Run())


def test_a_view_is_what_the_part_looks_at(chain):
    data = described(chain.data)
    part = small(epochs=1).fit(data, Run(view=StillView.of(data)))
    assert len(part._index().rows) == 15
