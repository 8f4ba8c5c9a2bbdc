"""Adapters: what one scenario adds to the weights of a network that all scenarios share.

Legend: B sequences, L positions, N targets, K rank.
"""

from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.func import functional_call

from polyscene.core.arrays import RaggedTable
from polyscene.nn.backbone import Backbone
from polyscene.nn.events import Lesson, Lessons
from polyscene.nn.teaching import Teacher


class Adapter(nn.Module):
    """A delta for every weight of a network, none before it has learned.

    That of a matrix (projections, residual gates, item table) has rank `rank`; that of anything smaller,
    and of biases, norms and attention biases, is free. A rank of the network's width is a full fine-tuning.
    `chance` must be what the network's dropout draws from, so that a training resumes exactly.

    Source: LoRA (Hu et al. 2021), here on the item table too; free biases as in BitFit (Ben Zaken et al.
    2022).
    """

    def __init__(self, network: nn.Module, rank: int, chance: torch.Generator) -> None:
        super().__init__()
        self.chance = chance
        self.free, self.left, self.right = (nn.ParameterDict() for _ in range(3))
        for name, weight in network.named_parameters():
            key = _key(name)
            if weight.dim() == 2 and min(weight.shape) > rank:
                rows, columns = weight.shape
                right_KC = torch.empty(rank, columns, device=weight.device)
                self.left[key] = nn.Parameter(torch.zeros(rows, rank, device=weight.device))
                self.right[key] = nn.Parameter(right_KC.normal_(std=columns**-0.5, generator=chance))
            else:
                self.free[key] = nn.Parameter(torch.zeros_like(weight))

    def delta(self, name: str) -> Tensor:
        """What is added to the weight of this name, in its shape."""
        key = _key(name)
        change: Tensor = self.left[key] @ self.right[key] if key in self.left else self.free[key]
        return change

    def taught_by(self, teacher: Teacher) -> Callable[[Lesson], Tensor]:
        """The loss that the teacher's network would have with the deltas; the network stays as it is.

        A lesson without targets teaches nothing: its loss is 0.
        """
        lecture = _Lecture(teacher)
        weights = {name: weight.detach() for name, weight in lecture.named_parameters()}
        inside = "network."

        def loss(lesson: Lesson) -> Tensor:
            if not len(lesson.targets):
                return torch.stack([delta.sum() for delta in self.parameters()]).sum() * 0.0
            adapted = {
                name: weight + self.delta(name.removeprefix(inside)) for name, weight in weights.items()
            }
            value: Tensor = functional_call(lecture, adapted, (lesson,))
            return value

        return loss

    def merged(self, network: Backbone) -> Backbone:
        """A copy of the network with the deltas in its weights; it answers as fast as one without."""
        copied = deepcopy(network).eval().requires_grad_(False)
        with torch.no_grad():
            for name, weight in copied.named_parameters():
                weight.add_(self.delta(name))
        return copied


class _Lecture(nn.Module):
    """A teacher as a module, so that its network's weights can be exchanged during a call."""

    def __init__(self, teacher: Teacher) -> None:
        super().__init__()
        self.network, self.teacher = teacher.network, teacher

    def forward(self, lesson: Lesson) -> Tensor:
        return self.teacher(lesson)


class ScenarioLessons:
    """Lessons whose targets all came in one scenario; what is read before them came in any.

    `lessons` must read a table that `until_last` cut, or many would have no target left; a few may have
    none where histories are cropped or shuffled.
    """

    def __init__(self, lessons: Lessons, scenario: int) -> None:
        self._lessons, self._scenario = lessons, scenario

    @property
    def steps(self) -> int:
        """Batches in one epoch."""
        return self._lessons.steps

    def epoch(self, number: int) -> Iterator[Lesson]:
        """The batches of one epoch."""
        for lesson in self._lessons.epoch(number):
            yield asked_in(lesson, self._scenario)


def asked_in(lesson: Lesson, scenario: int) -> Lesson:
    """A lesson with those targets alone that came in the scenario."""
    real_BL = lesson.events.real
    kept_BL = real_BL & (lesson.events.surface["next_scenario"] == scenario)
    kept_N = kept_BL[real_BL]
    places = kept_N.cpu().numpy()
    return Lesson(
        replace(lesson.events, real=kept_BL),
        lesson.targets[kept_N],
        lesson.shares[kept_N],
        lesson.places[places],
        lesson.users[places],
        lesson.next_action[kept_N],
        lesson.next_value[kept_N],
    )


def until_last(table: RaggedTable, scenario: int) -> RaggedTable:
    """Histories cut after their last event in the scenario; those without one become empty."""
    owner, place = table.rows(), np.arange(len(table["scenario"]))
    ends = np.full(len(table), -1)
    inside = table["scenario"] == scenario
    ends[owner[inside]] = place[inside]  # of several, the last one is what stays
    return table.where(place <= ends[owner])


def _key(name: str) -> str:
    """A parameter's name as a key of a dict of parameters, which may hold no dot."""
    return name.replace(".", "/")
