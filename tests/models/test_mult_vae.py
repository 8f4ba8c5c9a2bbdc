from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse
from torch.distributions import Normal, kl_divergence

from polyscene.models.mult_vae import MultVae, Network, divergence
from polyscene.nn.bags import Bag


@pytest.fixture
def bag():
    seen = np.random.default_rng(0).random((6, 10)) < 0.5
    return Bag.of(sparse.csr_matrix(seen.astype(np.float32)), np.arange(6), torch.device("cpu"))


def network(config):
    return Network(config, 10, torch.Generator().manual_seed(0)).eval()


def moments(net, bag):
    """Mean and log-variance by dense products, as the paper writes them."""
    x = torch.zeros(6, 10)
    x[bag.owners(), bag.rows] = 1
    hidden = torch.tanh(torch.nn.functional.normalize(x) @ net.inputs.vectors + net.inputs.bias)
    return x, *net.moments(hidden).split(net.moments.out_features // 2, 1)


@pytest.mark.parametrize("progress", [0.0, 0.1, 0.25, 0.5, 0.9])
def test_the_loss_is_the_evidence_bound_written_out(bag, progress):
    config = MultVae(dim=3, hidden=5, beta=0.4, anneal=0.5)
    net, bag = network(config), replace(bag, progress=progress)
    x, mean, log_var = moments(net, bag)
    noise = torch.randn(6, 3, generator=torch.Generator().manual_seed(9))
    net.chance.manual_seed(9)
    tastes = mean + noise * log_var.exp().sqrt()
    logits = net.outputs(torch.tanh(net.wide(tastes)))
    likelihood = (logits.log_softmax(1) * x).sum(1)
    beta = 0.4 * min(1.0, progress / 0.5)
    apart = kl_divergence(Normal(mean, (log_var / 2).exp()), Normal(0.0, 1.0)).sum(1)
    expected = (beta * apart - likelihood).mean()
    torch.testing.assert_close(config._loss(net, bag), expected)


def test_without_annealing_the_divergence_counts_from_the_start(bag):
    config = MultVae(dim=3, hidden=5, beta=0.4, anneal=0.0)
    net = network(config)
    mean, log_var = net.posterior(bag)
    at_once, none = (replace_beta(config, beta)._loss(reset(net), bag) for beta in (0.4, 0.0))
    torch.testing.assert_close(at_once - none, 0.4 * divergence(mean, log_var).mean())


def replace_beta(config, beta):
    return MultVae(dim=config.dim, hidden=config.hidden, beta=beta, anneal=config.anneal)


def reset(net):
    net.chance.manual_seed(4)
    return net


def test_answers_come_from_the_mean(bag):
    net = network(MultVae(dim=3, hidden=5))
    _, mean, _ = moments(net, bag)
    torch.testing.assert_close(net.encode(bag), torch.tanh(net.wide(mean)))
