import numpy as np
import pytest
import torch

from polyscene.core.arrays import Ragged
from polyscene.core.config import fill
from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.models.bert4rec import Bert4Rec, Network
from polyscene.nn.batching import NextItem
from polyscene.testing import worlds


def small(**settings):
    plain = {"dim": 16, "layers": 1, "epochs": 2, "max_len": 8, "batch_size": 64, "dropout": 0.0}
    return fill(Bert4Rec, {**plain, **settings}, "bert4rec")


@pytest.fixture
def lesson():
    chance = torch.Generator().manual_seed(0)
    lists = [np.arange(length) % 9 for length in [2, 3, 9, 9, 5] * 8]
    batches = NextItem(Ragged.of(lists), max_len=8, batch_size=400, seed=0, device=torch.device("cpu"))
    return lambda **settings: (Network(small(**settings), 9, chance), next(batches.epoch(0)))


def seen_by(network, batch):
    """What the network reads while it learns, and what it must name."""
    read = []
    network.register_forward_pre_hook(lambda _, inputs: read.append(inputs[0]))
    _, targets = network.lesson(batch)
    return read[0], targets


def test_holes_hide_what_is_to_be_named(lesson):
    network, batch = lesson(hide=0.4, newest=0.0)
    read, targets = seen_by(network, batch)
    holes = read.rows == 9
    assert (holes.sum(1) > 0).all()
    assert len(targets) == holes.sum()
    # The item at each place of these histories is the place, counted from the oldest.
    lengths = batch.inputs.real.sum(1) + 1
    first = torch.where(batch.inputs.rows[:, 0] < 9, batch.inputs.rows[:, 0], 0)
    place = torch.arange(read.rows.shape[1])
    assert (targets == ((first[:, None] + place) % 9)[holes]).all()
    assert (read.real.sum(1) == lengths).all()
    share = holes.sum() / read.real.sum()
    assert 0.3 < share < 0.55


def test_the_newest_alone_can_be_hidden(lesson):
    network, batch = lesson(hide=0.5, newest=0.999)
    read, _ = seen_by(network, batch)
    assert ((read.rows == 9) == ((read.ages == 0) & read.real)).all()


def test_a_hole_sees_both_sides(lesson):
    network, batch = lesson()
    network.eval()
    before = network(batch.inputs)[:, 0]
    changed = batch.inputs.rows.clone()
    changed[:, 1] = 8
    after = network(
        type(batch.inputs)(changed, *(getattr(batch.inputs, n) for n in ("ages", "real", "last")))
    )
    assert not torch.allclose(before, after[:, 0])


def test_heads_must_divide_dim():
    with pytest.raises(ConfigError, match="dim 64 can't be cut into 3 heads; choose a multiple"):
        Bert4Rec(heads=3)


def test_a_warm_start_carries_vectors_and_biases_by_code():
    world = worlds.chain()
    part = small().fit(world.data, Run(seed=1))
    warm = small(epochs=0).fit(world.data, Run(seed=2), part)
    queries = Queries.of_histories(history_of([[1, 2, 3]]), world.data.size)
    np.testing.assert_allclose(warm.score_all(queries), part.score_all(queries), rtol=1e-5, atol=1e-5)
