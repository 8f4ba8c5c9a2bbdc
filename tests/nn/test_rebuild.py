from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Embeds, Encodes, Run, ScoresAll, State
from polyscene.core.errors import BundleError
from polyscene.core.memo import memo
from polyscene.core.queries import Queries, history_of
from polyscene.models.autoencoder import Autoencoder
from polyscene.models.denoising import Denoising
from polyscene.models.mult_vae import MultVae
from polyscene.models.recvae import RecVae
from polyscene.testing import worlds

SMALL = {"dim": 8, "epochs": 4, "batch_size": 16}
CONFIGS = [
    Autoencoder(**SMALL, hidden=16),
    Denoising(**SMALL),
    MultVae(**SMALL, hidden=16),
    RecVae(**SMALL, hidden=16),
]
every = pytest.mark.parametrize("config", CONFIGS, ids=lambda config: type(config).__name__)


def ask(lists, size=30):
    return Queries.of_histories(history_of(lists), size)


@pytest.fixture(scope="module")
def part():
    return CONFIGS[0].fit(worlds.noise(), Run(seed=1))


@every
def test_score_is_the_inner_product_of_the_vectors(config):
    part = config.fit(worlds.noise(), Run())
    queries = ask([[0, 1, 2], [7]])
    codes, items = part.item_vectors()
    scores = part.score_all(queries)
    np.testing.assert_allclose(scores[:, codes], part.query_vectors(queries) @ items.T, 1e-5, 1e-5)
    assert np.isneginf(np.delete(scores, codes, 1)).all()
    assert isinstance(part, ScoresAll | Embeds)
    assert isinstance(part, Encodes)


def test_order_repeats_and_unknown_items_do_not_matter(part):
    plain, other = part.score_all(ask([[1, 2, 3], [3, -1, 2, 999, 1, 3]]))
    np.testing.assert_allclose(plain, other, rtol=1e-5, atol=1e-6)


def test_an_empty_history_gets_popularity_and_a_zero_vector(part):
    queries = ask([[], [-1, 99]])
    scores = part.score_all(queries)[:, part.rows.codes]
    counts = np.bincount(worlds.noise().histories["item"])[part.rows.codes] + 1.0
    np.testing.assert_allclose(np.exp(scores), [counts / counts.sum()] * 2, rtol=1e-5)
    assert not part.query_vectors(queries).any()


def test_many_queries_in_blocks_equal_each_alone(part, monkeypatch):
    rng = np.random.default_rng(0)
    lists = [rng.integers(0, 30, length).tolist() for length in rng.integers(0, 9, 40)]
    together = part.score_all(ask(lists))
    monkeypatch.setattr("polyscene.nn.rebuild.ENCODE_USERS", 7)
    np.testing.assert_allclose(together, part.score_all(ask(lists)), rtol=1e-5, atol=1e-5)
    alone = np.concatenate([part.score_all(ask([items])) for items in lists])
    np.testing.assert_allclose(together, alone, rtol=1e-5, atol=1e-5)


def test_a_request_encodes_its_history_once(part):
    queries = ask([[1, 2]])
    with memo():
        first = part.query_vectors(queries)
        part.score_all(queries)
        assert part.query_vectors(queries) is first


@every
def test_warm_start_carries_items_over_by_code(config):
    older = config.fit(worlds.noise(), Run(seed=1))
    # Only half of the items, so that rows shift against codes.
    lists = [[item, item + 2] for item in range(1, 11)]
    data = replace(worlds.noise(users=10), histories=history_of(lists))
    warm = type(config)(**{**SMALL, "epochs": 0, **_widths(config)}).fit(data, Run(seed=2), older)
    queries = ask([[1, 5, 7], [4]])
    codes = warm.rows.codes
    assert codes.tolist() == list(range(1, 13))
    np.testing.assert_allclose(
        warm.score_all(queries)[:, codes], older.score_all(queries)[:, codes], 1e-5, 1e-5
    )


@every
def test_warm_start_from_another_shape_takes_what_fits(config):
    older = config.fit(worlds.noise(), Run(seed=1))
    wider = type(config)(**{**SMALL, "dim": 12, **_widths(config)})
    assert np.isfinite(wider.fit(worlds.noise(), Run(), older).score_all(ask([[1]]))).any()


def _widths(config):
    return {"hidden": config.hidden} if hasattr(config, "hidden") else {}


def test_validation_keeps_the_best_part():
    seen = []

    def judge(part):
        seen.append(part.score_all(ask([[0, 1]])))
        return -float(len(seen))

    part = replace_epochs(validate_every=1, patience=2).fit(worlds.noise(), Run(validate=judge))
    assert len(seen) == 3
    np.testing.assert_array_equal(part.score_all(ask([[0, 1]])), seen[0])


def replace_epochs(**settings):
    return Autoencoder(**SMALL, hidden=16, **settings)


def test_nothing_to_learn_from_is_said():
    run = Run()
    replace_epochs().fit(worlds.nothing(3), run)
    assert run.warnings == ["autoencoder: no history has an item, so there was nothing to learn from"]


def test_a_bundle_of_another_config_is_refused(part):
    with pytest.raises(
        BundleError, match=r"'inputs.vectors' has shape \(28, 16\), but the config asks for"
    ):
        Autoencoder(dim=8, hidden=20).load(part.state(), Run())


@pytest.mark.parametrize("name", ["codes", "prior", "outputs.vectors"])
def test_missing_tensor_is_named(part, name):
    tensors = {key: value for key, value in part.state().tensors.items() if key != name}
    with pytest.raises(BundleError, match=f"'{name}' is missing"):
        CONFIGS[0].load(State(tensors), Run())
