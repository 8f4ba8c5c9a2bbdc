from dataclasses import replace

import numpy as np
import pytest
import torch

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import Run, StillView
from polyscene.core.queries import Queries, history_of
from polyscene.models.content_vectors import ContentVectors, Network
from polyscene.nn.batching import Padded
from polyscene.testing.worlds import START_MS, noise

WORDS = ("red", "green", "blue", "round", "square", "flat")


def shop(items=48):
    """Items of a colour and a form; whoever takes a colour takes the next one afterwards, form kept."""
    colours = np.arange(items) % 3
    forms = 3 + (np.arange(items) // 3) % 3
    tags = Ragged.of([[colour, form] for colour, form in zip(colours, forms, strict=True)])
    bare = Catalogue.bare(items)
    return replace(bare, columns={"tags": Column("tags", tags, WORDS)}), colours, forms


def walks(items, colours, forms, count=150):
    rng = np.random.default_rng(0)
    lists = []
    for _ in range(count):
        form, colour, walk = rng.integers(3, 6), rng.integers(3), []
        for step in range(6):
            fits = np.flatnonzero(
                (colours == (colour + step) % 3) & (forms == form) & (np.arange(len(colours)) < items)
            )
            walk.append(int(rng.choice(fits)))
        lists.append(walk)
    return history_of(lists, [[START_MS + place for place in range(6)]] * count)


@pytest.fixture(scope="module")
def world():
    catalogue, colours, forms = shop()
    histories = walks(39, colours, forms)
    data = replace(noise(), users=np.arange(150, dtype=np.int32), histories=histories, catalogue=catalogue)
    config = ContentVectors(dim=8, epochs=60, batch_size=300, learning_rate=0.03, dropout=0.0, average=0.9)
    return data, colours, forms, config


def test_what_follows_is_learned_by_content_and_holds_for_items_never_seen(world):
    data, colours, forms, config = world
    part = config.fit(data, Run(seed=1, threads=1, view=StillView.of(data)))
    item = 40
    block = part.score_all(Queries.of_histories(history_of([[item]]), data.size))[0]
    next_kind = (colours == (colours[item] + 1) % 3) & (forms == forms[item])
    new = np.arange(data.size) >= 39
    assert block[next_kind & new].min() > block[~next_kind & new].max()


def test_items_of_equal_content_score_alike(world):
    data, _, _, config = world
    part = replace_epochs(config, 1).fit(data, Run(seed=1, threads=1, view=StillView.of(data)))
    block = part.score_all(Queries.of_histories(history_of([[3, 7], [5]]), data.size))
    np.testing.assert_allclose(block[:, :39], block[:, 9:], rtol=1e-5)


@pytest.mark.parametrize("profile", ["attention", "mean"])
def test_profiles_are_weighted_means_written_out(profile):
    chance = torch.Generator().manual_seed(0)
    network = Network(ContentVectors(dim=4, profile=profile), 3, chance).eval()
    content = torch.randn(2, 5, 3, generator=chance)
    rows = np.arange(10)
    padded = Padded.of(rows, np.array([0, 5]), np.array([5, 3]), torch.device("cpu"))
    x = network.read(content)
    for newest in (False, True):
        found = network(content, padded, newest=newest).detach()
        for line, length in enumerate((5, 3)):
            for place in range(length):
                if newest and place < length - 1:
                    continue
                weights = torch.ones(place + 1)
                if profile == "attention":
                    worth = network.worth(torch.tanh(network.look(x[line, : place + 1])))[:, 0]
                    back = torch.arange(place, -1, -1)
                    weights = (worth - torch.nn.functional.softplus(network.decay) * back).exp()
                expected = (weights[:, None] * x[line, : place + 1]).sum(0) / weights.sum()
                mine = found[line] if newest else found[line, place]
                torch.testing.assert_close(mine, expected.detach())


def test_a_warm_start_goes_on_where_the_older_part_stood(world):
    data, _, _, config = world
    run = Run(seed=1, threads=1, view=StillView.of(data))
    older = replace_epochs(config, 2).fit(data, run)
    again = replace_epochs(config, 0).fit(data, replace(run, seed=5), older)
    queries = Queries.of_histories(history_of([[3, 7], [], [-1]]), data.size)
    block = again.score_all(queries)
    np.testing.assert_array_equal(block, older.score_all(queries))
    assert np.isneginf(block[1:]).all()


def replace_epochs(config, epochs):
    return ContentVectors(dim=config.dim, epochs=epochs, batch_size=config.batch_size, dropout=0.0)
