"""The foundation model: one causal Transformer over all events of all scenarios.

Legend: R item rows of the part.
"""

from contextlib import nullcontext
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch

from polyscene.core.arrays import Array, Floats, RaggedTable
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Run, State, StillView
from polyscene.core.errors import ConfigError
from polyscene.core.rows import Rows
from polyscene.features.content import Content
from polyscene.models.foundation_part import FoundationPart, Known, part_of
from polyscene.nn import loop, machine
from polyscene.nn.augment import Augment, similar_items
from polyscene.nn.backbone import Backbone, Equipment
from polyscene.nn.checkpoint import identity
from polyscene.nn.content import ItemTable
from polyscene.nn.events import TIME_BUCKETS, Clock, Lessons, Reader, Syllabus
from polyscene.nn.evidence import Counted, Evidence, Folds
from polyscene.nn.heads import ValueScale
from polyscene.nn.layers import BlockKind, Shape
from polyscene.nn.teaching import Objective, Teacher
from polyscene.nn.weights import put_tensors

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]


class Foundation(Config, frozen=True, kw_only=True, tag="foundation"):
    """One Transformer that learns from every event, whatever scenario it came from.

    It reads the newest `max_len` events: item, and with `surface` the kind of action, its value, the scenario
    it came from and the one that is asked for, as far as the data has more than one of each. `clock` says
    which time it may know: ``"order"`` none, ``"last"`` the times of the events, ``"query"`` also when the
    question is asked; `hide_query` is the share of histories that learn without the latter. Data without
    a clock is read by order.

    `positions`: how attention knows places, by ``"relative"`` distances (a new event then costs one step in
    serving), by vectors counted from the newest ``"end"``, by ``"both"`` or not at all. `time_bias` adds
    biases by the time between two events. `evidence` adds counted facts to the logits (with
    ``loss="full"`` only). `content` adds what items say of themselves to their vectors, so that items put
    after the fit are ranked too; `id_dropout` is the share of items that learn to do without their id.

    `batch_size` counts events. With ``run.validate`` it is scored every `validate_every` epochs and stops
    after `patience` scores without a better one. An empty history gets the log popularity.

    Source: SASRec (Kang and McAuley 2018) with full softmax (Klenitskiy and Vasilev 2023), LiGR blocks
    (Borisyuk et al. 2024), relative position and time biases and the pointwise block of HSTU (Zhai et al.
    2024); evidence inside the logits, and the schedule, are ours (docs/adr/0017).
    """

    dim: Positive = 64
    layers: Positive = 2
    heads: Positive = 1
    block: BlockKind = "ligr"
    positions: Literal["relative", "end", "both", "none"] = "relative"
    time_bias: bool = True
    clock: Clock = "order"
    hide_query: Share = 0.1
    surface: bool = True
    max_len: Positive = 200
    dropout: Share = 0.2
    content: Content | None = None
    id_dropout: Share = 0.1
    evidence: Counted | None = Counted()
    objective: Objective = Objective()
    augment: Augment = Augment()
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 20
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-3
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    average: Share = 0.999
    batch_size: Positive = 1600
    validate_every: Positive = 2
    patience: Positive = 3

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"foundation: dim {self.dim} can't be cut into {self.heads} heads; choose a multiple"
            )

    def fit(self, data: Data, run: Run, warm: FoundationPart | None = None) -> FoundationPart:
        """Learns to predict each event from those before it; `warm` gives the weights to start from.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
            DataError: `content` names an attribute that does not exist.
        """
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        clock: Clock = self.clock if data.clock else "order"
        if clock != self.clock:
            run.warnings.append("foundation: the data has order but no times, so the clock is 'order'")
        reader = Reader.of(data, self.max_len, clock, surface=self.surface)
        table = reader.table(data.histories, rows)
        evidence, folds = self._counted(table, len(rows))
        space = None if self.content is None else self.content.fit(data.catalogue, rows.codes, run.seed)
        scale = ValueScale.of(table["action"], table["amount"], reader.actions)
        view = run.view or StillView(data.catalogue)
        known = Known(rows, reader, evidence, _log_share(table["row"], len(rows)), space, scale, view)
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self._network(known, chance)
            if warm is not None:
                warm.lend(network, rows)
            part = part_of(network, known)
            counted = evidence, folds
            teacher = Teacher.of(network, self.objective, table, counted, len(rows), chance)
            lessons = Lessons(reader, table, self._syllabus(table, known, run.seed), device)
            with nullcontext() if evidence is None else evidence.laid_out():
                self._train(part, lessons, teacher, run, identity(self, data))
        return part.settled()

    def _counted(self, table: RaggedTable, count: int) -> tuple[Evidence | None, Folds | None]:
        """What the logits get beside the network's own, and the linear model without each fold's users."""
        if self.evidence is None or self.objective.loss != "full" or not count:
            return None, None
        return self.evidence.of(table.ragged("row"), count)

    def _network(self, known: Known, chance: torch.Generator) -> Backbone:
        content = None
        if known.space is not None:
            content = torch.from_numpy(known.space.vectors(known.view.catalogue, known.rows.codes)).to(
                chance.device
            )
        items = ItemTable(len(known.rows), self.dim, chance, content, self.id_dropout)
        reach = self.max_len if self.positions in ("relative", "both") else 0
        buckets = TIME_BUCKETS if known.reader.clock != "order" and self.time_bias else 0
        shape = Shape(self.dim, self.layers, self.heads, self.block, self.dropout, reach, buckets)
        equipment = Equipment(
            known.reader.sizes,
            aged=self.max_len if self.positions in ("end", "both") else 0,
            features=0 if known.evidence is None else known.evidence.features,
            actions=known.reader.actions if self.objective.actions else 0,
            scale=known.scale,
            holes=bool(self.objective.denoise or self.augment.mask),
            denoises=bool(self.objective.denoise),
        )
        return Backbone(items, shape, equipment, chance)

    def _syllabus(self, table: RaggedTable, known: Known, seed: int) -> Syllabus:
        similar = None
        if self.augment.mask or self.augment.substitute:
            similar = similar_items(table.ragged("row"), len(known.rows))
        hide = self.hide_query if known.reader.clock == "query" else 0.0
        return Syllabus(self.batch_size, seed, hide, self.objective.ahead, self.augment, similar)

    def _train(
        self, part: FoundationPart, lessons: Lessons, teacher: Teacher, run: Run, learned: str
    ) -> None:
        if not lessons.steps:
            run.warnings.append("foundation: no history has two events, so there was nothing to learn from")
        plan = loop.Plan(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            l2=self.l2,
            average=self.average,
            validate_every=self.validate_every,
            patience=self.patience,
            label="foundation",
            identity=learned,
        )
        judge = run.validate
        loop.train(
            part.network, lessons, teacher, plan, run, None if judge is None else lambda: judge(part)
        )

    def load(self, state: State, run: Run) -> FoundationPart:
        """The part as it was saved.

        Raises:
            BundleError: A tensor is missing, or its shape is not this config's.
            ConfigError: The model reads content and the run has no view to read it from.
        """
        if self.content is not None and run.view is None:
            raise ConfigError("foundation: loading one with content needs Run(view=...), the catalogue")
        known = Known.load(state, self.content, run.view or StillView(Catalogue.bare(0)))
        network = self._network(known, torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        return part_of(network.eval().requires_grad_(False), known).settled()


def _log_share(seen: Array, count: int) -> Floats:
    """(R,) log of each row's share of all events, one event added to each."""
    counts = np.bincount(seen, minlength=count) + 1.0
    shares: Floats = np.log(counts / counts.sum()).astype(np.float32)
    return shares
