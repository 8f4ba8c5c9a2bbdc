"""Content vectors: a history is an average of what its items say of themselves, learned to lead on.

Legend: B queries, L positions, C content dimensions, D width, I item codes, R item rows of the fit.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.answer import answer
from polyscene.core.arrays import Bools, Floats, RaggedTable, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.content import Content, ContentSpace
from polyscene.nn import loop, machine
from polyscene.nn.batching import Batch, NextItem, Padded
from polyscene.nn.checkpoint import identity
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.next_item import NextItemConfig, Positive, Share, touched
from polyscene.nn.weights import put_tensors, tensors_of

ENCODE_EVENTS = 16_384
"""Padded events read at once when many queries come together."""


class ContentVectors(NextItemConfig, frozen=True, kw_only=True, tag="content_vectors"):
    """A user is the average of the content vectors of the newest `max_len` items, brought to width `dim`.

    ``profile="attention"`` weighs each by what it is and how long ago it came, both learned; ``"mean"``
    weighs all alike. An item's score is the inner product with its own content, brought to the same width:
    no id is learned, so an item put a second ago is ranked like any other. `content` is the most dimensions
    of a content vector; `text`, `attributes` and `encoder` choose what is read and how, as in `Content`.
    See `NextItemConfig` for what it learns by, `Trained` for how. Unknown items of a history are skipped;
    an empty history is not answered. `content_knn` compares the same vectors without learning from events.

    Source: the user encoder of NAML (Wu et al. 2019), additive attention over news vectors, on content
    vectors that stay as they are, with full softmax and a learned decay by place.
    """

    profile: Literal["attention", "mean"] = "attention"
    text: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None
    encoder: Literal["tfidf", "sentences"] = "tfidf"
    content: Positive = 128
    max_len: Positive = 50
    dropout: Share = 0.1
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 10
    batch_size: Positive = 6400

    def fit(self, data: Data, run: Run, warm: "ContentVectorsPart | None" = None) -> "ContentVectorsPart":
        """Learns to lead from each event to the next; `warm` gives the weights where shapes are equal.

        Raises:
            DataError: A named attribute does not exist.
            ConfigError: The device or the sentence encoder does not exist here, or the loss diverged.
        """
        rows, view = touched(data), run.view or StillView.of(data)
        space = self._content().fit(data.catalogue, rows.codes, run.seed)
        row = rows.of(data.histories["item"])
        table = RaggedTable(data.histories.offsets, {"row": row}).where(row >= 0)
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = Network(self, space.dim, chance)
            self.start(network, chance)
            if warm is not None:
                network.start_from(warm.network)
            part = ContentVectorsPart(self, space, network, view)
            batches = NextItem(
                table.ragged("row"),
                max_len=self.max_len,
                batch_size=self.batch_size,
                seed=run.seed,
                device=device,
            )
            if not batches.steps:
                run.warnings.append(
                    "content_vectors: no history has two events, so there was nothing to learn from"
                )
            content_RC = torch.from_numpy(space.vectors(data.catalogue, rows.codes)).to(device)
            counts_R = np.bincount(table["row"], minlength=len(rows))
            measure, judge = self.loss_against(counts_R, chance), run.validate

            def loss(batch: Batch) -> Tensor:
                hidden_NE = network(content_RC[batch.inputs.rows], batch.inputs)[batch.inputs.real]
                return measure(hidden_NE, network.items(content_RC), batch.targets)

            plan = self.plan("content_vectors", identity(self, data))
            loop.train(network, batches, loss, plan, run, None if judge is None else lambda: judge(part))
        return ContentVectorsPart(self, space, network, view)

    def load(self, state: State, run: Run) -> "ContentVectorsPart":
        """The part as it was saved.

        Raises:
            ConfigError: The run has no view to read content from.
            BundleError: Something is missing, or a tensor's shape is not this config's.
        """
        if run.view is None:
            raise ConfigError(
                "content_vectors: loading needs Run(view=...), the catalogue it reads content from"
            )
        space = self._content().load(unpack(state, "space"))
        network = Network(self, space.dim, torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        return ContentVectorsPart(self, space, network.eval().requires_grad_(False), run.view)

    def _content(self) -> Content:
        return Content(text=self.text, attributes=self.attributes, dim=self.content, encoder=self.encoder)


class Network(nn.Module):
    """Content to width, once for what was touched and once for what is asked, and the weights between."""

    def __init__(self, config: ContentVectors, content: int, chance: torch.Generator) -> None:
        super().__init__()
        self.read = linear(content, config.dim, chance)
        self.write = linear(content, config.dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.attends = config.profile == "attention"
        if self.attends:
            self.look = linear(config.dim, config.dim, chance)
            self.worth = linear(config.dim, 1, chance, bias=False)
            self.decay = nn.Parameter(torch.zeros(1, device=chance.device))

    def forward(self, content_BLC: Tensor, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) profile after each event; (B, D) after the newest only if `newest`."""
        x_BLD = self.read(self.drop(content_BLC))
        place_L = torch.arange(x_BLD.shape[1], device=x_BLD.device)
        asked_BM = sequences.last[:, None] if newest else place_L.expand(len(x_BLD), -1)
        back_BML = asked_BM[:, :, None] - place_L
        logits_BML = back_BML.to(x_BLD.dtype) * 0
        if self.attends:
            worth_BL = self.worth(torch.tanh(self.look(x_BLD)))[..., 0]
            logits_BML = worth_BL[:, None] - nn.functional.softplus(self.decay) * back_BML
        shares_BML = logits_BML.masked_fill(back_BML < 0, -torch.inf).softmax(2)
        profile_BMD: Tensor = shares_BML @ x_BLD
        return profile_BMD[:, 0] if newest else profile_BMD

    def items(self, content_NC: Tensor) -> Tensor:
        """(N, D) what a profile is multiplied with."""
        vectors_ND: Tensor = self.write(content_NC)
        return vectors_ND

    def start_from(self, older: "Network") -> None:
        """Takes over the weights of equal shape."""
        theirs = dict(older.named_parameters())
        for name, mine in self.named_parameters():
            if name in theirs and theirs[name].shape == mine.shape:
                mine.data.copy_(theirs[name])


@dataclass(slots=True, eq=False)
class ContentVectorsPart:
    """Reads content from its view; the content of all items is made once per catalogue."""

    config: ContentVectors
    space: ContentSpace
    network: Network
    view: View
    _known: tuple[Catalogue | None, Floats] = (None, np.zeros((0, 0), np.float32))
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items whose content the history leads to."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) inner products; -inf for codes the catalogue lacks and where no history is known."""
        content_IC = self._content()
        width = min(len(content_IC), queries.allowed.size)
        scores_BI = np.full((len(queries), queries.allowed.size), -np.inf, np.float32)
        profiles_BD, known_B = self._profiles(queries.history, content_IC)
        with torch.inference_mode():
            items_ID = self.network.items(self._tensor(content_IC[:width])).cpu().numpy()
        scores_BI[known_B, :width] = profiles_BD[known_B] @ items_ID.T
        return scores_BI

    def state(self) -> State:
        """That of the content space, and every weight."""
        inner = pack({"space": self.space})
        return State({**inner.tensors, **tensors_of(self.network)}, inner.meta)

    def _content(self) -> Floats:
        """(I, C) content of every item, zeros where it says nothing."""
        catalogue = self.view.catalogue
        if self._known[0] is not catalogue:
            everything = np.arange(catalogue.size, dtype=np.int32)
            self._known = (catalogue, self.space.vectors(catalogue, everything))
        return self._known[1]

    def _profiles(self, history: RaggedTable, content_IC: Floats) -> tuple[Floats, Bools]:
        """Profiles (B, D) and which histories hold a known item (B,)."""
        codes = history["item"]
        table = history.where((codes >= 0) & (codes < len(content_IC))).tail(self.config.max_len)
        starts, lengths = table.offsets[:-1], table.lengths
        profiles_BD = np.zeros((len(table), self.config.dim), np.float32)
        # Longest first, so that a block is as wide as its first member and little of it is padding.
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        content = self._tensor(content_IC)
        with torch.inference_mode():
            while len(order):
                block, order = np.split(order, [max(1, ENCODE_EVENTS // int(lengths[order[0]]))])
                padded = Padded.of(table["item"], starts[block], lengths[block], content.device)
                profiles_BD[block] = self.network(content[padded.rows], padded, newest=True).cpu().numpy()
        return profiles_BD, lengths > 0

    def _tensor(self, content_NC: Floats) -> Tensor:
        return torch.from_numpy(content_NC).to(self.network.read.bias.device)
