"""Generative retrieval: the next item's semantic id is written code by code, among eligible items only.

Legend: B queries, D width, R item rows of the training events, N of those and the items that came later,
C levels of an id, K codes a level.
"""

from dataclasses import dataclass, field
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import torch
from torch import Tensor

from polyscene.core.arrays import Array, Codes, Floats, Ragged, RaggedTable, Scores, offsets_of
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates, append, concat, mask_block, top
from polyscene.core.states import pack, unpack
from polyscene.features.item_space import ItemSpace
from polyscene.features.semantic import SemanticIds
from polyscene.nn import loop, machine
from polyscene.nn.batching import Batch, NextItem, Padded
from polyscene.nn.beam import Logits, Open, Trie, search
from polyscene.nn.checkpoint import identity
from polyscene.nn.generator import CodeLoss, Generator, Sizes, tokens_of
from polyscene.nn.layers import BlockKind, Shape
from polyscene.nn.rqvae import rq_vae
from polyscene.nn.semantic_ids import Quality, residual_kmeans, with_ordinals
from polyscene.nn.trained import Trained
from polyscene.nn.weights import put_tensors, tensors_of

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
ENCODE_EVENTS = 16_384
"""Padded events encoded at once when many queries come together."""
SEARCH_CELLS = 4_000_000
"""Logits that a search may hold at once; more queries are answered in blocks."""


class Generative(Trained, frozen=True, kw_only=True, tag="generative"):
    """A decoder that writes the semantic id of the next item; a beam search keeps it to eligible ones.

    Item vectors (content and behaviour, see `ItemSpace`; `content_weight` is content's share) are cut into
    `levels` codes of `codes` each, by residual k-means or RQ-VAE, and one more code that tells equal ones
    apart. Events are read as the sum of their codes' vectors, with ``item_ids`` also a vector of the item's
    own; codes are written one after another, each given those before it. The search keeps `beam` of them,
    or ``queries.wanted`` if that is more, and never leaves what is allowed and not excluded, so it finds as
    many eligible items as are wanted and exist. A score is the log-probability of the id.

    Items put after the fit join the existing semantic codes nearest to their content, with the next free
    last code; no older id or score changes. Unknown items of a history are skipped; an empty history gets
    the log popularity. A warm start keeps all ids.

    Reading one vector an event instead of C codes is our change: sequences are C times shorter, and only
    attention to single codes of past events is lost.

    Source: TIGER (Rajput et al. 2023, "Recommender systems with generative retrieval"), causal and with
    residual k-means as in GRID (Ju et al. 2025); LiGR blocks (eSASRec, Tikhonovich et al. 2025).
    """

    dim: Positive = 64
    layers: Positive = 1
    decoder_layers: Positive = 1
    heads: Positive = 1
    block: BlockKind = "ligr"
    max_len: Positive = 50
    dropout: Share = 0.5
    decoder_dropout: Share = 0.2
    quantizer: Literal["rkmeans", "rqvae"] = "rkmeans"
    levels: Positive = 3
    codes: Annotated[int, msgspec.Meta(ge=2)] = 256
    content_weight: Annotated[float, msgspec.Meta(ge=0, le=1)] = 0.5
    content_dim: Positive = 64
    behaviour_dim: Positive = 64
    window: Positive = 5
    item_ids: bool = True
    smoothing: Share = 0.1
    beam: Positive = 64
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 30

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"generative: dim {self.dim} can't be cut into {self.heads} heads; choose a multiple"
            )

    def fit(self, data: Data, run: Run, warm: "GenerativePart | None" = None) -> "GenerativePart":
        """Gives items their ids, then learns to write the next one; `warm` gives ids and weights.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        sequences = _known(data.histories, rows, data.histories.lengths.max(initial=0))
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self._network(len(rows), chance)
            self.start(network, chance)
            if warm is not None and _alike(network, self, warm):
                given = warm.given.kept(data.catalogue, rows)
                _start_from(network, warm, rows)
            else:
                given = self._give(data, rows, sequences, run)
            prior = np.bincount(sequences.values, minlength=len(rows)).astype(np.float32)
            view = run.view or StillView.of(data)
            part = GenerativePart(given, network, prior, self.beam, view)
            self._train(part, sequences, run, identity(self, data))
        return part

    def _give(self, data: Data, rows: Rows, sequences: Ragged, run: Run) -> SemanticIds:
        """Ids for the items of the training events."""
        space, vectors = self._space().fit(data.catalogue, rows.codes, sequences, run.seed)
        if self.quantizer == "rqvae":
            quantiser = rq_vae(vectors, self.levels, self.codes, run)
        else:
            quantiser = residual_kmeans(vectors, self.levels, self.codes, run.seed)
        semantic_RS = quantiser.codes(vectors)
        quality = quantiser.quality(vectors, semantic_RS)
        return SemanticIds(rows, with_ordinals(semantic_RS), space, quantiser, quality)

    def _train(self, part: "GenerativePart", sequences: Ragged, run: Run, source: str) -> None:
        network, judge = part.network, run.validate
        device = network.codes.device
        batches = NextItem(
            sequences, max_len=self.max_len, batch_size=self.batch_size, seed=run.seed, device=device
        )
        if not batches.steps:
            run.warnings.append("generative: no history has two events, so there was nothing to learn from")
        cross_entropy = CodeLoss(part.given.ids, self.codes, self.smoothing, device)

        def loss(batch: Batch) -> Tensor:
            hidden_ND = network.read(batch.inputs, cross_entropy.tokens_RC)[batch.inputs.real]
            return cross_entropy(network, hidden_ND, batch.targets)

        plan = self.plan("generative", source)
        loop.train(network, batches, loss, plan, run, None if judge is None else lambda: judge(part))

    def load(self, state: State, run: Run) -> "GenerativePart":
        """The part as it was saved.

        Raises:
            BundleError: A tensor is missing, or its shape is not this config's.
        """
        given = SemanticIds.load(self._space(), unpack(state, "ids"))
        if "prior" not in state.tensors:
            raise BundleError("tensor 'prior' is missing from the bundle; fit the model again")
        network = self._network(len(given.rows), torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        network.eval().requires_grad_(False)
        return GenerativePart(given, network, state.tensors["prior"], self.beam, run.view)

    def _sizes(self, items: int) -> Sizes:
        return Sizes(self.levels + 1, self.codes, items, self.max_len)

    def _network(self, rows: int, chance: torch.Generator) -> Generator:
        reader = Shape(self.dim, self.layers, self.heads, self.block, self.dropout)
        writer = Shape(self.dim, self.decoder_layers, self.heads, self.block, self.decoder_dropout)
        return Generator(self._sizes(rows if self.item_ids else 0), reader, writer, chance)

    def _space(self) -> ItemSpace:
        return ItemSpace(
            content=self.content_dim,
            behaviour=self.behaviour_dim,
            weight=self.content_weight,
            window=self.window,
        )


@dataclass(frozen=True, slots=True, eq=False)
class Index:
    """The ids of all items of one catalogue, ready to be searched.

    Shapes: `tokens` (N, C) rows of the network's tables; `places` (N,) of each row in the trie; `trained`
    (N,) by place, whether the item was in the training events.
    """

    rows: Rows
    ids: Codes
    tokens: Tensor
    trie: Trie
    places: Array
    trained: Array

    @classmethod
    def of(cls, rows: Rows, ids: Codes, trained: int, network: Generator) -> "Index":
        """The first `trained` rows are those of the training events."""
        trie = Trie.of(ids)
        tokens = torch.from_numpy(tokens_of(ids, network.sizes.codes)).to(network.codes.device)
        return cls(rows, ids, tokens, trie, np.argsort(trie.items), trie.items < trained)

    def open(self, queries: Queries) -> Open:
        """What is eligible for each query, by place."""
        codes, size = self.rows.codes[self.trie.items], queries.allowed.size
        masks_GN = queries.allowed.masks[:, np.minimum(codes, size - 1)] & (codes < size)
        row = self.rows.of(queries.exclude.values)
        places = np.where(row >= 0, self.places[np.maximum(row, 0)], -1)
        return Open.of(masks_GN, queries.allowed.groups, Ragged(queries.exclude.offsets, places))


@dataclass(frozen=True, slots=True, eq=False)
class GenerativePart:
    """Shapes: `prior` (R,) interactions of each item, the answer to an empty history."""

    given: SemanticIds
    network: Generator
    prior: Floats
    beam: int
    view: View | None
    _kept: dict[str, tuple[Catalogue | None, Index]] = field(default_factory=dict)
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    @property
    def quality(self) -> Quality:
        """How good the semantic ids are."""
        return self.given.quality

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the most likely of the eligible items."""
        index, found = self._index(), []
        widths = np.maximum(queries.wanted, self.beam)
        widest = max(self.network.sizes.codes * int(widths.max(initial=1)), queries.allowed.size)
        step = max(1, SEARCH_CELLS // widest)
        for start in range(0, len(queries), step):
            rows = np.arange(start, min(start + step, len(queries)))
            found.append(self._answer(index, queries.take(rows), widths[rows]))
        return append(slates, concat(found)) if found else slates

    def state(self) -> State:
        """Ids, prior and every weight."""
        inner = pack({"ids": self.given})
        return State({**inner.tensors, "prior": self.prior, **tensors_of(self.network)}, inner.meta)

    def _index(self) -> Index:
        """The ids of the catalogue in view; kept until it changes."""
        catalogue = None if self.view is None else self.view.catalogue
        seen, index = self._kept.get("index", (None, None))
        if index is None or seen is not catalogue:
            rows, ids = self.given.rows, self.given.ids
            if catalogue is not None:
                rows, ids = self.given.over(catalogue)
            # Most changes of a catalogue concern items that have their id already.
            if index is None or not np.array_equal(ids, index.ids):
                index = Index.of(rows, ids, len(self.given.rows), self.network)
            self._kept["index"] = (catalogue, index)
        return index

    def _answer(self, index: Index, queries: Queries, widths: Array) -> Slates:
        sequences = _known(queries.history, index.rows, self.network.sizes.max_len)
        told = sequences.lengths > 0
        with torch.inference_mode():
            query, place, score = search(
                index.trie,
                index.open(queries),
                index.trained,
                self._writer(self._read(index, sequences)),
                np.where(told, widths, 0),
            )
        items = index.rows.codes[index.trie.items[place]]
        written = Slates(offsets_of(np.bincount(query, minlength=len(queries))), items, score)
        return append(
            written.ordered().head(queries.wanted), self._popular(index, queries, np.flatnonzero(~told))
        )

    def _read(self, index: Index, sequences: Ragged) -> Tensor:
        """(B, D) what the newest event of each history leads to; zeros for an empty one."""
        lengths, starts = sequences.lengths, sequences.offsets[:-1]
        device = self.network.codes.device
        hidden_BD = torch.zeros(len(sequences), self.network.codes.shape[1], device=device)
        # Longest first, so that a block is as wide as its first member and little of it is padding.
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        while len(order):
            block, order = np.split(order, [max(1, ENCODE_EVENTS // int(lengths[order[0]]))])
            padded = Padded.of(sequences.values, starts[block], lengths[block], device)
            hidden_BD[torch.from_numpy(block).to(device)] = self.network.read(
                padded, index.tokens, newest=True
            )
        return hidden_BD

    def _writer(self, hidden_BD: Tensor) -> Logits:
        """What `search` asks for the next code."""

        def logits(query_n: Array, path_nc: Codes) -> Scores:
            device, codes = hidden_BD.device, self.network.sizes.codes
            tokens_nc = torch.from_numpy(tokens_of(path_nc, codes)).to(device)
            hidden_nD = hidden_BD[torch.from_numpy(query_n).to(device)]
            states_nD = self.network.write(hidden_nD, tokens_nc)[:, -1]
            scores_nK: Scores = self.network.logits(states_nD, path_nc.shape[1]).cpu().numpy()
            return scores_nK

        return logits

    def _popular(self, index: Index, queries: Queries, asked: Array) -> Slates:
        """The most popular eligible items for the queries `asked`, nothing for the others."""
        counts_N = np.ones(len(index.rows), np.float32)
        counts_N[: len(self.prior)] += self.prior
        shares_N = np.log(counts_N / max(counts_N.sum(), 1))
        some = queries.take(asked)
        scores_bI = index.rows.spread(np.tile(shares_N, (len(asked), 1)), queries.allowed.size)
        found = top(mask_block(scores_bI, some), int(some.wanted.max(initial=0))).head(some.wanted)
        lengths = np.zeros(len(queries), np.int64)
        lengths[asked] = found.lengths
        return Slates(offsets_of(lengths), found.items, found.scores)


def _alike(ours: Generator, config: Generative, warm: GenerativePart) -> bool:
    """Whether ids of an older part fit this config."""
    learned = bool(warm.given.quantiser.tensors)
    left, right = ours.sizes, warm.network.sizes
    return (left.levels, left.codes, config.quantizer == "rqvae") == (right.levels, right.codes, learned)


def _start_from(network: Generator, older: GenerativePart, rows: Rows) -> None:
    """Takes over what fits of an older part: weights of equal shape, vectors of the items both know."""
    theirs = dict(older.network.named_parameters())
    for name, mine in network.named_parameters():
        if name != "items" and theirs[name].shape == mine.shape:
            mine.data.copy_(theirs[name])
    if len(network.items) and len(theirs["items"]) and theirs["items"].shape[1] == network.items.shape[1]:
        home_R = torch.from_numpy(older.given.rows.of(rows.codes))
        known_R = home_R >= 0
        network.items.data[known_R] = theirs["items"].data[home_R[known_R]].to(network.items.device)


def _known(history: RaggedTable, rows: Rows, max_len: int) -> Ragged:
    """The newest `max_len` events whose item has a row, as rows."""
    row = rows.of(history["item"])
    return RaggedTable(history.offsets, {"row": row}).where(row >= 0).tail(max_len).ragged("row")
