"""Content vectors: what an item says of itself, in few dimensions, for items new and old alike.

Legend: N items, T terms, C content dimensions.
"""

from dataclasses import dataclass
from typing import Annotated, Literal

import numpy as np
from msgspec import Meta
from scipy import sparse
from scipy.sparse.linalg import svds

from polyscene.core.arrays import Codes, Floats
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.features.terms import Terms, fit_terms

WEAK = 1e-3
"""Directions this much weaker than the strongest one are left out: they are rounding, not content."""


class Content(Config, frozen=True, kw_only=True, tag="content"):
    """Which attributes become vectors, and how long these are.

    `text`: attributes read as prose (None: all of type text); `attributes`: categories, tags and numbers
    (None: all others). Each attribute weighs the same. `dim` is the most dimensions a vector has. With
    ``encoder="sentences"`` a text is also read by a pre-trained sentence encoder (extra ``text``, 32 MB, 16
    languages), which knows words that the catalogue does not explain.

    Source: latent semantic indexing (Deerwester et al. 1990) of TF-IDF words; ours has labels and numbers
    beside the words and scales every dimension to deviation 1.
    """

    text: tuple[str, ...] | None = None
    attributes: tuple[str, ...] | None = None
    dim: Annotated[int, Meta(ge=1, le=4096)] = 128
    encoder: Literal["tfidf", "sentences"] = "tfidf"

    def fit(self, catalogue: Catalogue, rows: Codes, seed: int = 0) -> "ContentSpace":
        """Vocabularies, directions and scales learned from the items `rows` alone.

        Give the items of the training events, so that what is held out stays unseen.

        Raises:
            DataError: A named attribute does not exist.
            ConfigError: The sentence encoder is not installed.
        """
        sentences = self.encoder == "sentences"
        terms = fit_terms(catalogue, rows, self.text, self.attributes, sentences=sentences)
        x_NT = terms(catalogue, rows)
        x_NT = x_NT[np.diff(x_NT.indptr) > 0]
        basis_TC = _directions(x_NT, self.dim, seed)
        raw_NC = x_NT @ basis_TC
        if not len(raw_NC):
            return ContentSpace(terms, basis_TC, np.zeros(0, np.float32), np.ones(0, np.float32))
        spread_C = raw_NC.std(axis=0)
        kept = spread_C > WEAK * spread_C.max(initial=0)
        return ContentSpace(terms, basis_TC[:, kept], raw_NC[:, kept].mean(axis=0), spread_C[kept])

    def load(self, state: State) -> "ContentSpace":
        """The space whose state this is. Raises BundleError when something is missing."""
        missing = [name for name in ("basis", "mean", "spread") if name not in state.tensors]
        if missing:
            raise BundleError(f"content: tensor {missing[0]!r} is missing from the bundle; fit it again")
        basis_TC, mean_C, spread_C = (state.tensors[name] for name in ("basis", "mean", "spread"))
        return ContentSpace(Terms.load(state), basis_TC, mean_C, spread_C)


@dataclass(frozen=True, slots=True, eq=False)
class ContentSpace:
    """A fitted space. Shapes: `basis` (T, C), `mean` and `spread` (C,) float32."""

    terms: Terms
    basis: Floats
    mean: Floats
    spread: Floats

    @property
    def dim(self) -> int:
        """Dimensions (C): as asked for, fewer where the items differ in fewer ways, 0 without content."""
        return int(self.basis.shape[1])

    def vectors(self, catalogue: Catalogue, codes: Codes) -> Floats:
        """(N, C) float32, mean 0 and deviation 1 over the items of the fit.

        Rows of zeros for unknown codes and items of which the fit knew nothing. Items put after the fit
        are placed by the words and labels that they share with older ones.
        """
        x_NT = self.terms(catalogue, codes)
        vectors_NC: Floats = ((x_NT @ self.basis - self.mean) / self.spread).astype(np.float32)
        vectors_NC[np.diff(x_NT.indptr) == 0] = 0
        return vectors_NC

    def state(self) -> State:
        """Everything `Content.load` needs."""
        terms = self.terms.state()
        tensors = {**terms.tensors, "basis": self.basis, "mean": self.mean, "spread": self.spread}
        return State(tensors, terms.meta)


def _directions(x_NT: sparse.csr_matrix, dim: int, seed: int) -> Floats:
    """(T, C) the strongest right singular vectors, each pointing where its largest part is positive."""
    least = min(x_NT.shape)
    if dim < least // 2:
        start = np.random.default_rng(seed).standard_normal(least)
        right_CT = svds(x_NT.astype(np.float64), dim, v0=start, return_singular_vectors="vh")[2][::-1]
    else:
        right_CT = np.linalg.svd(x_NT.toarray().astype(np.float64), full_matrices=False)[2][:dim]
    largest = np.abs(right_CT).argmax(axis=1)[:, None] if right_CT.size else np.zeros((0, 1), np.int64)
    basis_TC = (right_CT * np.sign(np.take_along_axis(right_CT, largest, axis=1))).T
    return np.ascontiguousarray(basis_TC, np.float32)
