import numpy as np
import pytest
import torch

from polyscene.core.config import fill
from polyscene.core.contracts import Run
from polyscene.core.slates import Slates
from polyscene.models.sasrec import SasRec
from polyscene.nn.losses import full_softmax
from polyscene.nn.negatives import Sampler
from polyscene.nn.next_item import NextItemConfig
from polyscene.nn.objectives import bpr, gbce, hinge, sampled_softmax
from polyscene.testing import worlds

TWINS = {
    "sampled": sampled_softmax,
    "bpr": bpr,
    "hinge": hinge,
    "bce": lambda *parts: gbce(*parts, 0.0),
    "gbce": lambda *parts: gbce(*parts, 0.5),
}


def parts():
    chance = torch.Generator().manual_seed(0)
    return (
        torch.randn(20, 4, generator=chance),
        torch.randn(30, 4, generator=chance),
        torch.randint(30, (20,), generator=chance),
    )


@pytest.mark.parametrize("sampler", ["uniform", "popularity", "in_batch", "mixed"])
@pytest.mark.parametrize("name", list(TWINS))
def test_a_loss_is_the_one_it_is_called(name, sampler):
    hidden, items, targets = parts()
    counts = np.arange(30)
    config = fill(
        NextItemConfig, {"loss": name, "sampler": sampler, "negatives": 8, "calibration": 0.5}, "test"
    )
    loss = config.loss_against(counts, torch.Generator().manual_seed(3))
    drawn = Sampler(sampler, 8, counts, torch.Generator().manual_seed(3)).draw(targets)
    torch.testing.assert_close(loss(hidden, items, targets), TWINS[name](hidden, items, targets, drawn))


def test_the_full_loss_draws_nothing():
    chance = torch.Generator().manual_seed(3)
    loss = NextItemConfig().loss_against(np.arange(30), chance)
    torch.testing.assert_close(loss(*parts()), full_softmax(*parts()))
    assert chance.get_state().equal(torch.Generator().manual_seed(3).get_state())


@pytest.mark.parametrize("loss", ["gbce", "bce", "bpr", "hinge"])
def test_every_loss_teaches_a_model_the_chain(loss):
    chain = worlds.chain()
    plain = {"dim": 16, "layers": 1, "epochs": 40, "max_len": 8, "batch_size": 64, "dropout": 0.0}
    config = fill(SasRec, {**plain, "learning_rate": 0.02, "loss": loss, "negatives": 8}, "sasrec")
    part = config.fit(chain.data, Run(seed=1))
    slates = part(chain.queries, Slates.empty(len(chain.queries)))
    assert all(slates.of(row)[0] == chain.answers[row][0] for row in range(len(slates)))
