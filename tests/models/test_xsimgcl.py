import numpy as np
import pytest
import torch

from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.models.xsimgcl import Network, XSimGcl
from polyscene.nn.pairs import Pairs, Touched
from polyscene.testing.worlds import ask, noise


def network(**settings):
    touched = Touched.of(noise())
    return touched, Network(XSimGcl(dim=4, **settings), touched, torch.Generator().manual_seed(0))


def first_batch(touched):
    return next(
        Pairs(touched.cells, batch_size=30, negatives=1, seed=0, device=torch.device("cpu")).epoch(0)
    )


def test_the_users_of_the_network_follow_from_their_histories():
    touched, net = network(layers=3)
    final = torch.stack(net.eval().layers()[1:]).mean(0).detach().numpy()
    users, part = len(touched.users), net.part()
    np.testing.assert_allclose(part.query_vectors(ask(noise())), final[:users], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(part.items, final[users:], rtol=1e-4, atol=1e-6)


def test_noise_has_its_length_keeps_signs_and_is_for_training_alone():
    _, net = network(noise=0.3)
    x = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    moved = net.train().noisy(x) - x
    torch.testing.assert_close(moved.norm(dim=1), torch.full((9,), 0.3))
    assert (moved * x >= 0).all()
    assert net.eval().noisy(x) is x


def test_the_contrast_weighs_what_it_is_told():
    touched, net = network(contrast=0.0, noise=0.0)
    batch = first_batch(touched)
    plain = net.loss(batch)
    (_, half), (_, whole) = (network(contrast=weight, noise=0.0) for weight in (0.5, 1.0))
    assert whole.loss(batch) > plain
    torch.testing.assert_close(whole.loss(batch) - plain, 2 * (half.loss(batch) - plain))


def test_a_step_that_is_never_made_cannot_be_contrasted():
    with pytest.raises(ConfigError, match="contrasted is step 3 of 2"):
        XSimGcl(layers=2, contrasted=3).fit(noise(), Run())
