"""Queries and candidates in words, the same way in training and in serving.

Legend: B queries, N candidates, E events, T texts that tell of one event.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Array, Codes, Ragged, RaggedTable, offsets_of
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.texts import item_texts
from polyscene.features.wordpiece import BEGIN, END, MASK, PAD, WordPiece
from polyscene.nn.lessons import Events, said
from polyscene.nn.tokens import Marks, Packer, Pairs

STOP = "."
"""Behind each event that is told."""
QUERY = "query"
"""Name of the context that holds what was typed."""


@dataclass(frozen=True, slots=True)
class Phrasing:
    """How a query and a candidate are told, as of the fit.

    An event is told as its action, where there are several `actions`, and its item's text; a query as its
    newest `history` events, or with `searches` as what was typed, where something was; a candidate as its
    text and the action that is `asked` for, where there are several.
    """

    pieces: WordPiece
    attributes: tuple[str, ...]
    actions: tuple[str, ...]
    asked: str
    history: int
    searches: bool = False

    def packer(self, max_len: int) -> Packer:
        """What makes rows of pairs."""
        return Packer(Marks(*(self.pieces.mark(name) for name in (PAD, BEGIN, END, MASK))), max_len)

    def pairs(self, queries: Queries, slates: Slates, catalogue: Catalogue) -> Pairs:
        """Every candidate behind what its query says; unknown items have no text."""
        recent = queries.history.tail(self.history)
        book = Book.of(self, catalogue, np.concatenate([recent["item"], slates.items]))
        told_ET = book.told(recent)
        lists = Ragged(recent.offsets * told_ET.shape[1], told_ET.ravel())
        firsts = said(lists, book.texts)
        if self.searches and QUERY in queries.context:
            firsts = self._typed(np.asarray(queries.context[QUERY]), firsts)
        return Pairs(firsts, book.offered(slates.items), slates.rows())

    def state(self) -> State:
        """Everything above."""
        packed = pack({"pieces": self.pieces})
        names = ("attributes", "actions", "asked", "history", "searches")
        return State(packed.tensors, {**packed.meta, **{name: getattr(self, name) for name in names}})

    @classmethod
    def load(cls, state: State) -> "Phrasing":
        """As it was saved. Raises BundleError when something is missing."""
        meta = state.meta
        for name in ("attributes", "actions", "asked", "history", "searches"):
            if name not in meta:
                raise BundleError(f"ranker: {name!r} is missing; fit the scenario again")
        names, actions = tuple(meta["attributes"]), tuple(meta["actions"])
        pieces = WordPiece.load(unpack(state, "pieces"))
        return cls(pieces, names, actions, meta["asked"], int(meta["history"]), bool(meta["searches"]))

    def _typed(self, typed_B: Array, histories: Ragged) -> Ragged:
        """What was typed; for who typed nothing the history."""
        lists = [
            self.pieces(str(typed)) if str(typed).strip() else histories[row].tolist()
            for row, typed in enumerate(typed_B.tolist())
        ]
        return Ragged.of(lists, np.int64)


@dataclass(frozen=True, slots=True)
class Book:
    """Texts as codes of pieces: of some items, of every action, the full stop, and last of all nothing."""

    phrasing: Phrasing
    items: Rows
    texts: Ragged

    @classmethod
    def of(cls, phrasing: Phrasing, catalogue: Catalogue, codes: Codes) -> "Book":
        """The texts of the items among `codes`."""
        items = np.unique(codes[(codes >= 0) & (codes < catalogue.size)])
        texts: Sequence[str] = item_texts(catalogue, items, phrasing.attributes)
        lists = [phrasing.pieces(text) for text in (*texts, *phrasing.actions, STOP, "")]
        return cls(phrasing, Rows(items), Ragged.of(lists, np.int64))

    def told(self, events: RaggedTable) -> Array:
        """(E, T) rows of the texts that tell of each event; of one with an unknown item nothing."""
        rows = self.rows(events["item"])
        columns = [rows, np.full(len(rows), len(self.texts) - 2)]
        if len(self.phrasing.actions) > 1:
            columns.insert(0, self._actions(events["action"]))
        told_ET = np.stack(columns, axis=1)
        told_ET[rows == len(self.texts) - 1] = len(self.texts) - 1
        return told_ET

    def offered(self, items: Codes) -> Ragged:
        """(N lists) the text of each candidate."""
        rows = self.rows(items)
        if len(self.phrasing.actions) < 2:
            return self.texts.take(rows)
        asked = self._actions(np.array([self.phrasing.actions.index(self.phrasing.asked)]))
        pairs = np.stack([rows, np.broadcast_to(asked, len(rows))], axis=1)
        return said(Ragged(offsets_of(np.full(len(rows), 2)), pairs.ravel()), self.texts)

    def events(self, histories: RaggedTable) -> Events:
        """Whole histories, to be read."""
        return Events(self.texts, self.told(histories), histories.offsets[:-1][histories.rows()])

    def rows(self, items: Codes) -> Array:
        """The row of each item's text; that of nothing for unknown ones."""
        rows = self.items.of(items)
        return np.where(rows >= 0, rows, len(self.texts) - 1)

    def _actions(self, actions: Array) -> Array:
        names = len(self.phrasing.actions)
        known = (actions >= 0) & (actions < names)
        return np.where(known, len(self.items.codes) + actions, len(self.texts) - 1)
