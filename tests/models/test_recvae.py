from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.distributions import Categorical, MixtureSameFamily, Normal

from polyscene.core.errors import ConfigError
from polyscene.models.recvae import Network, RecVae, log_normal
from polyscene.nn.bags import Bag, multinomial

CONFIG = RecVae(dim=3, hidden=5, gamma=0.02, corrupt=0.0)


@pytest.fixture
def bag():
    seen = np.random.default_rng(0).random((6, 10)) < 0.5
    return Bag.of(sparse.csr_matrix(seen.astype(np.float32)), np.arange(6), torch.device("cpu"))


@pytest.fixture
def net():
    return Network(CONFIG, 10, torch.Generator().manual_seed(0))


def encoder_moves(net):
    with torch.no_grad():
        for name, each in net.named_parameters():
            if not name.startswith("outputs."):
                each.add_(0.3 * torch.ones_like(each).normal_(generator=net.chance))


def draw(net, bag, seed=9):
    mean, log_var = net(bag)
    net.chance.manual_seed(seed)
    return mean, log_var, net.draw(mean, log_var)


def test_the_prior_is_the_mixture_of_three_with_the_encoder_that_was(net, bag):
    net.remember(0)
    then = [each.detach() for each in net(bag)]
    encoder_moves(net)
    _, _, tastes = draw(net, bag)
    now = [each.detach() for each in net(bag)]
    assert not torch.allclose(then[0], now[0])
    locs = torch.stack([torch.zeros(6, 3), then[0], torch.zeros(6, 3)], -1)
    spreads = torch.stack([torch.ones(6, 3), (then[1] / 2).exp(), torch.full((6, 3), np.exp(5.0))], -1)
    mixed = MixtureSameFamily(Categorical(torch.tensor([0.15, 0.75, 0.1])), Normal(locs, spreads))
    torch.testing.assert_close(
        net.log_prior(bag, tastes, CONFIG.mixture), mixed.log_prob(tastes), rtol=1e-4, atol=1e-5
    )


def test_the_encoders_loss_weighs_each_users_divergence_by_their_items(net, bag):
    net.remember(0)
    encoder_moves(net)
    mean, log_var, tastes = draw(net, bag)
    apart = log_normal(tastes, mean, log_var) - net.log_prior(bag, tastes, CONFIG.mixture)
    per_user = apart.sum(1) * 0.02 * bag.counts
    expected = multinomial(net.outputs(tastes), bag) + per_user.mean()
    net.chance.manual_seed(9)
    torch.testing.assert_close(CONFIG._loss(net, bag), expected)


@pytest.mark.parametrize(
    ("turn", "learns"), [(0, "encoder"), (2, "encoder"), (3, "decoder"), (7, "decoder")]
)
def test_each_turn_one_half_learns_and_the_other_holds_still(net, bag, turn, learns):
    CONFIG._loss(net, replace(bag, turn=turn)).backward()
    for name, each in net.named_parameters():
        moved = each.grad is not None and bool(each.grad.any())
        assert moved == (name.startswith("outputs.") == (learns == "decoder")), name


def test_the_decoder_learns_from_whole_histories(bag):
    net = Network(RecVae(dim=3, hidden=5, corrupt=0.9), 10, torch.Generator().manual_seed(0))
    _, _, tastes = draw(net.eval(), bag)
    expected = multinomial(net.outputs(tastes), bag)
    net.train().chance.manual_seed(9)
    torch.testing.assert_close(CONFIG._loss(net, replace(bag, turn=3)), expected)


def test_the_encoder_is_remembered_once_an_epoch(net, bag):
    def remembered(turn):
        CONFIG._loss(net, replace(bag, turn=turn))
        return net.earlier.clone()

    first = remembered(0)
    encoder_moves(net)
    assert torch.equal(remembered(1), first)
    assert torch.equal(remembered(3), first)
    assert not torch.equal(remembered(4), first)


def test_layers_are_densely_connected(net, bag):
    x = net.inputs(bag)
    silu = torch.nn.functional.silu
    h1 = net.norms[0](silu(x))
    h2 = net.norms[1](silu(net.dense[0](h1) + h1))
    h3 = net.norms[2](silu(net.dense[1](h2) + h1 + h2))
    h4 = net.norms[3](silu(net.dense[2](h3) + h1 + h2 + h3))
    h5 = net.norms[4](silu(net.dense[3](h4) + h1 + h2 + h3 + h4))
    mean, log_var = net(bag)
    torch.testing.assert_close(torch.cat([mean, log_var], 1), net.moments(h5))


@pytest.mark.parametrize("mixture", [(0.5, 0.5, 0.5), (1.0, 0.0, 0.0)])
def test_a_mixture_must_be_shares(mixture):
    with pytest.raises(ConfigError, match=r"recvae: mixture is .* three positive shares that sum to 1"):
        RecVae(mixture=mixture)
