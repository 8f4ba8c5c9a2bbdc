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
from polyscene.core.rows import log_share
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
    numbers. Users without a history get the log popularity, moved by a linear map of what they say, which a
    share `history_dropout` of the questions teaches; without words of theirs they get that alone.
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
        rows, view = touched(data), run.view or StillView.of(data)
        seen = rows.of(data.histories["item"])
        prior_R = log_share(seen[seen >= 0], len(rows))
        spaces = Spaces(
            None if self.content is None else self.content.fit(data.catalogue, rows.codes, run.seed),
            None if self.people is None else self.people.fit(data.people, data.users, run.seed),
        )
        learning = self._learning(spaces, view, rows.codes, prior_R)
        return TwoTowerPart(learning.fit(data, run, None if warm is None else warm.inner), spaces, view)

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
        prior_R: Floats = inner.tensors.get("prior", np.zeros(len(codes), np.float32))
        learning = self._learning(spaces, view, codes, prior_R)
        return TwoTowerPart(learning.load(inner, run), spaces, view)

    def _learning(self, spaces: "Spaces", view: View, codes: Codes, prior_R: Floats) -> "Learning[Network]":
        items, people, content_RC = spaces.items, spaces.people, None
        if items is not None and items.dim:
            content_RC = torch.from_numpy(items.vectors(view.catalogue, codes))
        width = 0 if people is None else people.dim
        tellers = None if people is None or not width else lambda users: people.vectors(view.people, users)
        return Learning(
            self, lambda _, chance: Network(self, prior_R, width, content_RC, chance), people=tellers
        )


@dataclass(frozen=True, slots=True)
class Spaces:
    """What is made of what items, and users, say of themselves; None: not read."""

    items: ContentSpace | None
    people: ContentSpace | None


class Network(HistoryNetwork):
    """Item vectors that both towers begin with, and the towers.

    The last place of an item's output is its log popularity, `prior_R`; only users without history ask for
    it. `width`: numbers that say something of a user.
    """

    by_item: ClassVar[tuple[str, ...]] = ("table.ids",)
    prior: Tensor

    def __init__(
        self,
        config: TwoTower,
        prior_R: Floats,
        width: int,
        content_RC: Tensor | None,
        chance: torch.Generator,
    ) -> None:
        super().__init__()
        rows, dim, self.temperature = len(prior_R), config.dim, config.temperature
        self.alone, self.chance = config.history_dropout, chance
        self.register_buffer("prior", torch.from_numpy(prior_R).to(chance.device), persistent=False)
        content_RC = None if content_RC is None else content_RC.to(chance.device)
        self.table = ItemTable(rows, dim, chance, content_RC, config.id_dropout)
        self.weights = nn.Parameter(torch.zeros(config.max_len, device=chance.device))
        self.drop = Dropout(config.dropout, chance)
        self.person = linear(width, dim, chance) if width else None
        self.stranger = nn.Parameter(torch.zeros(dim, width, device=chance.device)) if width else None
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
        """(B, D + 1) the popular, moved by what users without history say of themselves."""
        assert self.stranger is not None
        return _beside(people_BC @ self.stranger.mT, 1.0)

    def user(self, read_xF: Tensor, people_BC: Tensor | None) -> Tensor:
        """(..., D + 1) the user tower: unit vectors over the temperature, of what was read of each history.

        While it learns, some of them are what a stranger's would be.
        """
        told_xC = None
        if self.person is not None:
            if people_BC is None:
                people_BC = read_xF.new_zeros(len(read_xF), self.person.in_features)
            told_xC = people_BC if read_xF.dim() == 2 else people_BC[:, None].expand(*read_xF.shape[:2], -1)
            read_xF = torch.cat([read_xF, self.person(told_xC)], -1)
        hidden_xF = self.drop(functional.silu(self.user_hidden(read_xF)))
        vectors_xD = read_xF[..., : self.user_output.out_features] + self.user_output(hidden_xF)
        vectors_xE = _beside(functional.normalize(vectors_xD, dim=-1) / self.temperature, 0.0)
        if told_xC is None or not self.training or not self.alone:
            return vectors_xE
        lot_x1 = torch.rand((*vectors_xE.shape[:-1], 1), generator=self.chance, device=vectors_xE.device)
        return torch.where(lot_x1 < self.alone, self.strangers(told_xC), vectors_xE)

    def outputs(self) -> Tensor:
        """(R, D + 1) unit vectors of the items, and their log popularity."""
        return torch.cat([self.item(self.table()), self.prior[:, None]], 1)

    def item(self, vectors_ND: Tensor) -> Tensor:
        """(N, D) the item tower: unit vectors."""
        vectors_ND = vectors_ND * vectors_ND.shape[1] ** 0.5
        hidden_NF = functional.silu(self.item_hidden(vectors_ND))
        return functional.normalize(vectors_ND + self.item_output(hidden_NF), dim=-1)


def _beside(vectors_xD: Tensor, number: float) -> Tensor:
    """(..., D + 1) vectors with a number behind each."""
    return functional.pad(vectors_xD, (0, 1), value=number)


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

        To users without a history, items without events are as popular as the least popular one.
        """
        codes, items_ND = self.item_vectors()
        inside = codes < queries.allowed.size
        scores_BI = np.full((len(queries), queries.allowed.size), -np.inf, np.float32)
        scores_BI[:, codes[inside]] = self.encode(queries) @ items_ND[inside].T
        return scores_BI

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes of all items it can score, and (R + N, D + 1) their vectors and log popularity."""
        codes, vectors_ND = self._without_events()
        known, items_RE = self.inner.item_vectors()
        least_N = np.full(len(codes), self.inner.prior.min(initial=0.0), np.float32)
        vectors = np.concatenate([items_RE, np.column_stack([vectors_ND, least_N])])
        return np.concatenate([known, codes]).astype(np.int32), vectors

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D + 1) the user tower's vectors; popularity alone where nothing is known."""
        return self.encode(queries)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`: the query vectors."""
        vectors_BE = self.inner.encode(queries).copy()
        vectors_BE[~vectors_BE.any(1), -1] = 1
        return vectors_BE

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
