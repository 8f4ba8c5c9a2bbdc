import numpy as np
import pytest
import torch
from torch import nn

from polyscene.core.errors import BundleError
from polyscene.nn.weights import Weights, put_tensors, tensors_of


def model():
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))


def test_one_vector_is_all_parameters():
    net, x = model(), torch.ones(1, 3)
    weights = Weights(net)
    assert len(weights.flat) == 3 * 4 + 4 + 4 * 2 + 2
    net(x).sum().backward()
    assert torch.equal(weights.flat.grad, torch.cat([each.grad.reshape(-1) for each in net.parameters()]))
    assert weights.flat.grad.any()
    weights.flat.data.zero_()
    assert not net(x).any()


def test_average_follows_and_can_be_looked_at():
    net, x = model(), torch.ones(1, 3)
    weights = Weights(net)
    before = net(x)
    weights.flat.data.zero_()
    weights.follow(0.75)
    with weights.averaged():
        assert net(x).any()
        assert not torch.equal(net(x), before)
    assert not net(x).any()


def test_state_goes_round():
    net, other = model(), nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 2))
    put_tensors(other, tensors_of(net))
    x = torch.ones(1, 3)
    assert torch.equal(net(x), other(x))


def test_tensors_are_copies():
    net = model()
    tensors = tensors_of(net)
    tensors["0.weight"][:] = 0
    assert net[0].weight.any()


def test_missing_tensor_is_named():
    tensors = tensors_of(model())
    del tensors["1.bias"]
    with pytest.raises(BundleError, match=r"'1\.bias' is missing"):
        put_tensors(model(), tensors)


def test_wrong_shape_is_named():
    tensors = tensors_of(model()) | {"1.bias": np.zeros(3, np.float32)}
    with pytest.raises(BundleError, match=r"'1\.bias' has shape \(3,\), but the config asks for \(2,\)"):
        put_tensors(model(), tensors)
