"""Rankers that foretell several actions at once: what all kinds share.

Legend: N candidates, T tasks.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import msgspec
import numpy as np
import torch
from torch import nn

from polyscene.core.arrays import Array, Codes, Floats
from polyscene.core.config import kind_of, read
from polyscene.core.contracts import Data, Effect, Examples, Run, State, StillView, View
from polyscene.core.errors import BundleError, ConfigError, nearest
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.convert import CONVERTERS
from polyscene.nn import machine
from polyscene.nn.clicks import Clicks, Labelled, learned, logits, mean_loss, sigmoid
from polyscene.nn.fields import Sheet
from polyscene.nn.tasks import Flat, Room
from polyscene.nn.trained import Positive, Share
from polyscene.nn.weights import put_tensors
from polyscene.rank.candidates import Reader, fit_reader, joined
from polyscene.rank.examples import BLOCK, drawn
from polyscene.rank.interaction import LEAST_HELD

ONLY = "next"
"""The task where labels don't say which action they stand for."""


class MultiTask(Clicks, frozen=True, kw_only=True):
    """Base of rankers with a logit for each action that may come next, weighed into one score.

    Each action that labels a slate (``label:<action>``, see `Examples`) is a task; where none is named,
    there is one. Of each slate that holds a label, the labelled candidates are taught against `negatives`
    others drawn by chance; a candidate is read as `Interaction` does, and the query's scenario is read too.
    The share `held_out` of the slates is kept back to stop by. A candidate scores the sum over actions of
    `weights` times chance, or with ``combine = "product"`` the log of the product of chances to the power
    of their weights; no weights: each action counts 1; an action without one counts nothing, but is
    learned. Weights are no part of what is trained: with others, the same bundle orders anew. Slates get a
    column ``chance:<action>`` each. See `Clicks` and `Trained` for how it learns.
    """

    needs_examples: ClassVar[bool] = True

    weights: dict[str, float] = msgspec.field(default_factory=dict)
    combine: Literal["sum", "product"] = "sum"
    negatives: Positive = 20
    held_out: Share = 0.1
    positive_weight: float = 1.0
    attributes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, plan in self.attributes.items():
            read(CONVERTERS, plan, f"{kind_of(self)}.attributes.{name}")

    @property
    def places(self) -> int:
        """Events of a history that the network reads besides the newest."""
        return 0

    def settle(self, network: nn.Module, sheet: Sheet) -> None:
        """Sets what the network takes from all rows at once; most take nothing."""

    def fit(self, data: Data, run: Run, warm: "MultiTaskPart | None" = None) -> "MultiTaskPart":
        """The network trained.

        Raises:
            ConfigError: No examples, no action of `weights` among their labels, or the loss diverged.
        """
        kind = kind_of(self)
        if data.examples is None:
            raise ConfigError(
                f"{kind}: there are no labelled examples; put it behind a retriever in a scenario"
            )
        tasks = tasks_of(data.examples)
        worth = self._worth(tasks, run)
        reader = fit_reader(data, data.examples, self.attributes, self.places)
        taught = _taught(reader, data, self.negatives, run)
        if not len(taught.rows.labels):
            run.warnings.append(f"{kind}: no candidate was what came next; it learned nothing")
        held = run.rng().random(int(taught.slate.max(initial=-1)) + 1) < self.held_out
        known, judge = taught.rows, None
        if held.sum() >= LEAST_HELD:
            kept = known.take(np.flatnonzero(held[taught.slate]))
            known = known.take(np.flatnonzero(~held[taught.slate]))

            def judge(network: nn.Module) -> float:
                self.settle(network, known.sheet)
                return -mean_loss(Flat(network), Labelled(kept.sheet, kept.labels.ravel()))

        room = _room(taught.reader, len(data.scenarios), len(tasks))
        network = learned(self, room, known, run, judge)
        self.settle(network, known.sheet)
        view = run.view or StillView.of(data)
        return MultiTaskPart(Sight(taught.reader, len(data.scenarios)), Value(tasks, *worth), network, view)

    def load(self, state: State, run: Run) -> "MultiTaskPart":
        """The network as saved. Raises BundleError when a tensor is missing, ConfigError without a view."""
        kind = kind_of(self)
        if run.view is None:
            raise ConfigError(f"{kind}: loading needs Run(view=...), the catalogue it reads from")
        for name in ("tasks", "scenarios"):
            if name not in state.meta:
                raise BundleError(f"{kind}: {name!r} is missing; fit the scenario again")
        tasks, scenarios = tuple(state.meta["tasks"]), int(state.meta["scenarios"])
        reader = Reader.load(unpack(state, "reader"))
        chance = torch.Generator(machine.device_of(run))
        network = self.network(_room(reader, scenarios, len(tasks)), chance)
        saved = unpack(state, "network").tensors
        put_tensors(network, saved)
        for name in _buffers(network):
            if name not in saved:
                raise BundleError(f"{kind}: tensor {name!r} is missing; fit the scenario again")
            network.get_buffer(name).copy_(torch.from_numpy(saved[name].copy()))
        network = network.eval().requires_grad_(False)
        value = Value(tasks, *self._worth(tasks, run))
        return MultiTaskPart(Sight(reader, scenarios), value, network, run.view)

    def _worth(self, tasks: tuple[str, ...], run: Run) -> tuple[Floats, bool]:
        """(T,) what each task counts, and whether chances are multiplied."""
        for name in self.weights:
            if name not in tasks:
                run.warnings.append(
                    f"{kind_of(self)}: no candidate is labelled {name!r}, so its weight counts for nothing"
                    f"{nearest(name, tasks)}"
                )
        if self.weights and not set(self.weights) & set(tasks):
            raise ConfigError(
                f"{kind_of(self)}.weights: none of {', '.join(self.weights)} labels a candidate; there is"
                f" {', '.join(tasks)}"
            )
        worth = [self.weights.get(name, 0.0) if self.weights else 1.0 for name in tasks]
        return np.array(worth, np.float32), self.combine == "product"


def tasks_of(examples: Examples) -> tuple[str, ...]:
    """The actions that label candidates, by name; one task where none is told."""
    names = sorted(name[6:] for name in examples.slates.columns if name.startswith("label:"))
    return tuple(names) or (ONLY,)


@dataclass(frozen=True, slots=True)
class Sight:
    """How candidates and the scenario of their query are read. `scenarios`: how many have a code."""

    reader: Reader
    scenarios: int

    def __call__(self, queries: Queries, slates: Slates, view: View) -> Sheet:
        """The candidates as rows, in their order."""
        sheet = self.reader(queries, slates, view.catalogue)
        return _placed(sheet, queries.scenario[slates.rows()], self.scenarios)


@dataclass(frozen=True, slots=True)
class Value:
    """What chances are worth. Shapes: `worth` (T,) float32 weights of the tasks."""

    tasks: tuple[str, ...]
    worth: Floats
    product: bool

    def __call__(self, logits_NT: Floats) -> Floats:
        """(N,) weighted sums of chances, or logs of their weighted product."""
        # log p = -log(1 + e^-logit) keeps its digits where p is next to nothing.
        each_NT = -np.logaddexp(0, -logits_NT) if self.product else sigmoid(logits_NT)
        scores: Floats = (each_NT @ self.worth).astype(np.float32)
        return scores


class MultiTaskPart:
    """A trained network of several tasks, with a view for the age and attributes of items."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.SCORES, Effect.ORDERS})

    def __init__(self, sight: Sight, value: Value, network: nn.Module, view: View) -> None:
        self.sight, self.value, self.network, self.view = sight, value, network, view
        self._flat = Flat(network).eval()

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates by what they are worth, chances beside; ties go to the lower code."""
        parts = [np.zeros((0, len(self.value.tasks)), np.float32)]
        for start in range(0, len(queries), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(queries)))
            few = len(rows) == len(queries)
            block, about = (slates, queries) if few else (slates.take(rows), queries.take(rows))
            parts.append(self._logits(about, block))
        logits_NT = np.concatenate(parts)
        for name, chances_N in zip(self.value.tasks, sigmoid(logits_NT).T, strict=True):
            slates = slates.with_column(f"chance:{name}", chances_N)
        return slates.scored(self.value(logits_NT)).ordered()

    def state(self) -> State:
        """How candidates are read, what the tasks are, and every weight."""
        reader = pack({"reader": self.sight.reader})
        saved = self.network.state_dict()
        weights = {f"network/{name}": each.cpu().numpy().copy() for name, each in saved.items()}
        meta = {"tasks": list(self.value.tasks), "scenarios": self.sight.scenarios, **reader.meta}
        return State({**reader.tensors, **weights}, meta)

    def _logits(self, queries: Queries, slates: Slates) -> Floats:
        sheet = self.sight(queries, slates, self.view)
        return logits(self._flat, sheet).reshape(len(sheet), len(self.value.tasks))


@dataclass(frozen=True, slots=True)
class _Taught:
    """A reader with its scaling, rows with (N, T) labels, and (N,) the slate of each row."""

    reader: Reader
    rows: Labelled
    slate: Array


def _taught(reader: Reader, data: Data, negatives: int, run: Run) -> _Taught:
    """The drawn candidates of every slate that holds a label. The data has examples."""
    examples: Any = data.examples
    tasks = tasks_of(examples)
    parts, labels = [], [np.zeros((0, len(tasks)), np.float32)]
    slates, scenarios, count = [np.zeros(0, np.int64)], [np.zeros(0, np.int32)], 0
    for queries, block, wanted, chosen in drawn(examples, negatives, run.rng()):
        columns = [block.columns.get(f"label:{name}", wanted)[chosen] for name in tasks]
        owner = block.rows()[chosen]
        rows = reader.raw(queries, block, data.catalogue, chosen)
        parts.append(Labelled(rows, wanted[chosen]))
        labels.append((np.stack(columns, 1) > 0).astype(np.float32))
        slates.append(count + owner)
        scenarios.append(queries.scenario[owner])
        count += len(block)
    sheet = joined(parts, reader.plan).sheet
    if len(sheet):
        spread = sheet.numbers.std(0)
        reader = replace(reader, mean=sheet.numbers.mean(0), spread=np.where(spread < 1e-6, 1, spread))
    sheet = _placed(reader.standard(sheet), np.concatenate(scenarios), len(data.scenarios))
    return _Taught(reader, Labelled(sheet, np.concatenate(labels)), np.concatenate(slates))


def _placed(sheet: Sheet, scenario: Codes, scenarios: int) -> Sheet:
    """The rows with their scenario as the last coded field, 0 for one that came after the fit."""
    known = (scenario >= 0) & (scenario < scenarios)
    codes = np.where(known, scenario + 1, 0).astype(np.int32)
    return replace(sheet, codes=np.column_stack([sheet.codes, codes]))


def _room(reader: Reader, scenarios: int, tasks: int) -> Room:
    plan = reader.plan
    return Room((*plan.sizes, scenarios + 1), plan.numbers, plan.past, tasks)


def _buffers(network: nn.Module) -> list[str]:
    """Names of the tensors that are kept but not trained."""
    trained = {name for name, _ in network.named_parameters()}
    return [name for name in network.state_dict() if name not in trained]
