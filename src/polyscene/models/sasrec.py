"""SASRec: a causal Transformer reads a history and predicts the next item.

Legend: B queries, L positions, D width, R item rows of the part, N targets, I item codes.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.answer import answer
from polyscene.core.arrays import Bools, Codes, Floats, Ragged, RaggedTable, Scores
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.lean.model import PAYS_BELOW, Form, LeanModel
from polyscene.nn import loop, machine
from polyscene.nn.batching import Batch, NextItem, Padded
from polyscene.nn.checkpoint import identity
from polyscene.nn.layers import BlockKind, Shape, Trunk, table
from polyscene.nn.losses import full_softmax
from polyscene.nn.negatives import Sampler
from polyscene.nn.objectives import sampled_softmax
from polyscene.nn.trained import Trained
from polyscene.nn.weights import put_tensors, tensors_of

Positive = Annotated[int, msgspec.Meta(ge=1)]
ENCODE_EVENTS = 16_384
"""Padded events encoded at once when many queries come together."""


class SasRec(Trained, frozen=True, kw_only=True, tag="sasrec"):
    """A causal Transformer over the newest `max_len` events.

    An item's score is its vector's inner product with what the newest event leads to. `batch_size` counts
    events, not users. ``loss="full"`` compares with every item, ``"sampled"`` with `negatives` random
    ones, for catalogues too large for the former. See `Trained` for how it learns. Unknown items of a
    history are skipped; an empty history gets the log popularity. Items put after the fit are not scored.

    Source: Kang and McAuley 2018 (SASRec), with full softmax (Klenitskiy and Vasilev 2023), LiGR blocks
    (eSASRec, Tikhonovich et al. 2025), positions counted from the newest event, small batches at a high
    learning rate, and averaged weights. ``block="sasrec"`` has the block of 2018.
    """

    dim: Positive = 64
    layers: Positive = 2
    heads: Positive = 1
    block: BlockKind = "ligr"
    max_len: Positive = 200
    dropout: Annotated[float, msgspec.Meta(ge=0, lt=1)] = 0.2
    loss: Literal["full", "sampled"] = "full"
    negatives: Positive = 512

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"sasrec: dim {self.dim} can't be cut into {self.heads} heads; choose a multiple"
            )

    def fit(self, data: Data, run: Run, warm: "SasRecPart | None" = None) -> "SasRecPart":
        """Learns to predict each event from those before it; `warm` gives the weights to start from.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        sequences = _known(data.histories, rows, data.histories.lengths.max(initial=0))
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = Network(self, len(rows), chance)
            self.start(network, chance)
            if warm is not None:
                network.start_from(warm, rows)
            part = SasRecPart(rows, network, _log_share(sequences.values, len(rows)), self.max_len)
            self._train(part, sequences, run, chance, identity(self, data))
        return part

    def _train(
        self, part: "SasRecPart", sequences: Ragged, run: Run, chance: torch.Generator, learned: str
    ) -> None:
        batches = NextItem(
            sequences, max_len=self.max_len, batch_size=self.batch_size, seed=run.seed, device=chance.device
        )
        if not batches.steps:
            run.warnings.append("sasrec: no history has two events, so there was nothing to learn from")
        network, judge = part.network, run.validate
        counts_R = np.bincount(sequences.values, minlength=len(part.rows))
        sampler = Sampler("uniform", self.negatives, counts_R, chance)

        def loss(batch: Batch) -> Tensor:
            hidden_ND = network(batch.inputs)[batch.inputs.real]
            if self.loss == "full":
                return full_softmax(hidden_ND, network.items, batch.targets)
            return sampled_softmax(hidden_ND, network.items, batch.targets, sampler.draw(batch.targets))

        plan = self.plan("sasrec", learned)
        loop.train(network, batches, loss, plan, run, None if judge is None else lambda: judge(part))

    def load(self, state: State, run: Run) -> "SasRecPart":
        """The part as it was saved.

        Raises:
            BundleError: A tensor is missing, or its shape is not this config's.
        """
        for name in ("codes", "prior"):
            if name not in state.tensors:
                raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        rows = Rows(state.tensors["codes"])
        network = Network(self, len(rows), torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        network = network.eval().requires_grad_(False)
        lean = self._lean(state, network) if network.items.device.type == "cpu" else None
        return SasRecPart(rows, network, state.tensors["prior"], self.max_len, lean)

    def _lean(self, state: State, network: "Network") -> LeanModel:
        """The part without torch; its item vectors are the network's own."""
        tensors = {**state.tensors, "items": network.items.numpy()}
        tensors["ages"] = tensors.pop("positions")
        form = Form(max_len=self.max_len, block=self.block, heads=self.heads)
        return LeanModel.of(State(tensors, {"form": msgspec.to_builtins(form)}))


class Network(nn.Module):
    """Item table, position table and trunk; the item table is both input and output."""

    def __init__(self, config: SasRec, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.items = table(rows, config.dim, chance)
        self.positions = table(config.max_len, config.dim, chance)
        shape = Shape(config.dim, config.layers, config.heads, config.block, config.dropout)
        self.trunk = Trunk(shape, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.items[sequences.rows] + self.positions[sequences.ages]
        output: Tensor = self.trunk(x_BLD * self.items.shape[1] ** 0.5, sequences.last if newest else None)
        return output

    def start_from(self, older: "SasRecPart", rows: Rows) -> None:
        """Takes over what fits of an older part: weights of equal shape, vectors of the items both know."""
        theirs = dict(older.network.named_parameters())
        for name, mine in self.named_parameters():
            if name != "items" and name in theirs and theirs[name].shape == mine.shape:
                mine.data.copy_(theirs[name])
        if theirs["items"].shape[1] == self.items.shape[1]:
            home_R = torch.from_numpy(older.rows.of(rows.codes))
            known_R = home_R >= 0
            self.items.data[known_R] = theirs["items"].data[home_R[known_R]].to(self.items.device)


@dataclass(frozen=True, slots=True, eq=False)
class SasRecPart:
    """Shapes: `prior` (R,) log share of each item's interactions, the answer to an empty history.

    `lean`: what answers a few queries at a time, once the weights are final.
    """

    rows: Rows
    network: Network
    prior: Floats
    max_len: int
    lean: LeanModel | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most likely to come next."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits of the next item; -inf for codes that were not in the training events."""
        vectors_BD, empty_B = remember(self, queries, lambda: self._encode(queries))
        scores_BR: Scores = vectors_BD @ self._items().T
        scores_BR[empty_B] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) of the items in the training events, and their vectors (R, D)."""
        return self.rows.codes, self._items().copy()

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) what the newest event of each history leads to; zeros where no event is known."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the query vectors."""
        vectors_BD: Floats = remember(self, queries, lambda: self._encode(queries))[0]
        return vectors_BD

    def state(self) -> State:
        """Codes, prior and every weight."""
        tensors = {"codes": self.rows.codes, "prior": self.prior, **tensors_of(self.network)}
        return State(tensors)

    def _items(self) -> Floats:
        items_RD: Floats = self.network.items.detach().cpu().numpy()
        return items_RD

    def _encode(self, queries: Queries) -> tuple[Floats, Bools]:
        """Vectors (B, D) and whether each history has no known event (B,)."""
        if self.lean is not None and len(queries) <= PAYS_BELOW:
            return self.lean.read(queries)
        sequences = _known(queries.history, self.rows, self.max_len)
        lengths = sequences.lengths
        starts = sequences.offsets[:-1]
        device = self.network.items.device
        vectors_BD = np.zeros((len(queries), self.network.items.shape[1]), np.float32)
        # Longest first, so that a block is as wide as its first member and little of it is padding.
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        with torch.inference_mode():
            while len(order):
                block, order = np.split(order, [max(1, ENCODE_EVENTS // int(lengths[order[0]]))])
                padded = Padded.of(sequences.values, starts[block], lengths[block], device)
                vectors_BD[block] = self.network(padded, newest=True).cpu().numpy()
        return vectors_BD, lengths == 0


def _known(history: RaggedTable, rows: Rows, max_len: int) -> Ragged:
    """The newest `max_len` events whose item has a row, as rows."""
    row = rows.of(history["item"])
    return RaggedTable(history.offsets, {"row": row}).where(row >= 0).tail(max_len).ragged("row")


def _log_share(seen: Codes, count: int) -> Floats:
    """(R,) log of each row's share of all events, one event added to each."""
    counts = np.bincount(seen, minlength=count) + 1.0
    shares: Floats = np.log(counts / counts.sum()).astype(np.float32)
    return shares
