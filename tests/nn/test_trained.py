import math
from typing import get_args

import pytest
import torch
from torch import nn

from polyscene.nn.trained import SPREAD, InitialKind, Trained

SIZES = (64, 96)
DEVIATION = {
    "normal": SPREAD,
    "uniform": SPREAD,
    "xavier": math.sqrt(2 / sum(SIZES)),
    "kaiming": math.sqrt(2 / SIZES[0]),
}


def started(initial, seed=0):
    network = nn.Linear(*SIZES)
    before = [each.detach().clone() for each in network.parameters()]
    Trained(initial=initial).start(network, torch.Generator().manual_seed(seed))
    return network, before


@pytest.mark.parametrize("initial", DEVIATION)
def test_first_weights_are_of_the_asked_distribution_and_the_seed(initial):
    network, before = started(initial)
    assert network.weight.std().item() == pytest.approx(DEVIATION[initial], rel=0.03)
    assert abs(network.weight.mean().item()) < 0.1 * DEVIATION[initial]
    assert torch.equal(network.bias, before[1])
    assert torch.equal(network.weight, started(initial)[0].weight)
    assert not torch.equal(network.weight, started(initial, seed=1)[0].weight)


def test_usual_leaves_what_the_network_drew():
    network, before = started("usual")
    assert torch.equal(network.weight, before[0])
    assert set(get_args(InitialKind)) == {"usual", *DEVIATION}


def test_the_plan_has_every_setting():
    config = Trained(
        epochs=3, optimiser="sgd", schedule="linear", clip=2.0, warm_up=0.1, average=0.5, l2=0.2
    )
    plan = config.plan("it", "of this")
    for name in ("epochs", "optimiser", "schedule", "clip", "warm_up", "average", "l2", "learning_rate"):
        assert getattr(plan, name) == getattr(config, name)
    assert (plan.label, plan.identity, Trained().plan("it").clip) == ("it", "of this", math.inf)
