"""The foundation model: one causal Transformer over all events of all scenarios.

Legend: R item rows of the part.
"""

from dataclasses import replace
from typing import Annotated, Literal

import msgspec
import numpy as np
import torch

from polyscene.core.arrays import Ragged, RaggedTable
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Holdout, Run, State, StillView
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows, log_share
from polyscene.dataset.newest import later_out, newest_out
from polyscene.features.content import Content
from polyscene.lean.evidence import Evidence
from polyscene.lean.reading import TIME_BUCKETS, Clock
from polyscene.models.foundation.newcomers import QUESTIONS, Newcomers
from polyscene.models.foundation.part import FoundationPart, Known, part_of
from polyscene.nn import loop, machine
from polyscene.nn.augment import Augment, similar_items
from polyscene.nn.backbone import Backbone, Equipment
from polyscene.nn.checkpoint import identity
from polyscene.nn.content import ItemTable
from polyscene.nn.events import Lessons, Reader, Syllabus
from polyscene.nn.evidence import Counted, usual_weights, weigh
from polyscene.nn.heads import ValueScale
from polyscene.nn.layers import BlockKind, Shape
from polyscene.nn.teaching import Objective, Teacher
from polyscene.nn.trained import Trained
from polyscene.nn.weights import put_tensors

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
LEAST_HELD_OUT = 100
"""Below so many questions the usual weights of evidence are safer than its own."""
WEIGHED_SHARE = 0.1
"""Of all events, the newest, on which evidence that shall foretell what comes later is weighed."""


class Foundation(Trained, frozen=True, kw_only=True, tag="foundation"):
    """One Transformer that learns from every event, whatever scenario it came from.

    It reads the newest `max_len` events: item, and with `surface` the kind of action, its value, the
    scenario it came from and the one that is asked for, as far as the data has more than one of each.
    `clock` says which time it may know: ``"order"`` none, ``"last"`` the times of the events, ``"query"``
    also when the question is asked; `hide_query` is the share of histories that learn without the latter.
    Data without a clock is read by order.

    `positions`: how attention knows places, by ``"relative"`` distances (a new event then costs one step in
    serving), by vectors counted from the newest ``"end"``, by ``"both"`` or not at all. `time_bias` adds
    biases by the time between two events. An event takes over, channel by channel, something of the
    `short_conv` events before it: a causal convolution over what is read. `evidence` adds counted facts to
    the logits (with the full loss only), weighed on some newest events that the network does not learn
    from. `content` adds what items say of themselves to their vectors, so that items put after the fit are
    ranked too, as `newcomers` says (without evidence by their vectors alone); `id_dropout` is the share of
    items that learn to do without their id.

    `batch_size` counts events; see `Trained` for how it learns. An empty history gets the log popularity. A
    part that was loaded keeps up to `states_mb` of what it read, so that one more event of a user costs one
    step.

    Source: SASRec (Kang and McAuley 2018) with full softmax (Klenitskiy and Vasilev 2023), LiGR blocks
    (Borisyuk et al. 2024), relative position and time biases and the pointwise block of HSTU (Zhai et al.
    2024), short convolutions (H3, Fu et al. 2023); evidence inside the logits, and the schedule, are ours
    (docs/adr/0017).
    """

    dim: Positive = 128
    layers: Positive = 2
    heads: Positive = 2
    block: BlockKind = "ligr"
    positions: Literal["relative", "end", "both", "none"] = "relative"
    time_bias: bool = True
    short_conv: Annotated[int, msgspec.Meta(ge=0, le=8)] = 2
    clock: Clock = "order"
    hide_query: Share = 0.1
    surface: bool = True
    max_len: Positive = 200
    dropout: Share = 0.2
    content: Content | None = None
    id_dropout: Share = 0.1
    newcomers: Newcomers = Newcomers()
    evidence: Counted | None = Counted()
    objective: Objective = Objective()
    augment: Augment = Augment()
    states_mb: Annotated[float, msgspec.Meta(ge=0)] = 64.0

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
        return self._fit(data, run, warm)

    def distil(self, elder: FoundationPart, data: Data, run: Run, weight: float) -> FoundationPart:
        """As `fit`, but what `elder` expects counts `weight` beside what came; starts from what fits of it.

        Raises:
            ConfigError: As `fit`; or the elder reads something else, or the loss is sampled.
        """
        if self.objective.loss != "full":
            raise ConfigError("foundation: a sampled loss compares no probabilities; distil with 'full'")
        return self._fit(data, run, elder, weight)

    def _fit(
        self, data: Data, run: Run, warm: FoundationPart | None, weight: float = 0.0
    ) -> FoundationPart:
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        clock: Clock = self.clock if data.clock else "order"
        if clock != self.clock:
            run.warnings.append("foundation: the data has order but no times, so the clock is 'order'")
        reader = Reader.of(data, self.max_len, clock, surface=self.surface)
        learned, held = self._kept_out(data, run.rng())
        table = reader.table(learned.histories, rows)
        space = None if self.content is None else self.content.fit(data.catalogue, rows.codes, run.seed)
        scale = ValueScale.of(table["action"], table["amount"], reader.actions)
        view = run.view or StillView.of(data)
        known = Known(
            rows, reader, None, log_share(table["row"], len(rows)), space, scale, view, self.newcomers
        )
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self._network(known, chance)
            self.start(network, chance)
            if warm is not None:
                warm.lend(network, rows)
            part = part_of(network, known)
            lessons = Lessons(reader, table, self.syllabus(table, known, run.seed), device)
            teacher = Teacher.of(network, self.objective, table, len(rows), chance)
            if warm is not None and weight:
                teacher = replace(teacher, elder=warm.teaching(known, weight))
            source = identity(self, data) + (f", taught {weight}" if weight else "")
            self._train(part, lessons, teacher, run, source)
            evidence = self._weighed(part, (learned, data), held)
            part = part_of(network.eval(), replace(known, evidence=evidence)).settled()
            return self._with_margin(part, data, run)

    def _with_margin(self, part: FoundationPart, data: Data, run: Run) -> FoundationPart:
        """The part with a fair share for items without events, where it can rank any."""
        if part.known.space is None or part.known.evidence is None:
            return part
        able = np.flatnonzero(data.histories.lengths)
        some = np.sort(run.rng().permutation(len(able))[:QUESTIONS])
        histories = Queries.of_histories(data.histories.take(able[some]), data.size)
        queries = replace(histories, at=np.full(len(some), data.at, np.int64))
        return replace(part, known=replace(part.known, margin=part.margin(queries, run.seed)))

    @property
    def _counts(self) -> Counted | None:
        """What is counted beside: sampled losses give no logits to add it to."""
        return self.evidence if self.objective.loss == "full" else None

    def _kept_out(self, data: Data, rng: np.random.Generator) -> tuple[Data, Holdout | None]:
        """What the network learns from, and the events on which evidence is weighed instead."""
        if self._counts is None:
            return data, None
        if self._counts.horizon == "later" and data.clock:
            learned, held = later_out(data, WEIGHED_SHARE, self._counts.held_out, rng)
        else:
            most = min(self._counts.held_out, len(data.users) // 5)
            learned, held = newest_out(data, most, rng, keep_others=True)
        return (data, None) if len(held.queries) < LEAST_HELD_OUT else (learned, held)

    def _weighed(
        self, part: FoundationPart, sources: tuple[Data, Data], held: Holdout | None
    ) -> Evidence | None:
        """What is counted in all events, weighed on held-out ones; `sources`: without these, and all."""
        if self._counts is None:
            return None
        partial, whole = (self._counted(part.known, source) for source in sources)
        if held is None:
            return whole.reweighed(usual_weights(whole))
        logits_NR = part.encode(held.queries) @ part.items.T
        past = part.known.reader.table(held.queries.history, part.known.rows)
        targets = part.known.rows.of(held.targets.values).astype(np.int64)
        return whole.reweighed(weigh(partial, logits_NR, past, Ragged(held.targets.offsets, targets)))

    def _counted(self, known: Known, data: Data) -> Evidence:
        assert self._counts is not None
        table = known.reader.table(data.histories, known.rows)
        times = data.histories["time"] if data.clock else None
        return self._counts.of(table.ragged("row"), len(known.rows), times)

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
            short_conv=self.short_conv,
            actions=known.reader.actions if self.objective.actions else 0,
            scale=known.scale,
            holes=bool(self.objective.denoise or self.augment.mask),
            denoises=bool(self.objective.denoise),
        )
        return Backbone(items, shape, equipment, chance)

    def syllabus(self, table: RaggedTable, known: Known, seed: int) -> Syllabus:
        """How the histories of `table`, of rows of `known`, are cut and varied for learning."""
        similar = None
        if self.augment.mask or self.augment.substitute:
            similar = similar_items(table.ragged("row"), len(known.rows))
        hide = self.hide_query if known.reader.clock == "query" else 0.0
        ahead, fade = self.objective.ahead, self.objective.fade
        return Syllabus(self.batch_size, seed, hide, ahead, fade, self.augment, similar)

    def _train(
        self, part: FoundationPart, lessons: Lessons, teacher: Teacher, run: Run, learned: str
    ) -> None:
        if not lessons.steps:
            run.warnings.append("foundation: no history has two events, so there was nothing to learn from")
        plan = self.plan("foundation", learned)
        judge = run.validate
        loop.train(
            part.network, lessons, teacher, plan, run, None if judge is None else lambda: judge(part)
        )

    def load(self, state: State, run: Run) -> FoundationPart:
        """The part as it was saved; one that was fitted before there was `short_conv` does without it.

        Raises:
            BundleError: A tensor is missing, or its shape is not this config's.
            ConfigError: The model reads content and the run has no view to read it from.
        """
        if self.short_conv and "taps" not in state.tensors:
            return msgspec.structs.replace(self, short_conv=0).load(state, run)
        if self.content is not None and run.view is None:
            raise ConfigError("foundation: loading one with content needs Run(view=...), the catalogue")
        known = Known.load(state, self.content, self.newcomers, run.view or StillView(Catalogue.bare(0)))
        network = self._network(known, torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        part = part_of(network.eval().requires_grad_(False), known).settled()
        return part.with_lean(self.block, self.heads, self.states_mb)
