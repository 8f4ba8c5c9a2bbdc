"""What autoencoders share: how they are fitted, kept and asked.

Legend: B queries, D width of the last layer, R item rows of the part, I item codes.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Generic, TypeVar

import msgspec
import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, Scores
from polyscene.core.config import kind_of
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows, log_share
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn import loop, machine
from polyscene.nn.bags import Bag, Bags, BagSum, ItemScores
from polyscene.nn.checkpoint import identity
from polyscene.nn.exported import Graph
from polyscene.nn.graphs import bag_graph
from polyscene.nn.trained import Positive, Trained
from polyscene.nn.weights import put_tensors, take_over, tensors_of

ENCODE_USERS = 4096
"""Histories encoded at once when many queries come together."""
BY_ITEM = ("inputs.vectors", "outputs.vectors", "outputs.bias")
"""Weights with a row for each item."""


class Rebuilder(nn.Module, ABC):
    """A network that rebuilds a bag of items: something between a first layer and a last one, both wide."""

    def __init__(self, rows: int, widths: tuple[int, int], corrupt: float, chance: torch.Generator) -> None:
        super().__init__()
        self.inputs = BagSum(rows, widths[0], corrupt, chance)
        self.outputs = ItemScores(widths[1], rows, chance)

    @abstractmethod
    def encode(self, bag: Bag) -> Tensor:
        """(B, D) what the last layer reads; without chance in evaluation mode."""

    def start_from(self, older: "Rebuilt", rows: Rows) -> None:
        """Takes over what fits of an older part: weights of equal shape, rows of the items both know."""
        take_over(self, older.network, older.rows.of(rows.codes), BY_ITEM)


N = TypeVar("N", bound=Rebuilder)


@dataclass(frozen=True, slots=True)
class Rebuilding(Generic[N]):
    """How one kind of autoencoder learns and is loaded.

    `network` makes a new one for so many items; `loss` gives the mean over the users of a batch; an epoch
    is `passes` passes over the users.
    """

    config: Trained
    network: Callable[[int, torch.Generator], N]
    loss: Callable[[N, Bag], Tensor]
    passes: int = 1

    def fit(self, data: Data, run: Run, warm: "Rebuilt | None") -> "Rebuilt":
        """A part whose network rebuilds the distinct items of histories; `warm` gives the first weights.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        seen = data.histories["item"]
        seen = seen[seen >= 0]
        rows = Rows(np.unique(seen))
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self.network(len(rows), chance)
            self.config.start(network, chance)
            if warm is not None:
                network.start_from(warm, rows)
            part = Rebuilt(rows, network, log_share(rows.of(seen), len(rows)))
            self._train(network, part, data, run)
        return part

    def load(self, state: State, run: Run) -> "Rebuilt":
        """The part as it was saved.

        Raises:
            BundleError: A tensor is missing, or its shape is not this config's.
        """
        for name in ("codes", "prior"):
            if name not in state.tensors:
                raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        rows = Rows(state.tensors["codes"])
        network = self.network(len(rows), torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        return Rebuilt(rows, network.eval().requires_grad_(False), state.tensors["prior"])

    def _train(self, network: N, part: "Rebuilt", data: Data, run: Run) -> None:
        label, judge = kind_of(self.config), run.validate
        batches = Bags(
            interactions(data.histories, part.rows),
            batch_size=self.config.batch_size,
            epochs=self.config.epochs,
            seed=run.seed,
            device=network.outputs.vectors.device,
            passes=self.passes,
        )
        if not batches.steps:
            run.warnings.append(f"{label}: no history has an item, so there was nothing to learn from")
        plan = self.config.plan(label, identity(self.config, data))
        validate = None if judge is None else lambda: judge(part)
        loop.train(network, batches, lambda bag: self.loss(network, bag), plan, run, validate)


class Autoencoding(Trained, frozen=True, kw_only=True):
    """Base of kinds that are an autoencoder.

    `batch_size` counts users; a batch needs memory for its users times all items.
    """

    epochs: Annotated[int, msgspec.Meta(ge=0)] = 30
    batch_size: Positive = 256
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3

    @abstractmethod
    def rebuilding(self) -> Rebuilding[Any]:
        """How it learns and is loaded."""

    def fit(self, data: Data, run: Run, warm: "Rebuilt | None" = None) -> "Rebuilt":
        """See `Rebuilding.fit`."""
        return self.rebuilding().fit(data, run, warm)

    def load(self, state: State, run: Run) -> "Rebuilt":
        """See `Rebuilding.load`."""
        return self.rebuilding().load(state, run)


@dataclass(frozen=True, slots=True, eq=False)
class Rebuilt:
    """A fitted autoencoder.

    Shapes: `prior` (R,) log share of each item's interactions, the answer to an empty history.
    """

    rows: Rows
    network: Rebuilder
    prior: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items that the network rebuilds most strongly."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) what the last layer gives each item; -inf for codes not in the training events."""
        vectors_BD = self.encode(queries)
        scores_BR: Scores = vectors_BD[:, :-1] @ _array(self.network.outputs.vectors).T
        scores_BR += _array(self.network.outputs.bias)
        scores_BR[vectors_BD[:, -1] == 0] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) of the items in the training events, and (R, D + 1) vector and bias of each."""
        outputs = self.network.outputs
        return self.rows.codes, np.column_stack([_array(outputs.vectors), _array(outputs.bias)])

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D + 1) what the last layer reads, and a 1 for the bias; zeros where no item is known."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the query vectors."""
        vectors_BD: Floats = remember(self, queries, lambda: self._encode(queries))
        return vectors_BD

    def graph(self) -> Graph:
        """See `Graphs.graph`."""
        return bag_graph(self.network, self.rows.codes)

    def state(self) -> State:
        """Codes, prior and every weight."""
        return State({"codes": self.rows.codes, "prior": self.prior, **tensors_of(self.network)})

    def _encode(self, queries: Queries) -> Floats:
        histories: sparse.csr_matrix = interactions(queries.history, self.rows)
        known = np.flatnonzero(np.diff(histories.indptr))
        outputs = self.network.outputs
        vectors_BD = np.zeros((len(queries), outputs.vectors.shape[1] + 1), np.float32)
        with torch.inference_mode():
            for start in range(0, len(known), ENCODE_USERS):
                block = known[start : start + ENCODE_USERS]
                bag = Bag.of(histories, block, outputs.vectors.device)
                vectors_BD[block, :-1] = self.network.encode(bag).cpu().numpy()
                vectors_BD[block, -1] = 1.0
        return vectors_BD


def _array(tensor: Tensor) -> Floats:
    array: Floats = tensor.detach().cpu().numpy()
    return array
