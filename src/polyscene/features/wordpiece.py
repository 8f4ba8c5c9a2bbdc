"""Texts to pieces: words, or where a word is unknown the parts it is made of."""

import unicodedata
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import numpy as np

from polyscene.core.contracts import State
from polyscene.core.errors import BundleError

PAD, UNKNOWN, BEGIN, END, MASK = "[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"
MARKS = (PAD, UNKNOWN, BEGIN, END, MASK)
LONGEST = 100
"""Letters of a word; a longer one is unknown."""
KEPT = 100_000
"""Words whose pieces are remembered."""


@dataclass(frozen=True, slots=True)
class WordPiece:
    """A vocabulary of pieces; code = place in `words`. A piece that goes on in a word begins with ``##``.

    Text is read caseless and without accents; punctuation and letters of scripts without spaces stand
    alone. A word is cut into the longest pieces from the left; what can't be cut is one unknown piece.

    Source: the reader of BERT (Devlin et al. 2019), uncased; WordPiece is of Schuster and Nakajima 2012.
    """

    words: tuple[str, ...]
    _code_of: dict[str, int] = field(init=False, repr=False, compare=False)
    _seen: dict[str, tuple[int, ...]] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_code_of", {word: code for code, word in enumerate(self.words)})
        object.__setattr__(self, "_seen", {})
        missing = [mark for mark in MARKS if mark not in self._code_of]
        if missing:
            raise BundleError(f"pieces: {missing[0]} is missing from the vocabulary; fit the ranker again")

    def __len__(self) -> int:
        return len(self.words)

    def __call__(self, text: str) -> list[int]:
        """The codes of a text, without marks around them."""
        return [code for word in split(text) for code in self._pieces(word)]

    def mark(self, name: str) -> int:
        """The code of one of `MARKS`."""
        return self._code_of[name]

    def state(self) -> State:
        """The words in order, as one text."""
        return State({"words": np.frombuffer("\n".join(self.words).encode(), np.uint8)})

    @classmethod
    def load(cls, state: State) -> "WordPiece":
        """As it was saved. Raises BundleError when it is missing."""
        if "words" not in state.tensors:
            raise BundleError("pieces: tensor 'words' is missing; fit the ranker again")
        return cls(tuple(state.tensors["words"].tobytes().decode().split("\n")))

    def _pieces(self, word: str) -> tuple[int, ...]:
        found = self._seen.get(word)
        if found is None:
            found = self._cut(word)
            if len(self._seen) < KEPT:
                self._seen[word] = found
        return found

    def _cut(self, word: str) -> tuple[int, ...]:
        found: list[int] = []
        start = 0
        while start < len(word) <= LONGEST:
            go_on = "##" if start else ""
            ends = range(len(word), start, -1)
            code, end = next(
                (
                    (self._code_of[piece], end)
                    for end in ends
                    if (piece := go_on + word[start:end]) in self._code_of
                ),
                (-1, start),
            )
            if code < 0:
                break
            found.append(code)
            start = end
        return tuple(found) if start == len(word) else (self._code_of[UNKNOWN],)


def fit_pieces(texts: Iterable[str], size: int) -> WordPiece:
    """A vocabulary of the texts' own: every letter, alone and going on, and the most frequent words.

    Of `size` pieces at most, but for the letters. A word that occurs once is spelled. Ties go by spelling.
    WordPiece merges letters into parts of words besides; names, which are most of what items are called,
    have few parts in common.
    """
    counts = Counter(word for text in texts for word in split(text))
    letters = sorted({letter for word in counts for letter in word})
    words = [word for word, count in counts.items() if count > 1 and 1 < len(word) <= LONGEST]
    words.sort(key=lambda word: (-counts[word], word))
    base = [*MARKS, *letters, *(f"##{letter}" for letter in letters)]
    return WordPiece((*base, *words[: max(0, size - len(base))]))


def split(text: str) -> Iterator[str]:
    """The words of a text: small letters without accents, each punctuation mark alone."""
    word: list[str] = []
    for letter in unicodedata.normalize("NFD", text.lower()):
        category = unicodedata.category(letter)
        apart = letter.isspace() or category.startswith("Z")
        alone = not apart and (_is_mark(letter, category) or _is_unspaced(letter))
        if (apart or alone) and word:
            yield "".join(word)
            word = []
        if alone:
            yield letter
        elif not apart and category[0] != "C" and category != "Mn":
            word.append(letter)
    if word:
        yield "".join(word)


def _is_mark(letter: str, category: str) -> bool:
    return category[0] == "P" or (letter.isascii() and letter.isprintable() and not letter.isalnum())


def _is_unspaced(letter: str) -> bool:
    """Whether it is a Chinese character."""
    return any(low <= letter <= high for low, high in (("㐀", "䶿"), ("一", "鿿"), ("豈", "﫿")))
