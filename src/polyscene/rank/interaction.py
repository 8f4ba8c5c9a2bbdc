"""Rankers whose network reads fields and numbers of each candidate: what all kinds share.

Legend: N candidates.
"""

from dataclasses import replace
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import torch
from torch import nn

from polyscene.core.arrays import Array
from polyscene.core.config import kind_of, read
from polyscene.core.contracts import Data, Effect, Examples, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.convert import CONVERTERS
from polyscene.nn import machine
from polyscene.nn.clicks import Clicks, Labelled, Widths, learned, logits, mean_loss
from polyscene.nn.fields import Mlp
from polyscene.nn.trained import Positive, Share
from polyscene.nn.weights import put_tensors, tensors_of
from polyscene.rank.candidates import Reader, fit_reader, joined
from polyscene.rank.examples import BLOCK, drawn

LEAST_HELD = 20
"""Slates that must be left to judge by; with fewer, all epochs are trained."""


class Interaction(Clicks, frozen=True, kw_only=True):
    """Base of rankers that learn from labelled slates (``Data.examples``) which candidate comes next.

    Of each slate that holds a label, the labelled candidates are taught against `negatives` others drawn by
    chance. A candidate is read as item, newest item of the history, categories of the item, and the numbers
    of the linear ranker; `attributes` names more numbers, each with its scaling: ``{ price = { kind =
    "log" } }``. The share `held_out` of the slates is kept back to stop by. See `Clicks` and `Trained` for
    how it learns. Unknown items share a code. What the kind adds is its network, which `rank/classifier.py`
    trains on tables too; there are no slates then, and `negatives`, `held_out`, `attributes` are not read.
    """

    needs_examples: ClassVar[bool] = True

    negatives: Positive = 20
    held_out: Share = 0.1
    attributes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, plan in self.attributes.items():
            read(CONVERTERS, plan, f"{kind_of(self)}.attributes.{name}")

    @property
    def places(self) -> int:
        """Events of a history that the network reads besides the newest."""
        return 0

    def fit(self, data: Data, run: Run, warm: "InteractionPart | None" = None) -> "InteractionPart":
        """The network trained. Raises ConfigError without examples, or when the loss diverged."""
        kind = kind_of(self)
        if data.examples is None:
            raise ConfigError(
                f"{kind}: there are no labelled examples; put it behind a retriever in a scenario"
            )
        view = run.view or StillView.of(data)
        reader = fit_reader(data, data.examples, self.attributes, self.places)
        reader, known, slate = self._taught(reader, data, data.examples, run)
        if not len(known.labels):
            run.warnings.append(f"{kind}: no candidate was what came next; it learned nothing")
        held = run.rng().random(int(slate.max(initial=-1)) + 1) < self.held_out
        judge = None
        if held.sum() >= LEAST_HELD:
            kept = known.take(np.flatnonzero(held[slate]))
            known = known.take(np.flatnonzero(~held[slate]))

            def judge(network: nn.Module) -> float:
                return -mean_loss(network, kept)

        return InteractionPart(reader, learned(self, reader.plan, known, run, judge), view)

    def load(self, state: State, run: Run) -> "InteractionPart":
        """The network as saved. Raises BundleError when a tensor is missing, ConfigError without a view."""
        if run.view is None:
            raise ConfigError(f"{kind_of(self)}: loading needs Run(view=...), the catalogue it reads from")
        reader = Reader.load(unpack(state, "reader"))
        network = self.network(reader.plan, torch.Generator(machine.device_of(run)))
        put_tensors(network, unpack(state, "network").tensors)
        return InteractionPart(reader, network.eval().requires_grad_(False), run.view)

    def _taught(
        self, reader: Reader, data: Data, examples: Examples, run: Run
    ) -> tuple[Reader, Labelled, Array]:
        """The reader with its scaling, the rows that are taught, and (N,) the slate of each."""
        parts, slates, count = [], [np.zeros(0, np.int64)], 0
        for queries, block, labels, chosen in drawn(examples, self.negatives, run.rng()):
            rows = reader.raw(queries, block, data.catalogue, chosen)
            parts.append(Labelled(rows, (labels[chosen] > 0).astype(np.float32)))
            slates.append(count + block.rows()[chosen])
            count += len(block)
        known = joined(parts, reader.plan)
        if len(known.labels):
            spread = known.sheet.numbers.std(0)
            reader = replace(
                reader, mean=known.sheet.numbers.mean(0), spread=np.where(spread < 1e-6, 1, spread)
            )
        return reader, replace(known, sheet=reader.standard(known.sheet)), np.concatenate(slates)


class Dense(Interaction, frozen=True, kw_only=True):
    """Base of those with dense layers over vectors of `dim`.

    `hidden` are the layers' widths, `dropout` is behind each; with `layer_norm` each is normed before its
    ReLU, which helps where fields are many and rows are few. The default `codes_l2` suits slates, whose
    items are many and whose rows are few; on tables it is 0 unless set.
    """

    dim: Positive = 16
    hidden: Widths = (64, 32)
    dropout: Share = 0.1
    layer_norm: bool = False
    codes_l2: Annotated[float, msgspec.Meta(ge=0)] = 0.01

    def layers(self, inputs: int, chance: torch.Generator, widths: Widths | None = None) -> Mlp:
        """The layers, or others of the same sort."""
        hidden = self.hidden if widths is None else widths
        return Mlp(inputs, hidden, self.dropout, chance, norm=self.layer_norm)


class InteractionPart:
    """A trained network, with a view for the age and attributes of items."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.SCORES, Effect.ORDERS})

    def __init__(self, reader: Reader, network: nn.Module, view: View) -> None:
        self.reader, self.network, self.view = reader, network, view

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates by the logit of being what comes next; ties go to the lower code."""
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(queries), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(queries)))
            few = len(rows) == len(queries)
            block, about = (slates, queries) if few else (slates.take(rows), queries.take(rows))
            parts.append(logits(self.network, self.reader(about, block, self.view.catalogue)))
        return slates.scored(np.concatenate(parts)).ordered()

    def state(self) -> State:
        """How candidates are read, and every weight."""
        reader = pack({"reader": self.reader})
        weights = {f"network/{name}": each for name, each in tensors_of(self.network).items()}
        return State({**reader.tensors, **weights}, reader.meta)
