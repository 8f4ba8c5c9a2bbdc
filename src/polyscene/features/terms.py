"""What an item says of itself as sparse terms: words of its texts, labels, and places on number scales."""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import sparse

from polyscene.core.arrays import Array, Codes, Floats, Ragged, offsets_of
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, DataError, nearest
from polyscene.features.sentences import SentenceField, fit_sentences
from polyscene.features.words import FIRST, Vocabulary, WordCodes

MIN_ITEMS = 2
"""A word or label of fewer items says nothing about another item."""
MAX_WORDS = 50_000
"""Most words kept of one attribute, the most frequent ones."""
KNOTS = 17
"""Most knots of a number's scale."""
_WORD = re.compile(r"[^\W_]+")
_UNSPACED = re.compile("([\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff]+)")
"""Scripts without spaces between words."""


@dataclass(frozen=True, slots=True)
class WordField:
    """Words of a text (`prose`) or labels of one attribute. Shapes: `idf` (T,) beside `words`."""

    name: str
    prose: bool
    words: WordCodes
    idf: Floats

    @property
    def width(self) -> int:
        """Number of terms (T)."""
        return len(self.idf)

    def terms(self, column: Column, codes: Codes) -> sparse.csr_matrix:
        """(N, T) (1 + log count) times idf, unit rows; empty where no word is known."""
        lists = _strings(column, codes, self.prose)
        places = self.words(list(chain.from_iterable(lists))) - FIRST
        known = places >= 0
        rows = np.repeat(np.arange(len(lists)), [len(each) for each in lists])[known]
        shape = (len(lists), self.width)
        counts = sparse.csr_matrix((np.ones(len(rows)), (rows, places[known])), shape=shape)
        counts.sum_duplicates()
        counts.data = (1 + np.log(counts.data)) * self.idf[counts.indices]
        return unit_rows(counts)


@dataclass(frozen=True, slots=True)
class NumberField:
    """A number's place on a scale: equal numbers are alike, near ones nearly so. Shapes: `knots` (K,)."""

    name: str
    knots: NDArray[np.float64]

    @property
    def width(self) -> int:
        """Number of terms (T): the knots and one beyond either end."""
        return len(self.knots) + 2

    def terms(self, column: Column, codes: Codes) -> sparse.csr_matrix:
        """(N, T) cubic B-splines over the knots, unit rows; empty where the number is missing."""
        values = _numbers(column, codes)
        there = np.flatnonzero(np.isfinite(values))
        x = np.clip(values[there], self.knots[0], self.knots[-1])
        left = np.clip(np.searchsorted(self.knots, x, side="right") - 1, 0, len(self.knots) - 2)
        f = (x - self.knots[left]) / (self.knots[left + 1] - self.knots[left])
        weights = [(1 - f) ** 3, 3 * f**3 - 6 * f**2 + 4, -3 * f**3 + 3 * f**2 + 3 * f + 1, f**3]
        cells = (np.tile(there, 4), np.concatenate([left + step for step in range(4)]))
        shape = (len(values), self.width)
        return unit_rows(sparse.csr_matrix((np.concatenate(weights), cells), shape=shape))


Field = WordField | NumberField | SentenceField


@dataclass(frozen=True, slots=True)
class Terms:
    """The fields of an item side by side, each a unit vector or nothing, so that none drowns another."""

    fields: tuple[Field, ...]

    @property
    def width(self) -> int:
        """Number of terms of all fields (T)."""
        return sum(field.width for field in self.fields)

    def __call__(self, catalogue: Catalogue, codes: Codes) -> sparse.csr_matrix:
        """(N, T) float32; an empty row for an unknown code and an item of which nothing is known."""
        known = np.flatnonzero((codes >= 0) & (codes < catalogue.size))
        blocks = [
            _block(field, catalogue.columns[field.name], codes[known])
            if field.name in catalogue.columns
            else sparse.csr_matrix((len(known), field.width))
            for field in self.fields
        ]
        shape = (len(codes), self.width)
        if not blocks:
            return sparse.csr_matrix(shape, dtype=np.float32)
        rows = sparse.hstack(blocks, format="csr", dtype=np.float32)
        lengths = np.zeros(len(codes), np.int64)
        lengths[known] = np.diff(rows.indptr)
        return sparse.csr_matrix((rows.data, rows.indices, offsets_of(lengths)), shape=shape)

    def state(self) -> State:
        """Words in meta, idf and knots as tensors by the field's place."""
        tensors: dict[str, Array] = {}
        meta: list[dict[str, object]] = []
        for place, field in enumerate(self.fields):
            if isinstance(field, NumberField):
                tensors[f"knots/{place}"] = field.knots
                meta.append({"name": field.name})
            elif isinstance(field, SentenceField):
                tensors |= {f"mean/{place}": field.mean, f"directions/{place}": field.directions}
                meta.append({"name": field.name, "sentences": True})
            else:
                tensors[f"idf/{place}"] = field.idf
                meta.append({"name": field.name, "prose": field.prose, "words": list(field.words.words)})
        return State(tensors, {"fields": meta})

    @classmethod
    def load(cls, state: State) -> "Terms":
        """The terms whose state this is. Raises BundleError when something is missing."""
        try:
            fields = [_load(field, place, state) for place, field in enumerate(state.meta["fields"])]
        except KeyError as problem:
            raise BundleError(
                f"content: {problem} is missing; the bundle is damaged, fit it again"
            ) from None
        return cls(tuple(fields))


def fit_terms(
    catalogue: Catalogue,
    codes: Codes,
    text: Sequence[str] | None = None,
    attributes: Sequence[str] | None = None,
    *,
    sentences: bool = False,
) -> Terms:
    """Vocabularies, idf and scales of the items `codes`.

    `text`: attributes to read as prose, None for all of type text; `attributes`: those to take as labels
    or numbers, None for all others. Fields in which nothing occurs twice are left out. With `sentences`,
    a prose field is read by the sentence encoder too.

    Raises:
        DataError: A named attribute does not exist.
        ConfigError: The sentence encoder is not installed.
    """
    columns = catalogue.columns
    prose = [name for name, column in columns.items() if column.type == "text"] if text is None else text
    rest = [name for name, column in columns.items() if column.type != "text"]
    others = [name for name in rest if name not in prose] if attributes is None else attributes
    for name in (*prose, *others):
        if name not in columns:
            raise DataError(f"content: items have no attribute {name!r}{nearest(name, columns)}")
    found: list[Field | None] = []
    for name in sorted(prose):
        words = _word_field(name, columns[name], codes, prose=True)
        found.append(words)
        if sentences and words is not None:
            found.append(fit_sentences(name, texts_of(columns[name], codes)))
    for name in sorted(others):
        number = columns[name].type == "number"
        found.append(
            _number_field(name, columns[name], codes)
            if number
            else _word_field(name, columns[name], codes, prose=False)
        )
    return Terms(tuple(field for field in found if field is not None))


def unit_rows(matrix: sparse.csr_matrix) -> sparse.csr_matrix:
    """The same float32 matrix with rows of length 1; empty rows stay empty."""
    squares = np.bincount(_row_of(matrix), matrix.data.astype(np.float64) ** 2, matrix.shape[0])
    lengths = np.sqrt(squares)[_row_of(matrix)]
    data = (matrix.data / np.where(lengths > 0, lengths, 1)).astype(np.float32)
    return sparse.csr_matrix((data, matrix.indices, matrix.indptr), shape=matrix.shape)


def tokens(text: str) -> list[str]:
    """The words of a text, caseless; of scripts without spaces every two neighbouring letters."""
    found: list[str] = []
    for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold()):
        for part in filter(None, _UNSPACED.split(word)):
            pairs = _UNSPACED.fullmatch(part) and len(part) > 1
            found += [part[at : at + 2] for at in range(len(part) - 1)] if pairs else [part]
    return found


def _block(field: Field, column: Column, codes: Codes) -> sparse.csr_matrix:
    if isinstance(field, SentenceField):
        return field.rows(texts_of(column, codes))
    return field.terms(column, codes)


def _load(field: Mapping[str, Any], place: int, state: State) -> Field:
    """One field as it was saved. Raises KeyError when something is missing."""
    name, tensors = field["name"], state.tensors
    if "words" in field:
        return WordField(name, field["prose"], WordCodes(tuple(field["words"])), tensors[f"idf/{place}"])
    if "sentences" in field:
        return SentenceField(name, tensors[f"mean/{place}"], tensors[f"directions/{place}"])
    return NumberField(name, tensors[f"knots/{place}"])


def _word_field(name: str, column: Column, codes: Codes, *, prose: bool) -> WordField | None:
    lists = _strings(column, codes, prose)
    distinct: Iterable[str] = chain.from_iterable(sorted(set(each)) for each in lists)
    counted = list(distinct)
    words = Vocabulary(min_count=MIN_ITEMS, size=MAX_WORDS).fit(counted)
    if not words.words:
        return None
    counts = np.bincount(words(counted), minlength=len(words))[FIRST:]
    idf = (np.log((1 + len(lists)) / (1 + counts)) + 1).astype(np.float32)
    return WordField(name, prose, words, idf)


def _number_field(name: str, column: Column, codes: Codes) -> NumberField | None:
    values = _numbers(column, codes)
    values = values[np.isfinite(values)]
    knots = np.unique(np.quantile(values, np.linspace(0, 1, KNOTS))) if len(values) else values
    return NumberField(name, knots) if len(knots) > 1 else None


def _strings(column: Column, codes: Codes, prose: bool) -> list[list[str]]:
    """What each item has in a column: labels as they are, or the words in them."""
    if isinstance(column.values, Ragged):
        lists = [[column.vocabulary[place] for place in column.values[code]] for code in codes.tolist()]
    elif column.type == "category":
        lists = [
            [column.vocabulary[place]] if place >= 0 else [] for place in column.values[codes].tolist()
        ]
    elif column.type == "text":
        lists = [[text] if text else [] for text in column.values[codes].tolist()]
    else:
        lists = [[] for _ in codes]
    return [list(chain.from_iterable(map(tokens, each))) for each in lists] if prose else lists


def texts_of(column: Column, codes: Codes) -> list[str]:
    """What each item has in a column as one text."""
    return [", ".join(each) for each in _strings(column, codes, prose=False)]


def _numbers(column: Column, codes: Codes) -> NDArray[np.float64]:
    """(N,) the numbers of a column; NaN where it holds none."""
    if column.type != "number" or isinstance(column.values, Ragged):
        return np.full(len(codes), np.nan)
    return np.asarray(column.values[codes], np.float64)


def _row_of(matrix: sparse.csr_matrix) -> Array:
    return np.repeat(np.arange(matrix.shape[0]), np.diff(matrix.indptr))
