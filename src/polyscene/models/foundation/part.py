"""A fitted foundation model: encodes histories, scores items old and new.

Legend: B queries, D width, R item rows of the part, N items without events, I item codes.
"""

from dataclasses import dataclass, replace
from typing import Any, ClassVar

import msgspec
import numpy as np
import torch
from scipy import sparse

from polyscene.core.answer import answer
from polyscene.core.arrays import Bools, Codes, Floats, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Effect, State, View
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.features.content import Content, ContentSpace
from polyscene.lean.blocks import BlockKind
from polyscene.lean.evidence import Evidence
from polyscene.lean.model import PAYS_BELOW, LeanModel
from polyscene.models.foundation.newcomers import Newcomers
from polyscene.nn.backbone import Backbone
from polyscene.nn.events import Reader
from polyscene.nn.exported import Graph
from polyscene.nn.graphs import event_graph
from polyscene.nn.heads import ValueScale
from polyscene.nn.products import product
from polyscene.nn.teaching import Elder
from polyscene.nn.weights import tensors_of

ENCODE_EVENTS = 16_384
"""Padded events encoded at once when many queries come together."""


@dataclass(frozen=True, slots=True, eq=False)
class Known:
    """What a part knows beside its weights.

    Shapes: `prior` (R,) log share of each item's interactions, the answer to an empty history. `margin` is
    added to the scores of items without events.
    """

    rows: Rows
    reader: Reader
    evidence: Evidence | None
    prior: Floats
    space: ContentSpace | None
    scale: ValueScale
    view: View
    newcomers: Newcomers
    margin: float = 0.0

    def state(self) -> State:
        """Everything `load` needs."""
        tensors = {"codes": self.rows.codes, "prior": self.prior, "edges": self.reader.edges}
        tensors |= {"scale_mean": self.scale.mean, "scale_spread": self.scale.spread}
        meta: dict[str, Any] = {"reader": self.reader.meta(), "margin": self.margin}
        if self.evidence is not None:
            tensors |= self.evidence.tensors()
        if self.space is not None:
            content = self.space.state()
            tensors |= {f"content.{name}": values for name, values in content.tensors.items()}
            meta["content"] = dict(content.meta)
        return State(tensors, meta)

    @classmethod
    def load(cls, state: State, content: Content | None, newcomers: Newcomers, view: View) -> "Known":
        """What `state` tells. Raises BundleError when something is missing."""
        try:
            reader = Reader.load(state.meta["reader"], state.tensors["edges"])
            scale = ValueScale(state.tensors["scale_mean"], state.tensors["scale_spread"])
            rows, prior = Rows(state.tensors["codes"]), state.tensors["prior"]
            evidence, margin = Evidence.load(state.tensors), float(state.meta["margin"])
            space = None
            if content is not None:
                own = {
                    name.removeprefix("content."): values
                    for name, values in state.tensors.items()
                    if name.startswith("content.")
                }
                space = content.load(State(own, state.meta["content"]))
        except (KeyError, TypeError, msgspec.ValidationError) as problem:
            raise BundleError(
                f"foundation: {problem} is missing or wrong; fit the model again"
            ) from problem
        return cls(rows, reader, evidence, prior, space, scale, view, newcomers, margin)


@dataclass(slots=True, eq=False)
class FoundationPart:
    """Scores every item that was trained on, and with content every other item of the catalogue.

    `lean` answers a few queries at a time, once the weights are final.
    """

    network: Backbone
    known: Known
    _items: Floats | None = None
    _cold: "Cold | None" = None
    lean: LeanModel | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most likely to come next."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits of the next item; -inf for codes without a row and without content."""
        known, width = self.known, queries.allowed.size
        vectors_BD, empty_B = self._vectors(queries)
        scores_BR: Scores = vectors_BD @ self.items.T
        if known.evidence is not None:
            known.evidence.add(scores_BR, known.reader.table(queries.history, known.rows), product)
        scores_BR[empty_B] = known.prior
        scores_BI = known.rows.spread(scores_BR, width)
        if known.space is not None:
            cold = self._cold_items(known.space)
            inside = cold.codes < width
            scores_BI[:, cold.codes[inside]] = self._cold_scores(scores_BR, vectors_BD, cold)[:, inside]
            scores_BI[np.ix_(empty_B, cold.codes[inside])] = known.prior.min(initial=0.0)
        return scores_BI

    def _cold_scores(self, scores_BR: Scores, vectors_BD: Floats, cold: "Cold") -> Scores:
        """(B, N) scores of items without events; without evidence inner products, as all others."""
        own_BN: Scores = vectors_BD @ cold.vectors.T
        if self.known.evidence is None or not scores_BR.shape[1]:
            return own_BN
        return self.known.newcomers.scores(scores_BR, cold.likeness, own_BN) + self.known.margin

    def encode(self, queries: Queries) -> Floats:
        """(B, D) what the newest event of each history leads to; zeros where no event is known."""
        return self._vectors(queries)[0]

    @property
    def items(self) -> Floats:
        """(R, D) vectors of the items that were trained on."""
        if self._items is not None:
            return self._items
        items_RD: Floats = self.network.items().detach().cpu().numpy()
        return items_RD

    def settled(self) -> "FoundationPart":
        """The part when its weights will not change any more: item vectors are made once."""
        return replace(self, _items=self.items.copy())

    def with_lean(self, block: BlockKind, heads: int, states_mb: float) -> "FoundationPart":
        """The part with its lean form, where it runs on a CPU; item vectors are shared.

        It keeps what it read of the latest histories, unless positions are counted from the newest event.
        """
        if self.network.items.ids.device.type != "cpu":
            return self
        state, reader = self.state(), self.known.reader
        tensors = {name: each for name, each in state.tensors.items() if not name.startswith("items.")}
        meta = {"form": {"block": block, "heads": heads, **reader.meta()}}
        lean = LeanModel.of(State({**tensors, "items": self.items}, meta))
        if states_mb and lean.backbone.ages is None:
            lean = lean.remembering(states_mb)
        return replace(self, lean=lean)

    def graph(self) -> Graph:
        """See `Graphs.graph`; evidence and items without events are no part of it."""
        items_RD, known = torch.from_numpy(self.items), self.known
        return event_graph(self.network, items_RD, known.rows.codes, known.reader)

    @property
    def lean_is_whole(self) -> bool:
        """See `Leans.lean_is_whole`: items without events are ranked by content, which it can't read."""
        return self.known.space is None

    def state(self) -> State:
        """What it knows, and every weight."""
        state = self.known.state()
        return State({**state.tensors, **tensors_of(self.network)}, state.meta)

    def lend(self, network: Backbone, rows: Rows) -> None:
        """Gives a younger network what fits: weights of equal shape, vectors of the items both know."""
        mine = dict(self.network.named_parameters())
        for name, theirs in network.named_parameters():
            if (
                name not in ("items.ids", "items.unknown")
                and name in mine
                and mine[name].shape == theirs.shape
            ):
                theirs.data.copy_(mine[name])
        if mine["items.ids"].shape[1] != network.items.ids.shape[1]:
            return
        home_R = torch.from_numpy(self.known.rows.of(rows.codes))
        shared_R = home_R >= 0
        network.items.ids.data[shared_R] = (
            mine["items.ids"].data[home_R[shared_R]].to(network.items.ids.device)
        )

    def teaching(self, known: Known, weight: float) -> Elder:
        """Its network as the elder of one that knows the same items and reads the same of an event.

        Raises:
            ConfigError: It does not.
        """
        mine, theirs = self.known, known
        if not np.array_equal(mine.rows.codes, theirs.rows.codes):
            raise ConfigError(
                f"foundation: the teacher knows {len(mine.rows)} items, the data has {len(theirs.rows)};"
                " fit it again on this data"
            )
        if mine.reader.sizes != theirs.reader.sizes:
            raise ConfigError(
                f"foundation: the teacher reads {sorted(mine.reader.sizes)} of an event, the student"
                f" {sorted(theirs.reader.sizes)}; leave `clock` and `surface` as they are"
            )
        return Elder(self.network.eval(), weight)

    def _vectors(self, queries: Queries) -> tuple[Floats, Bools]:
        return remember(self, queries, lambda: self._encode(queries))

    def _encode(self, queries: Queries) -> tuple[Floats, Bools]:
        """Vectors (B, D) and whether each history has no known event (B,)."""
        if self.lean is not None and len(queries) <= PAYS_BELOW:
            return self.lean.read(queries)
        reader = self.known.reader
        table = reader.table(queries.history, self.known.rows)
        lengths = np.minimum(table.lengths, reader.max_len)
        items_RD = torch.from_numpy(self.items).to(self.network.items.ids.device)
        vectors_BD = np.zeros((len(queries), items_RD.shape[1]), np.float32)
        # Longest first, so that a block is as wide as its first member and little of it is padding.
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        with torch.inference_mode():
            while len(order):
                block, order = np.split(order, [max(1, ENCODE_EVENTS // int(lengths[order[0]]))])
                events = reader.ask(table, queries, block, lengths[block], items_RD.device)
                vectors_BD[block] = self.network(events, items_RD, newest=True).cpu().numpy()
        return vectors_BD, lengths == 0

    def margin(self, queries: Queries, seed: int) -> float:
        """What items without events need beside their scores to get their share, by these histories."""
        vectors_BD = self.encode(queries)
        scores_BR = self.score_all(queries)[:, self.known.rows.codes]
        table = self.known.reader.table(queries.history, self.known.rows)
        scores_BR[table.rows(), table["row"]] = -np.inf
        return self.known.newcomers.margin(scores_BR, self._pseudo(), vectors_BD, self.known.prior, seed)

    def _pseudo(self) -> Floats:
        """(R, D) vectors that the known items would have by content alone."""
        content_RC = self.network.items.content
        assert content_RC is not None
        with torch.inference_mode():
            pseudo_RD: Floats = self.network.items.cold(content_RC).cpu().numpy()
        return pseudo_RD

    def _cold_items(self, space: ContentSpace) -> "Cold":
        """The items that were not trained on but have content."""
        catalogue = self.known.view.catalogue
        if self._cold is None or self._cold.catalogue is not catalogue:
            every: Codes = np.arange(catalogue.size, dtype=np.int32)
            codes = every[self.known.rows.of(every) < 0]
            content_NC = space.vectors(catalogue, codes)
            some = content_NC.any(1)
            with torch.inference_mode():
                content = torch.from_numpy(content_NC[some]).to(self.network.items.ids.device)
                vectors_ND: Floats = self.network.items.cold(content).cpu().numpy()
            likeness_NR = self.known.newcomers.likeness(vectors_ND, self._pseudo())
            self._cold = Cold(catalogue, codes[some], vectors_ND, likeness_NR)
        return self._cold


@dataclass(frozen=True, slots=True, eq=False)
class Cold:
    """Items without events: codes (N,), vectors (N, D) and what known items speak for them (N, R)."""

    catalogue: Catalogue
    codes: Codes
    vectors: Floats
    likeness: sparse.csr_matrix


class EmbeddingFoundationPart(FoundationPart):
    """One whose score is the inner product of two vectors, as nothing counted is added."""

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes of all items it can score and their vectors (R + N, D)."""
        if self.known.space is None:
            return self.known.rows.codes, self.items.copy()
        cold = self._cold_items(self.known.space)
        codes: Codes = np.concatenate([self.known.rows.codes, cold.codes])
        return codes, np.concatenate([self.items, cold.vectors])

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D) what the newest event of each history leads to; zeros where no event is known."""
        return self.encode(queries)


def part_of(network: Backbone, known: Known) -> FoundationPart:
    """The part with the abilities that it can have."""
    kind = EmbeddingFoundationPart if known.evidence is None else FoundationPart
    return kind(network, known)
