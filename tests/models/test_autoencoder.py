import numpy as np
import pytest
import torch

from polyscene.core.config import fill
from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.models.autoencoder import Autoencoder
from polyscene.testing.worlds import checkerboard, noise

SMALL = {"dim": 1, "hidden": 16, "epochs": 200, "batch_size": 40, "learning_rate": 0.02, "dropout": 0.0}


def test_scores_are_the_layers_written_out():
    part = Autoencoder(**{**SMALL, "epochs": 3, "dropout": 0.5}).fit(noise(), Run())
    tensors = {name: torch.from_numpy(value) for name, value in part.state().tensors.items()}

    def layer(name, x):
        return x @ tensors[f"{name}.weight"].T + tensors[f"{name}.bias"]

    row = part.rows.of(np.array([3, 5, 8]))
    hidden = torch.tanh(tensors["inputs.vectors"][row].sum(0) / 3**0.5 + tensors["inputs.bias"])
    code = torch.tanh(layer("narrow", hidden))
    expected = torch.tanh(layer("wide", code)) @ tensors["outputs.vectors"].T + tensors["outputs.bias"]
    found = part.score_all(Queries.of_histories(history_of([[8, 3, 5]]), 30))[0, part.rows.codes]
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("loss", ["mse", "cross_entropy"])
def test_what_was_touched_is_rebuilt_through_a_bottleneck(loss):
    world = checkerboard()
    part = Autoencoder(**SMALL, loss=loss).fit(world.data, Run(seed=1))
    scores = part.score_all(Queries.of_histories(world.data.histories, 20))
    if loss == "cross_entropy":
        # The softmax's mass, times a user's nine items; the withheld tenth is as the nine.
        scores = np.exp(scores - np.log(np.exp(scores).sum(1, keepdims=True))) * 9
    same = (np.arange(20) - np.arange(20)[:, None]) % 2 == 0
    assert scores[same].min() > 0.8
    assert np.abs(scores[~same]).max() < 0.05


def test_losses_are_named():
    with pytest.raises(ConfigError, match=r"home.loss: .*hinge"):
        fill(Autoencoder, {"loss": "hinge"}, "home")
