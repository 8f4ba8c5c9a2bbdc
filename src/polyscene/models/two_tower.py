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
    them out. With `people` the user tower also reads what users say of themselves, by default labels and
    numbers; a share `history_dropout` of what it learns from shows it nothing else. Then users without a
    history get the log popularity, raised or lowered by what they say; others without one get that alone.
    See `NextItemConfig` for what it learns by, `Trained` for how. Unknown items of a history are skipped.

    Source: Covington et al. 2016 and Yi et al. 2019 (two towers, softmax over a batch corrected by logQ),
    with the mixed negatives of Yang et al. 2020; the weights by place are ours. Known users have no row of
    their own.
    """

    hidden: Positive = 128
    temperature: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    content: Content | None = Content()
    id_dropout: Share = 0.1
    people: Content | None = Content(text=())
    history_dropout: Share = 0.1
    loss: LossKind = "sampled"
    negatives: Positive = 1024
    sampler: SamplerKind = "mixed"
    max_len: Positive = 50
    batch_size: Positive = 3200

    def fit(self, data: Data, run: Run, warm: "TwoTowerPart | None" = None) -> "TwoTowerPart":
        """Learns to predict each event from those before it; see `Learning.fit`.

        Raises:
            DataError: `content` or `people` names an attribute that does not exist.
        """
        codes, view = touched(data).codes, run.view or StillView.of(data)
        spaces = Spaces(
            None if self.content is None else self.content.fit(data.catalogue, codes, run.seed),
            None if self.people is None else self.people.fit(data.people, data.users, run.seed),
        )
        fitted = self._learning(spaces, view, codes).fit(data, run, None if warm is None else warm.inner)
        return TwoTowerPart(fitted, spaces, view)

    def load(self, state: State, run: Run) -> "TwoTowerPart":
        """The part as it was saved; see `Learning.load`.

        Raises:
            ConfigError: The model reads content or people and the run has no view to read them from.
        """
        if (self.content or self.people) and run.view is None:
            raise ConfigError("two_tower: loading one with content or people needs Run(view=...)")
        view = run.view or StillView(Catalogue.bare(0))
        spaces = Spaces(
            None if self.content is None else self.content.load(unpack(state, "content")),
            None if self.people is None else self.people.load(unpack(state, "people")),
        )
        inner = unpack(state, "inner")
        codes: Codes = inner.tensors.get("codes", np.zeros(0, np.int32))
        return TwoTowerPart(self._learning(spaces, view, codes).load(inner, run), spaces, view)

    def _learning(self, spaces: "Spaces", view: View, codes: Codes) -> "Learning[Network]":
        items, people, content_RC = spaces.items, spaces.people, None
        if items is not None and items.dim:
            content_RC = torch.from_numpy(items.vectors(view.catalogue, codes))
        width = 0 if people is None else people.dim
        tellers = None if people is None or not width else lambda users: people.vectors(view.people, users)
        return Learning(
            self, lambda rows, chance: Network(self, (rows, width), content_RC, chance), people=tellers
        )


@dataclass(frozen=True, slots=True)
class Spaces:
    """What is made of what items, and users, say of themselves; None: not read."""

    items: ContentSpace | None
    people: ContentSpace | None


class Network(HistoryNetwork):
    """Item vectors that both towers begin with, and the towers."""

    by_item: ClassVar[tuple[str, ...]] = ("table.ids",)

    def __init__(
        self, config: TwoTower, sizes: tuple[int, int], content_RC: Tensor | None, chance: torch.Generator
    ) -> None:
        super().__init__()
        rows, width = sizes
        dim, self.temperature = config.dim, config.temperature
        self.alone, self.chance = config.history_dropout, chance
        content_RC = None if content_RC is None else content_RC.to(chance.device)
        self.table = ItemTable(rows, dim, chance, content_RC, config.id_dropout)
        self.weights = nn.Parameter(torch.zeros(config.max_len, device=chance.device))
        self.drop = Dropout(config.dropout, chance)
        self.person = linear(width, dim, chance) if width else None
        self.user_hidden = linear(3 * dim if width else 2 * dim, config.hidden, chance)
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
        return self.user(x_xF, sequences.people)

    def strangers(self, people_BC: Tensor) -> Tensor:
        """(B, D) what sets users without history apart from one of whom nothing is known."""
        nothing_BF = people_BC.new_zeros(len(people_BC), 2 * self.user_output.out_features)
        return self.user(nothing_BF, people_BC) - self.user(nothing_BF, None)

    def user(self, read_xF: Tensor, people_BC: Tensor | None) -> Tensor:
        """(..., D) the user tower: unit vectors over the temperature, of what was read of each history."""
        if self.person is not None:
            shape = (*read_xF.shape[:-1], 1)
            if self.training and self.alone:
                lot_x1 = torch.rand(shape, generator=self.chance, device=read_xF.device)
                read_xF = read_xF * (lot_x1 >= self.alone)
            told_BC = people_BC
            if told_BC is None:
                told_BC = read_xF.new_zeros(len(read_xF), self.person.in_features)
            told_BD = self.person(told_BC)
            told_xD = told_BD if read_xF.dim() == 2 else told_BD[:, None].expand(*shape[:-1], -1)
            read_xF = torch.cat([read_xF, told_xD], -1)
        hidden_xF = self.drop(functional.silu(self.user_hidden(read_xF)))
        vectors_xD = read_xF[..., : self.user_output.out_features] + self.user_output(hidden_xF)
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
    spaces: Spaces
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

        Without a history it is the log popularity, raised or lowered by what the user says. Items without
        events then count as the least popular one.
        """
        codes, items_ND = self.item_vectors()
        inside = codes < queries.allowed.size
        scores_BI = np.full((len(queries), queries.allowed.size), -np.inf, np.float32)
        scores_BI[:, codes[inside]] = self.encode(queries) @ items_ND[inside].T
        return scores_BI

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes of all items it can score, and (R + N, D + 1) their vectors and log popularity."""
        codes, vectors_ND = self._without_events()
        known, items_RD = self.inner.item_vectors()
        prior_R = self.inner.prior
        least_N = np.full(len(codes), prior_R.min(initial=0.0), np.float32)
        vectors = np.concatenate([items_RD, vectors_ND]), np.concatenate([prior_R, least_N])
        return np.concatenate([known, codes]).astype(np.int32), np.column_stack(vectors)

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D + 1) the user tower's vectors, and a 1 where a history has no known event."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the query vectors."""
        known = queries.history.where(self.inner.rows.of(queries.history["item"]) >= 0)
        empty_B: Floats = (known.lengths == 0).astype(np.float32)
        return np.column_stack([self.inner.encode(queries), empty_B])

    def state(self) -> State:
        """Every weight, and the content space."""
        parts = {"inner": self.inner, "content": self.spaces.items, "people": self.spaces.people}
        return pack({name: part for name, part in parts.items() if part is not None})

    def _without_events(self) -> tuple[Codes, Floats]:
        """Codes (N,) of items that were not trained on, and their vectors (N, D), by content alone."""
        catalogue, network, space = self.view.catalogue, self.inner.network, self.spaces.items
        assert isinstance(network, Network)
        if self._cold is None or self._cold[0] is not catalogue:
            every: Codes = np.arange(catalogue.size, dtype=np.int32)
            codes = every[self.inner.rows.of(every) < 0] if space is not None else every[:0]
            content_NC = np.zeros((len(codes), 0), np.float32)
            if space is not None:
                content_NC = space.vectors(catalogue, codes)
            with torch.inference_mode():
                content = torch.from_numpy(content_NC).to(network.device)
                vectors_ND: Floats = network.item(network.table.cold(content)).cpu().numpy()
            self._cold = (catalogue, codes, vectors_ND)
        return self._cold[1], self._cold[2]
