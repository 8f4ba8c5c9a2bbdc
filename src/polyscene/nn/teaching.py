"""What a backbone is taught: which loss, against which negatives, and what else beside the next item.

Legend: B sequences, L positions, N real positions, D width, R item rows.
"""

from dataclasses import dataclass, replace
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import RaggedTable
from polyscene.nn.backbone import Backbone
from polyscene.nn.denoise import corrupt
from polyscene.nn.distil import Wish, taught_softmax
from polyscene.nn.events import Events, Lesson
from polyscene.nn.losses import full_softmax
from polyscene.nn.negatives import Sampler, SamplerKind
from polyscene.nn.objectives import gbce, sampled_softmax

Share = Annotated[float, msgspec.Meta(ge=0, le=1)]


class Objective(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to learn.

    `loss`: ``"full"`` compares the next item with every other, ``"sampled"`` and ``"gbce"`` with
    `negatives` ones drawn by `sampler`, for catalogues too large for the former; `calibration` is gBCE's t.
    `ahead`: how many next items are targets, each counting `fade` times the one before (not with gBCE).
    `actions`: weight of the heads that tell what a user does with the next item, with what value.
    `denoise`: share of events that are hidden from the trunk and to be named.
    """

    loss: Literal["full", "sampled", "gbce"] = "full"
    sampler: SamplerKind = "uniform"
    negatives: Annotated[int, msgspec.Meta(ge=1)] = 512
    calibration: Share = 0.75
    ahead: Annotated[int, msgspec.Meta(ge=1, le=64)] = 1
    fade: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.5
    actions: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    denoise: Share = 0.0


@dataclass(frozen=True, slots=True)
class Elder:
    """A fitted network of the same items that a younger one learns from, and how much its word weighs."""

    network: Backbone
    weight: float

    def wish(self, events: Events) -> Wish:
        """What it expects at each real position."""
        with torch.no_grad():
            items_RE = self.network.items()
            return Wish(self.network(events, items_RE)[events.real], items_RE, self.weight)


@dataclass(frozen=True, slots=True)
class Teacher:
    """The loss of a lesson; what an `elder` expects is a target beside what came, with the full loss."""

    network: Backbone
    objective: Objective
    sampler: Sampler | None
    chance: torch.Generator
    elder: Elder | None = None

    @classmethod
    def of(
        cls,
        network: Backbone,
        objective: Objective,
        table: RaggedTable,
        rows: int,
        chance: torch.Generator,
    ) -> "Teacher":
        """A teacher of a network of `rows` items, from the events of `table`."""
        sampler = None
        if objective.loss != "full":
            counts_R = np.bincount(table["row"], minlength=rows)
            sampler = Sampler(objective.sampler, objective.negatives, counts_R, chance)
        return cls(network, objective, sampler, chance)

    def __call__(self, lesson: Lesson) -> Tensor:
        """A scalar."""
        network, objective, events = self.network, self.objective, lesson.events
        items_RD = network.items()
        hidden_BL = None
        if objective.denoise:
            rows_BL, hidden_BL = corrupt(
                events.rows, events.real, objective.denoise, self.chance, len(items_RD)
            )
            events = replace(events, rows=rows_BL)
        trunk_BLD = network(events, items_RD)
        hidden_ND = trunk_BLD[events.real]
        loss = self._next_item(hidden_ND, items_RD, lesson)
        if hidden_BL is not None and network.denoiser is not None:
            loss = loss + network.denoiser.loss(trunk_BLD, items_RD, lesson.events.rows, hidden_BL)
        if network.heads is not None:
            item_ND = items_RD[lesson.targets[:, 0]]
            heads = network.heads.loss(hidden_ND, item_ND, lesson.next_action, lesson.next_value)
            loss = loss + objective.actions * heads
        return loss

    def _next_item(self, hidden_ND: Tensor, items_RD: Tensor, lesson: Lesson) -> Tensor:
        if self.elder is not None:
            wish = self.elder.wish(lesson.events)
            return taught_softmax(hidden_ND, items_RD, lesson.targets, wish, lesson.shares)
        if self.sampler is None:
            return full_softmax(hidden_ND, items_RD, lesson.targets, lesson.shares)
        negatives = self.sampler.draw(lesson.targets[:, 0])
        if self.objective.loss == "gbce":
            return gbce(hidden_ND, items_RD, lesson.targets[:, 0], negatives, self.objective.calibration)
        total = hidden_ND.new_zeros(())
        for step in range(self.objective.ahead):
            share_N = lesson.shares[:, step]
            some = share_N > 0
            part = sampled_softmax(hidden_ND[some], items_RD, lesson.targets[some, step], negatives)
            total = total + part * share_N.mean()
        return total
