"""Two towers: one turns a history into a vector, one an item, and their cosine is the score.

Legend: B sequences, L positions, D width, F hidden width, R item rows, N items without events, I codes.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.content import Content, ContentSpace
from polyscene.nn.attention import causal_mask, distances
from polyscene.nn.batching import Padded
from polyscene.nn.content import ItemTable
from polyscene.nn.exported import Graph
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.negatives import SamplerKind
from polyscene.nn.next_item import (
    HistoryNetwork,
    Learning,
    LossKind,
    NextItemConfig,
    NextItemPart,
    Positive,
    Share,
    touched,
)


class TwoTower(NextItemConfig, frozen=True, kw_only=True, tag="two_tower"):
    """A user tower over the newest `max_len` events, an item tower over id and content.

    The user tower reads the newest item and a mean of all, weighted by how many places ago; the item tower
    reads id and `content`; both have one hidden layer of width `hidden`. Their cosine is divided by
    `temperature`. `id_dropout` is the share of items that learn to do without their id, so that items put
    after the fit are ranked by content, or as an unknown item where they have none; ``content=null`` leaves
    them out. See `NextItemConfig` for what it learns by, `Trained` for how. Unknown items of a history are
    skipped; an empty history gets the log popularity.

    Source: Covington et al. 2016 and Yi et al. 2019 (two towers, softmax over a batch corrected by logQ),
    with the mixed negatives of Yang et al. 2020; the weights by place are ours. People are known by their
    histories alone.
    """

    hidden: Positive = 128
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    content: Content | None = Content()
    id_dropout: Share = 0.1
    loss: LossKind = "sampled"
    negatives: Positive = 1024
    sampler: SamplerKind = "mixed"
    max_len: Positive = 50
    batch_size: Positive = 3200

    def fit(self, data: Data, run: Run, warm: "TwoTowerPart | None" = None) -> "TwoTowerPart":
        """Learns to predict each event from those before it; see `Learning.fit`.

        Raises:
            DataError: `content` names an attribute that does not exist.
        """
        codes = touched(data).codes
        space = None if self.content is None else self.content.fit(data.catalogue, codes, run.seed)
        view = run.view or StillView(data.catalogue)
        fitted = self._learning(space, view, codes).fit(data, run, None if warm is None else warm.inner)
        return TwoTowerPart(fitted, space, view)

    def load(self, state: State, run: Run) -> "TwoTowerPart":
        """The part as it was saved; see `Learning.load`.

        Raises:
            ConfigError: The model reads content and the run has no view to read it from.
        """
        if self.content is not None and run.view is None:
            raise ConfigError("two_tower: loading one with content needs Run(view=...), the catalogue")
        view = run.view or StillView(Catalogue.bare(0))
        space = None if self.content is None else self.content.load(unpack(state, "content"))
        inner = unpack(state, "inner")
        codes: Codes = inner.tensors.get("codes", np.zeros(0, np.int32))
        return TwoTowerPart(self._learning(space, view, codes).load(inner, run), space, view)

    def _learning(self, space: ContentSpace | None, view: View, codes: Codes) -> "Learning[Network]":
        content_RC = None
        if space is not None and space.dim:
            content_RC = torch.from_numpy(space.vectors(view.catalogue, codes))
        return Learning(self, lambda rows, chance: Network(self, rows, content_RC, chance))


class Network(HistoryNetwork):
    """Item vectors that both towers begin with, and the towers."""

    by_item: ClassVar[tuple[str, ...]] = ("table.ids",)

    def __init__(
        self, config: TwoTower, rows: int, content_RC: Tensor | None, chance: torch.Generator
    ) -> None:
        super().__init__()
        dim, self.temperature = config.dim, config.temperature
        content_RC = None if content_RC is None else content_RC.to(chance.device)
        self.table = ItemTable(rows, dim, chance, content_RC, config.id_dropout)
        self.weights = nn.Parameter(torch.zeros(config.max_len, device=chance.device))
        self.drop = Dropout(config.dropout, chance)
        self.user_hidden = linear(2 * dim, config.hidden, chance)
        self.user_output = linear(config.hidden, dim, chance)
        self.item_hidden = linear(dim, config.hidden, chance)
        self.item_output = linear(config.hidden, dim, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        table_RD = self.table()
        x_BLD = self.drop(table_RD[sequences.rows] * table_RD.shape[1] ** 0.5)
        length = x_BLD.shape[1]
        logits_LL = self.weights[distances(length, len(self.weights), x_BLD.device)]
        mean_BLD = (logits_LL + causal_mask(x_BLD)).softmax(1) @ x_BLD
        x_xF = sequences.picked(torch.cat([x_BLD, mean_BLD], 2), newest=newest)
        hidden_xF = self.drop(functional.silu(self.user_hidden(x_xF)))
        vectors_xD = x_xF[..., : self.user_output.out_features] + self.user_output(hidden_xF)
        return functional.normalize(vectors_xD, dim=-1) / self.temperature

    def outputs(self) -> Tensor:
        """(R, D) unit vectors of the items."""
        return self.item(self.table())

    def item(self, vectors_ND: Tensor) -> Tensor:
        """(N, D) the item tower: unit vectors."""
        vectors_ND = vectors_ND * vectors_ND.shape[1] ** 0.5
        hidden_NF = functional.silu(self.item_hidden(vectors_ND))
        return functional.normalize(vectors_ND + self.item_output(hidden_NF), dim=-1)


@dataclass(slots=True, eq=False)
class TwoTowerPart:
    """Both towers; vectors of items without events are made once per catalogue."""

    inner: NextItemPart
    space: ContentSpace | None
    view: View
    _cold: tuple[Catalogue, Codes, Floats] | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def graph(self) -> Graph:
        """See `Graphs.graph`; items without events are no part of it."""
        return self.inner.graph()

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items whose vectors are nearest to the history's."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) cosines over the temperature; -inf for codes that the catalogue lacks.

        To an empty history, items without events are as little known as the least popular one.
        """
        scores_BI = self.inner.score_all(queries)
        codes, vectors_ND = self._without_events()
        inside = codes < queries.allowed.size
        vectors_BD = self.encode(queries)
        scores_BI[:, codes[inside]] = vectors_BD @ vectors_ND[inside].T
        empty = np.flatnonzero(~vectors_BD.any(1))
        scores_BI[np.ix_(empty, codes[inside])] = self.inner.prior.min(initial=0.0)
        return scores_BI

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes of all items it can score, and their vectors (R + N, D)."""
        codes, vectors_ND = self._without_events()
        known, items_RD = self.inner.item_vectors()
        return np.concatenate([known, codes]).astype(np.int32), np.concatenate([items_RD, vectors_ND])

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) the user tower's vectors; zeros where no event is known."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the query vectors."""
        return self.inner.encode(queries)

    def state(self) -> State:
        """Every weight, and the content space."""
        parts = {"inner": self.inner}
        return pack(parts if self.space is None else {**parts, "content": self.space})

    def _without_events(self) -> tuple[Codes, Floats]:
        """Codes (N,) of items that were not trained on, and their vectors (N, D), by content alone."""
        catalogue, network = self.view.catalogue, self.inner.network
        assert isinstance(network, Network)
        if self._cold is None or self._cold[0] is not catalogue:
            every: Codes = np.arange(catalogue.size, dtype=np.int32)
            codes = every[self.inner.rows.of(every) < 0] if self.space is not None else every[:0]
            content_NC = np.zeros((len(codes), 0), np.float32)
            if self.space is not None:
                content_NC = self.space.vectors(catalogue, codes)
            with torch.inference_mode():
                content = torch.from_numpy(content_NC).to(network.device)
                vectors_ND: Floats = network.item(network.table.cold(content)).cpu().numpy()
            self._cold = (catalogue, codes, vectors_ND)
        return self._cold[1], self._cold[2]
