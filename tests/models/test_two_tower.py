from dataclasses import replace

import numpy as np
import pytest
import torch

from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.config import fill
from polyscene.core.contracts import Run, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.models.two_tower import Network, TwoTower
from polyscene.nn.batching import Padded
from polyscene.testing import worlds


def small(**settings):
    plain = {"dim": 16, "hidden": 16, "epochs": 60, "max_len": 8, "batch_size": 64, "dropout": 0.0}
    plain |= {"learning_rate": 0.02, "negatives": 32, "id_dropout": 0.3}
    return fill(TwoTower, {**plain, **settings}, "two_tower")


@pytest.fixture(scope="module")
def colours():
    """People touch items of one colour; items 20 (red) and 21 (blue) are new."""
    rng = np.random.default_rng(0)
    lists = [(2 * rng.permutation(10)[:5] + user % 2).tolist() for user in range(60)]
    colour = Column("category", np.arange(22, dtype=np.int32) % 2, ("red", "blue"))
    catalogue = replace(Catalogue.bare(22), columns={"colour": colour})
    plain = worlds.chain().data
    users = np.arange(60, dtype=np.int32)
    return replace(plain, histories=history_of(lists), users=users, catalogue=catalogue)


@pytest.fixture(scope="module")
def part(colours):
    return small().fit(colours, Run(seed=1))


def ask(lists, size=22):
    return Queries.of_histories(history_of(lists), size)


def test_items_put_later_are_ranked_by_content(part):
    scores = part.score_all(ask([[0, 2, 4], [1, 3, 5]]))
    assert scores[0, 20] > scores[0, 21]
    assert scores[1, 21] > scores[1, 20]
    assert scores[0, 20] > np.median(scores[0, :20])


def test_without_content_they_are_not(colours):
    part = small(content=None, epochs=1).fit(colours, Run())
    assert np.isneginf(part.score_all(ask([[0, 2]]))[0, 20:]).all()


def test_score_is_the_inner_product_also_of_new_items(part):
    queries = ask([[0, 2, 4], [7]])
    codes, items = part.item_vectors()
    assert codes.tolist() == list(range(22))
    np.testing.assert_allclose(
        part.score_all(queries)[:, codes], part.query_vectors(queries) @ items.T, rtol=1e-4, atol=1e-4
    )
    np.testing.assert_allclose(np.linalg.norm(items[:, :-1], axis=1), 1, rtol=1e-5)


def test_to_an_empty_history_new_items_are_as_little_known_as_the_least_known(part):
    scores = part.score_all(ask([[]]))[0]
    assert scores[20] == scores[21] == scores[:20].min()


def test_the_view_tells_what_is_new(colours, part):
    colour = Column("category", np.array([*colours.catalogue.columns["colour"].values, 1]), ("red", "blue"))
    grown = replace(Catalogue.bare(23), columns={"colour": colour})
    again = small().load(part.state(), Run(view=StillView(grown)))
    scores = again.score_all(ask([[1, 3]], 23))
    assert scores[0, 22] == pytest.approx(scores[0, 21])
    np.testing.assert_allclose(scores[:, :22], part.score_all(ask([[1, 3]])), rtol=1e-5, atol=1e-5)


def test_loading_wants_a_view_and_every_tensor(part):
    with pytest.raises(
        ConfigError, match=r"two_tower: loading one with content or people needs Run\(view=...\)"
    ):
        small().load(part.state(), Run())
    state = part.state()
    broken = replace(state, tensors={k: v for k, v in state.tensors.items() if k != "inner/codes"})
    with pytest.raises(BundleError, match="'codes' is missing"):
        small().load(broken, Run(view=part.view))


def test_every_position_reads_what_came_before_it_as_alone():
    network = Network(small(), np.zeros(9, np.float32), 0, None, torch.Generator().manual_seed(0)).eval()
    network.weights.data.copy_(torch.linspace(0, -2, 8))
    rows = np.arange(6)
    whole = Padded.of(rows, np.array([0]), np.array([6]), torch.device("cpu"))
    every = network(whole)[0]
    for length in range(1, 7):
        alone = Padded.of(rows, np.array([0]), np.array([length]), torch.device("cpu"))
        torch.testing.assert_close(network(alone, newest=True)[0], every[length - 1])
