"""An adapter changes nothing before it learns, and never the network under it."""

from copy import deepcopy

import numpy as np
import pytest
import torch

from polyscene.core.arrays import RaggedTable
from polyscene.core.rows import Rows
from polyscene.nn.adapters import Adapter, ScenarioLessons, asked_in, until_last
from polyscene.nn.backbone import Backbone, Equipment
from polyscene.nn.content import ItemTable
from polyscene.nn.course import generators_of
from polyscene.nn.events import Lessons, Reader, Syllabus
from polyscene.nn.layers import Shape
from polyscene.nn.teaching import Objective, Teacher
from polyscene.testing.worlds import noise

CPU = torch.device("cpu")


class Class:
    """A network, a table and what is taught of it."""

    def __init__(self, rank=2, block="ligr"):
        data = noise()
        self.rows = Rows(np.unique(data.histories["item"]))
        self.reader = Reader.of(data, 8, "last", surface=True)
        self.table = self.reader.table(data.histories, self.rows)
        chance = torch.Generator().manual_seed(1)
        shape = Shape(8, 1, 1, block, 0.3, reach=8, buckets=66)
        items = ItemTable(len(self.rows), 8, chance, torch.randn(len(self.rows), 3, generator=chance), 0.2)
        self.network = Backbone(items, shape, Equipment(self.reader.sizes), chance)
        self.chance = generators_of(self.network)[0]
        self.adapter = Adapter(self.network, rank, self.chance)
        self.lessons = Lessons(self.reader, self.table, Syllabus(64, 0), CPU)

    def loss(self, network):
        objective = Objective(loss="sampled", negatives=7)
        return Teacher.of(network, objective, self.table, len(self.rows), self.chance)

    def answers(self, network):
        lesson = next(self.lessons.epoch(0))
        return network(lesson.events, network.items())


@pytest.mark.parametrize("block", ["ligr", "hstu", "sasrec"])
def test_before_it_learns_it_changes_nothing(block):
    room = Class(block=block)
    room.network.eval()
    torch.testing.assert_close(
        room.answers(room.adapter.merged(room.network)), room.answers(room.network), rtol=0, atol=0
    )


@pytest.mark.parametrize("block", ["ligr", "hstu", "sasrec"])
def test_the_loss_is_that_of_the_merged_network(block):
    room = Class(block=block)
    _learn_at_random(room.adapter)
    room.network.eval()
    lesson = next(room.lessons.epoch(0))
    room.chance.manual_seed(5)
    one = room.adapter.taught_by(room.loss(room.network))(lesson)
    merged = room.adapter.merged(room.network)
    room.chance.manual_seed(5)
    other = room.loss(merged)(lesson)
    torch.testing.assert_close(one, other)
    assert abs(float((one - room.loss(room.network)(lesson)).detach())) > 1e-3


def test_learning_moves_the_deltas_and_never_the_network():
    room = Class()
    before = deepcopy(room.network.state_dict())
    room.adapter.taught_by(room.loss(room.network.train()))(next(room.lessons.epoch(0))).backward()
    assert all(torch.equal(before[name], now) for name, now in room.network.state_dict().items())
    assert all(weight.grad is None for weight in room.network.parameters())
    idle = [name for name, delta in room.adapter.named_parameters() if delta.grad is None]
    assert idle == []
    assert float(room.adapter.left["items/ids"].grad.abs().max()) > 0


def test_a_lesson_without_targets_teaches_nothing():
    room = Class()
    _learn_at_random(room.adapter)
    nobody = asked_in(next(room.lessons.epoch(0)), 7)
    loss = room.adapter.taught_by(room.loss(room.network.train()))(nobody)
    loss.backward()
    assert loss.item() == 0.0
    assert all(not delta.grad.any() for delta in room.adapter.parameters())


def test_a_delta_has_the_rank_that_was_asked_for():
    room = Class(rank=2)
    _learn_at_random(room.adapter)
    with torch.no_grad():
        ranks = {
            name: int(torch.linalg.matrix_rank(room.adapter.delta(name), atol=1e-5))
            for name, weight in room.network.named_parameters()
            if weight.dim() == 2 and min(weight.shape) > 2
        }
    assert set(ranks.values()) == {2}
    assert {"items.ids", "trunk.blocks.0.attention_gate.weight"} <= set(ranks)


def test_targets_of_other_scenarios_are_left_out_and_what_is_read_stays():
    room = Class()
    for lesson in room.lessons.epoch(0):
        kept = asked_in(lesson, 1)
        assert torch.equal(kept.events.rows, lesson.events.rows)
        expected = room.table["scenario"][lesson.places + 1] == 1
        np.testing.assert_array_equal(kept.places, lesson.places[expected])
        np.testing.assert_array_equal(kept.targets.numpy(), lesson.targets.numpy()[expected])
        assert int(kept.events.real.sum()) == expected.sum()


def test_histories_end_with_their_last_event_in_the_scenario():
    offsets = np.array([0, 3, 4, 6, 6])
    scenario = np.array([0, 1, 0, 0, 1, 1])
    cut = until_last(RaggedTable(offsets, {"scenario": scenario, "row": np.arange(6)}), 1)
    np.testing.assert_array_equal(cut.offsets, [0, 2, 2, 4, 4])
    np.testing.assert_array_equal(cut["row"], [0, 1, 4, 5])


def test_every_lesson_of_a_scenario_has_targets():
    room = Class()
    table = until_last(room.table, 0)
    lessons = ScenarioLessons(Lessons(room.reader, table, Syllabus(8, 0), CPU), 0)
    found = list(lessons.epoch(0))
    assert len(found) == lessons.steps
    assert all(len(lesson.targets) for lesson in found)


def _learn_at_random(adapter):
    chance = torch.Generator().manual_seed(3)
    with torch.no_grad():
        for delta in adapter.parameters():
            delta.normal_(std=0.3, generator=chance)
