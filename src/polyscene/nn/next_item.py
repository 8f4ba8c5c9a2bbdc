"""What models of the next item share: what they learn by, how they are fitted, kept and asked.

Legend: B queries, L positions, D width, N targets, R item rows of the part, I item codes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Bools, Codes, Floats, RaggedTable, Scores
from polyscene.core.config import kind_of
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows, log_share
from polyscene.core.slates import Slates
from polyscene.lean.model import PAYS_BELOW, LeanModel
from polyscene.lean.reading import Clock
from polyscene.nn import loop, machine, objectives
from polyscene.nn.batching import Batch, NextItem, Padded
from polyscene.nn.checkpoint import identity
from polyscene.nn.course import Plan
from polyscene.nn.distil import Wish, taught_softmax
from polyscene.nn.exported import Graph
from polyscene.nn.graphs import history_graph
from polyscene.nn.losses import full_softmax
from polyscene.nn.negatives import Sampler, SamplerKind
from polyscene.nn.trained import Trained
from polyscene.nn.weights import put_tensors, take_over, tensors_of

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
LossKind = Literal["full", "sampled", "gbce", "bpr", "hinge", "bce"]
Loss = Callable[[Tensor, Tensor, Tensor], Tensor]
"""Hidden vectors (N, D), item vectors (R, D) and target rows (N,) -> the mean loss."""
Tellers = Callable[[Codes], Floats]
"""User codes (U,) -> what they say of themselves (U, C); rows of zeros where nothing is known."""
ENCODE_EVENTS = 16_384
"""Padded events encoded at once when many queries come together."""


class NextItemConfig(Trained, frozen=True, kw_only=True):
    """Base of configs whose network reads the newest `max_len` events and learns what came next.

    `batch_size` counts events, not users. `loss`: ``"full"`` softmax over every item; against `negatives`
    drawn by `sampler`, softmax with their chances corrected (``"sampled"``), binary cross-entropy
    (``"bce"``), the same with the target's chance calibrated (``"gbce"``, by `calibration`), or pairwise
    ``"bpr"`` and ``"hinge"``.
    """

    dim: Positive = 64
    max_len: Positive = 200
    dropout: Share = 0.2
    loss: LossKind = "full"
    negatives: Positive = 512
    sampler: SamplerKind = "uniform"
    calibration: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.75

    def loss_against(self, counts_R: Array, chance: torch.Generator) -> Loss:
        """The loss that `loss` names; `counts_R`: how often each item was seen."""
        if self.loss == "full":
            return full_softmax
        sampler = Sampler(self.sampler, self.negatives, counts_R, chance)
        if self.loss in ("gbce", "bce"):
            calibration = self.calibration if self.loss == "gbce" else 0.0
            return lambda hidden_ND, items_RD, targets_N: objectives.gbce(
                hidden_ND, items_RD, targets_N, sampler.draw(targets_N), calibration
            )
        judged = {
            "sampled": objectives.sampled_softmax,
            "bpr": objectives.bpr,
            "hinge": objectives.hinge,
        }[self.loss]
        return lambda hidden_ND, items_RD, targets_N: judged(
            hidden_ND, items_RD, targets_N, sampler.draw(targets_N)
        )


class HistoryNetwork(nn.Module, ABC):
    """A network that reads histories; `items` (R, D), where it has it, is input and output alike."""

    items: nn.Parameter
    by_item: ClassVar[tuple[str, ...]] = ("items",)
    """Weights with a row for each item."""

    @property
    def device(self) -> torch.device:
        """Where it computes."""
        return next(self.parameters()).device

    @abstractmethod
    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""

    def outputs(self) -> Tensor:
        """(R, D) what a hidden vector is multiplied with for a logit; made once a step."""
        return self.items

    def strangers(self, people_BC: Tensor) -> Tensor:
        """(B, D) what users without history expect, by what they say of themselves; zeros: nothing."""
        return people_BC.new_zeros(len(people_BC), self.outputs().shape[1])

    def lesson(self, batch: Batch) -> tuple[Tensor, Tensor]:
        """Hidden vectors (N, D), and the rows (N,) that they should lead to."""
        return self(batch.inputs)[batch.inputs.real], batch.targets

    def start_from(self, older: "NextItemPart", rows: Rows) -> None:
        """Takes over what fits of an older part: weights of equal shape, rows of the items both know."""
        take_over(self, older.network, older.rows.of(rows.codes), self.by_item)


N = TypeVar("N", bound=HistoryNetwork)


@dataclass(frozen=True, slots=True)
class Learning(Generic[N]):
    """How one kind of next-item model learns and is loaded.

    `network` makes a new one for so many items; `clock` is which time it reads, where data has any; `lean`
    makes the form of a loaded part that does without torch; `people` gives what user codes say (U, C).
    """

    config: NextItemConfig
    network: Callable[[int, torch.Generator], N]
    clock: Clock = "order"
    lean: Callable[[State, N], LeanModel] | None = None
    people: Tellers | None = None

    def fit(self, data: Data, run: Run, warm: "NextItemPart | None") -> "NextItemPart":
        """A part that learned to predict each event from those before it; `warm` gives the first weights.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        return self._fit(data, run, warm)

    def distil(self, elder: "NextItemPart", data: Data, run: Run, weight: float) -> "NextItemPart":
        """As `fit`, but what `elder` expects counts `weight` beside what came; starts from what fits of it.

        Raises:
            ConfigError: As `fit`; or the elder knows other items, or the loss is no softmax over all.
        """
        seen, kind = data.histories["item"], kind_of(self.config)
        count = len(np.unique(seen[seen >= 0]))
        if self.config.loss != "full":
            raise ConfigError(
                f"{kind}: loss {self.config.loss!r} compares no probabilities; distil with 'full'"
            )
        if len(elder.rows) != count:
            raise ConfigError(
                f"{kind}: the teacher knows {len(elder.rows)} items, the data has {count}; fit it again on"
                " this data"
            )
        return self._fit(data, run, elder, weight)

    def _fit(
        self, data: Data, run: Run, warm: "NextItemPart | None", weight: float = 0.0
    ) -> "NextItemPart":
        rows = touched(data)
        clock: Clock = self.clock if data.clock else "order"
        if clock != self.clock:
            label = kind_of(self.config)
            run.warnings.append(f"{label}: the data has order but no times, so the clock is 'order'")
        table = _known(data.histories, rows, data.histories.lengths.max(initial=0))
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self.network(len(rows), chance)
            self.config.start(network, chance)
            if warm is not None:
                network.start_from(warm, rows)
            prior = log_share(table["row"], len(rows))
            part = NextItemPart(rows, network, prior, self.config.max_len, clock, people=self.people)
            counts_R = np.bincount(table["row"], minlength=len(rows))
            loss = self._loss(network, self.config.loss_against(counts_R, chance))
            if warm is not None and weight:
                loss = self._taught(network, warm.network.eval(), weight)
            learned = identity(self.config, data) + (f", taught {weight}" if weight else "")
            told = None if self.people is None else self.people(data.users)
            self._train(part, (table, told), loss, run, self.config.plan(kind_of(self.config), learned))
        return part.settled()

    def load(self, state: State, run: Run) -> "NextItemPart":
        """The part as it was saved.

        Raises:
            BundleError: Something is missing, or a tensor's shape is not this config's.
        """
        for name in ("codes", "prior"):
            if name not in state.tensors:
                raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        clock = state.meta.get("clock", "order")
        if clock not in ("order", self.clock):
            raise BundleError(f"the bundle's clock is {clock!r}, the config's {self.clock!r}; fit it again")
        rows = Rows(state.tensors["codes"])
        network = self.network(len(rows), torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        network.eval().requires_grad_(False)
        on_cpu = network.device.type == "cpu"
        lean = self.lean(state, network) if self.lean is not None and on_cpu else None
        prior, max_len = state.tensors["prior"], self.config.max_len
        return NextItemPart(rows, network, prior, max_len, clock, lean, people=self.people).settled()

    def _loss(self, network: N, measure: Loss) -> Callable[[Batch], Tensor]:
        def loss(batch: Batch) -> Tensor:
            hidden_ND, targets_N = network.lesson(batch)
            return measure(hidden_ND, network.outputs(), targets_N)

        return loss

    def _taught(self, network: N, elder: HistoryNetwork, weight: float) -> Callable[[Batch], Tensor]:
        def loss(batch: Batch) -> Tensor:
            hidden_ND, targets_N = network.lesson(batch)
            with torch.no_grad():
                wish = Wish(elder.lesson(batch)[0], elder.outputs(), weight)
            return taught_softmax(hidden_ND, network.outputs(), targets_N, wish)

        return loss

    def _train(
        self,
        part: "NextItemPart",
        sources: tuple[RaggedTable, Floats | None],
        loss: Callable[[Batch], Tensor],
        run: Run,
        plan: Plan,
    ) -> None:
        table, told = sources
        batches = NextItem(
            table.ragged("row"),
            max_len=self.config.max_len,
            batch_size=self.config.batch_size,
            seed=run.seed,
            device=part.network.device,
        )
        if part.clock != "order":
            batches.times = _times(table, part.clock, None)
        batches.people = told
        judge = run.validate
        if not batches.steps:
            run.warnings.append(
                f"{plan.label}: no history has two events, so there was nothing to learn from"
            )
        loop.train(part.network, batches, loss, plan, run, None if judge is None else lambda: judge(part))


class NextItemModel(NextItemConfig, frozen=True, kw_only=True):
    """Base of kinds that are one such network and nothing else."""

    @abstractmethod
    def network(self, rows: int, chance: torch.Generator) -> HistoryNetwork:
        """A new one for so many items."""

    def learning(self) -> Learning[Any]:
        """How it learns and is loaded."""
        return Learning(self, self.network)

    def fit(self, data: Data, run: Run, warm: "NextItemPart | None" = None) -> "NextItemPart":
        """See `Learning.fit`."""
        return self.learning().fit(data, run, warm)

    def load(self, state: State, run: Run) -> "NextItemPart":
        """See `Learning.load`."""
        return self.learning().load(state, run)


@dataclass(frozen=True, slots=True, eq=False)
class NextItemPart:
    """A fitted model of the next item.

    Shapes: `prior` (R,) log share of each item's interactions, where a history is empty. `lean`: what
    answers a few queries at a time, once the weights are final; then `fixed` (R, D) are the item vectors.
    """

    rows: Rows
    network: HistoryNetwork
    prior: Floats
    max_len: int
    clock: Clock = "order"
    lean: LeanModel | None = None
    fixed: Floats | None = None
    people: Tellers | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most likely to come next."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits of the next item; -inf for codes that were not in the training events."""
        vectors_BD, empty_B = remember(self, queries, lambda: self._encode(queries))
        scores_BR: Scores = vectors_BD @ self.items.T
        scores_BR[empty_B] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) of the items in the training events, and their vectors (R, D)."""
        return self.rows.codes, self.items.copy()

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) what the newest event of each history leads to; zeros where nothing is known."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the query vectors."""
        vectors_BD: Floats = remember(self, queries, lambda: self._encode(queries))[0]
        return vectors_BD

    def state(self) -> State:
        """Codes, prior and every weight."""
        tensors = {"codes": self.rows.codes, "prior": self.prior, **tensors_of(self.network)}
        meta: dict[str, Any] = {} if self.clock == "order" else {"clock": self.clock}
        return State(tensors, meta)

    @property
    def items(self) -> Floats:
        """(R, D) item vectors as scores are made of them."""
        if self.fixed is not None:
            return self.fixed
        with torch.inference_mode():
            items_RD: Floats = self.network.outputs().cpu().numpy()
        return items_RD

    def settled(self) -> "NextItemPart":
        """The part when its weights will not change any more: item vectors are made once."""
        return replace(self, fixed=self.items)

    def graph(self) -> Graph:
        """See `Graphs.graph`."""
        items_RD, timed = torch.from_numpy(self.items), self.clock != "order"
        return history_graph(self.network, items_RD, self.rows.codes, self.max_len, timed=timed)

    @property
    def lean_is_whole(self) -> bool:
        """See `Leans.lean_is_whole`."""
        return True

    def _encode(self, queries: Queries) -> tuple[Floats, Bools]:
        """Vectors (B, D) and of which queries nothing is known (B,)."""
        if self.lean is not None and len(queries) <= PAYS_BELOW:
            return self.lean.read(queries)
        table = _known(queries.history, self.rows, self.max_len)
        lengths, starts = table.lengths, table.offsets[:-1]
        times = None if self.clock == "order" else _times(table, self.clock, queries.at)
        device = self.network.device
        vectors_BD = np.zeros((len(queries), self.items.shape[1]), np.float32)
        told_BC = None if self.people is None else self.people(queries.users)
        unknown_B = lengths == 0
        # Longest first, so that a block is as wide as its first member and little of it is padding.
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        with torch.inference_mode():
            if told_BC is not None:
                some = np.flatnonzero(unknown_B & told_BC.any(1))
                vectors_BD[some] = self.network.strangers(torch.from_numpy(told_BC[some]).to(device)).cpu()
                unknown_B[some] = False
            while len(order):
                block, order = np.split(order, [max(1, ENCODE_EVENTS // int(lengths[order[0]]))])
                padded = Padded.of(table["row"], starts[block], lengths[block], device)
                if times is not None:
                    padded = padded.timed(*times, starts[block])
                if told_BC is not None:
                    padded = padded.told(told_BC[block])
                vectors_BD[block] = self.network(padded, newest=True).cpu().numpy()
        return vectors_BD, unknown_B


def touched(data: Data) -> Rows:
    """Rows for the items of the histories."""
    seen = data.histories["item"]
    return Rows(np.unique(seen[seen >= 0]))


def _known(history: RaggedTable, rows: Rows, max_len: int) -> RaggedTable:
    """The newest `max_len` events whose item has a row, as rows and seconds."""
    row = rows.of(history["item"])
    table = RaggedTable(history.offsets, {"row": row, "second": history["time"] // 1000})
    return table.where(row >= 0).tail(max_len)


def _times(table: RaggedTable, clock: Clock, at: Array | None) -> tuple[Array, Array]:
    """Seconds (N,) of the events and of what each takes for now: itself, or what is asked next.

    The newest of a history is asked `at` (B,) ms, if that is given.
    """
    second = table["second"]
    if clock == "last":
        return second, second
    sight = np.roll(second, -1)
    full = np.flatnonzero(table.lengths)
    last = table.offsets[1:][full] - 1
    sight[last] = second[last] if at is None else at[full] // 1000
    return second, sight
