"""Content neighbours: an item is scored by how alike its content is to that of the history."""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import numpy as np
from msgspec import Meta
from scipy import sparse

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, RaggedTable, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State, StillView, View
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.features.content import Content, ContentSpace
from polyscene.features.terms import Terms, fit_terms, unit_rows


class ContentKnn(Config, frozen=True, kw_only=True, tag="content_knn"):
    """Scores an item by its mean cosine similarity to the last items of the history, in content space.

    The n-th item from the end of the history weighs ``decay ** n``, down to the last `last` items.
    ``space="tfidf"`` compares words, labels and numbers as they are, ``"vectors"`` their `dim` content
    dimensions; `text`, `attributes` and `encoder` choose what is read and how, as in `Content`. Needs no
    event of an item: one put a second ago is ranked like any other, one without content scores 0. An empty
    history is not answered.

    Source: content-based filtering with TF-IDF profiles (Pazzani and Billsus 2007).
    """

    space: Literal["tfidf", "vectors"] = "tfidf"
    text: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None
    encoder: Literal["tfidf", "sentences"] = "tfidf"
    dim: Annotated[int, Meta(ge=1, le=4096)] = 64
    decay: Annotated[float, Meta(gt=0, le=1)] = 0.6
    last: Annotated[int, Meta(ge=1, le=1000)] = 50

    def fit(self, data: Data, run: Run, warm: "ContentKnnPart | None" = None) -> "ContentKnnPart":
        """Learns vocabularies and directions from the items of the events.

        Raises:
            DataError: A named attribute does not exist.
            ConfigError: The sentence encoder is not installed.
        """
        touched = np.unique(data.histories["item"])
        space: Terms | ContentSpace
        if self.space == "tfidf":
            sentences = self.encoder == "sentences"
            space = fit_terms(data.catalogue, touched, self.text, self.attributes, sentences=sentences)
        else:
            space = self._content().fit(data.catalogue, touched, run.seed)
        if not (space.width if isinstance(space, Terms) else space.dim):
            run.warnings.append(
                "content_knn: the items say nothing that it can read (texts, categories, tags, numbers), so"
                " all are alike to it; give them attributes, or take another model"
            )
        return ContentKnnPart(self, space, run.view or StillView.of(data))

    def load(self, state: State, run: Run) -> "ContentKnnPart":
        """The part as it was saved.

        Raises:
            ConfigError: The run has no view to read content from.
            BundleError: The state lacks something.
        """
        if run.view is None:
            raise ConfigError(
                "content_knn: loading needs Run(view=...), the catalogue it reads content from"
            )
        space = Terms.load(state) if self.space == "tfidf" else self._content().load(state)
        return ContentKnnPart(self, space, run.view)

    def _content(self) -> Content:
        return Content(text=self.text, attributes=self.attributes, dim=self.dim, encoder=self.encoder)


@dataclass(slots=True, eq=False)
class ContentKnnPart:
    """Reads content from its view; the rows of all items are made once per catalogue."""

    config: ContentKnn
    space: Terms | ContentSpace
    view: View
    _rows: tuple[Catalogue | None, sparse.csr_matrix | Floats | None] = (None, None)
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items whose content is most alike to the history's."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) weighted mean cosine; -inf for codes the catalogue lacks and where no history is known."""
        catalogue = self.view.catalogue
        width = min(catalogue.size, queries.allowed.size)
        scores_BI = np.full((len(queries), queries.allowed.size), -np.inf, np.float32)
        weights_BI = self._weights(queries.history, catalogue.size)
        known = np.flatnonzero(np.diff(weights_BI.indptr))
        rows_IT = self._items(catalogue)
        profiles_BT = weights_BI[known] @ rows_IT
        if sparse.issparse(rows_IT):
            profiles_BT = profiles_BT.toarray()
        scores_BI[known, :width] = (rows_IT @ profiles_BT.T)[:width].T
        return scores_BI

    def state(self) -> State:
        """That of the space."""
        return self.space.state()

    def _items(self, catalogue: Catalogue) -> sparse.csr_matrix | Floats:
        """(I, T) unit rows of every item, zeros without content."""
        known, rows = self._rows
        if known is not catalogue or rows is None:
            everything: Codes = np.arange(catalogue.size, dtype=np.int32)
            rows = _unit_rows(self.space, catalogue, everything)
            self._rows = (catalogue, rows)
        return rows

    def _weights(self, history: RaggedTable, size: int) -> sparse.csr_matrix:
        """(B, I) share of each history item; a row sums to 1, or to 0 where no item is known."""
        known = history.where((history["item"] >= 0) & (history["item"] < size)).tail(self.config.last)
        lists = known.rows()
        weights = self.config.decay ** (known.offsets[1:][lists] - 1 - np.arange(len(lists)))
        total = np.bincount(lists, weights, len(known))
        shares = (weights / total[lists]).astype(np.float32)
        return sparse.csr_matrix((shares, known["item"], known.offsets), shape=(len(known), size))


def _unit_rows(
    space: Terms | ContentSpace, catalogue: Catalogue, codes: Codes
) -> sparse.csr_matrix | Floats:
    if isinstance(space, Terms):
        return unit_rows(space(catalogue, codes))
    vectors_NC = space.vectors(catalogue, codes)
    lengths_N1 = np.linalg.norm(vectors_NC, axis=1, keepdims=True)
    unit_NC: Floats = np.divide(vectors_NC, lengths_N1, out=vectors_NC, where=lengths_N1 > 0)
    return unit_NC
