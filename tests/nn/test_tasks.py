"""Layers of several tasks and scenarios, against the few lines that they stand for."""

import numpy as np
import torch

from polyscene.nn.fields import Plan
from polyscene.nn.tasks import Experts, GateUnit, Mixer, PartitionedNorm, Room, StarLayer, Towers

SCENARIOS = 4


def chance() -> torch.Generator:
    return torch.Generator().manual_seed(0)


def rows(count: int = 50, width: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    """Inputs and scenarios 0 to 2; nobody asks in the last."""
    draw = chance()
    return torch.randn(count, width, generator=draw), torch.randint(0, 3, (count,), generator=draw)


def test_a_star_layer_is_each_row_by_its_own_matrix() -> None:
    x_BX, scenario_B = rows()
    layer = StarLayer(6, 3, SCENARIOS, chance())
    shared = layer.shared(x_BX)
    torch.testing.assert_close(layer(x_BX, scenario_B), shared)
    with torch.no_grad():
        layer.own.normal_(generator=chance())
        layer.biases.normal_(generator=chance())
    found = layer(x_BX, scenario_B)
    for row, code in enumerate(scenario_B.tolist()):
        matrix = layer.shared.weight * (1 + layer.own[code].view(3, 6))
        torch.testing.assert_close(found[row], matrix @ x_BX[row] + layer.shared.bias + layer.biases[code])


def test_partitioned_norm_is_a_norm_of_each_scenario() -> None:
    x_BX, scenario_B = rows()
    norm = PartitionedNorm(6, SCENARIOS, chance())
    with torch.no_grad():
        norm.scales.normal_(generator=chance())
        norm.offsets.normal_(generator=chance())
    trained = norm(x_BX, scenario_B)
    for code in range(3):
        here = x_BX[scenario_B == code].numpy()
        standard = (here - here.mean(0)) / np.sqrt(here.var(0) + 1e-5)
        scale, offset = 1 + norm.scales[code], norm.offsets[code]
        expected = standard * scale.detach().numpy() + offset.detach().numpy()
        np.testing.assert_allclose(trained[scenario_B == code].detach().numpy(), expected, atol=1e-4)

    # Settled on the same rows it answers the same, for each row alone too.
    norm.settle(x_BX, scenario_B)
    norm.eval()
    torch.testing.assert_close(norm(x_BX, scenario_B), trained, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(norm(x_BX[:1], scenario_B[:1]), trained[:1], atol=1e-5, rtol=1e-5)
    # A scenario without rows is normed by all of them.
    np.testing.assert_allclose(norm.means[3].numpy(), x_BX.mean(0).numpy(), atol=1e-6)
    kept = norm.means.clone()
    norm.settle(x_BX[:0], scenario_B[:0])
    torch.testing.assert_close(norm.means, kept)


def test_a_gate_mixes_experts_by_shares() -> None:
    x_BX, _ = rows()
    experts, mixer = Experts(3, 6, (5, 4), 0.0, chance()), Mixer(6, 3, chance())
    found_BEH = experts(x_BX)
    assert found_BEH.shape == (50, 3, 4)
    shares = mixer.layer(x_BX).softmax(1)
    expected = sum(shares[:, each, None] * experts.each[each](x_BX) for each in range(3))
    torch.testing.assert_close(mixer(x_BX, found_BEH), expected)


def test_towers_and_gates_have_the_shapes_they_say() -> None:
    x_BX, _ = rows()
    towers = Towers(2, 6, (5,), 0.0, chance())
    both = towers([x_BX, 2 * x_BX])
    assert both.shape == (50, 2)
    torch.testing.assert_close(both[:, :1], towers.outputs[0](towers.layers[0](x_BX)))
    gate = GateUnit(6, 4, 3, chance())(x_BX)
    assert gate.shape == (50, 3)
    assert ((gate > 0) & (gate < 2)).all()


def test_a_plan_without_tasks_has_one() -> None:
    room = Room.of(Plan((5, 7, 3), 2, 4))
    assert (room.tasks, room.scenarios, room.past) == (1, 3, 4)
    several = Room((5, 3), 2, 0, 6)
    assert Room.of(several) is several
