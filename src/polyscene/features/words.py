"""Words to codes: a vocabulary learned from the training part, or hashing that needs no learning.

Both give (N,) int32 codes, ready to be rows of an embedding table: 0 is missing (None or an empty text),
and in a vocabulary 1 is a word that training did not have.
"""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Annotated

import msgspec
import numpy as np

from polyscene.core.arrays import Codes
from polyscene.core.config import Config
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError

MISSING, UNKNOWN, FIRST = 0, 1, 2
Words = Sequence[str | None]


class Vocabulary(Config, frozen=True, kw_only=True, tag="vocabulary"):
    """A code per training word that occurs `min_count` times; at most the `size` most frequent ones.

    More frequent words have lower codes, ties go by spelling.
    """

    min_count: Annotated[int, msgspec.Meta(ge=1)] = 1
    size: Annotated[int, msgspec.Meta(ge=1)] = 1_000_000

    def fit(self, words: Words) -> "WordCodes":
        """Counts the training words."""
        counts = Counter(word for word in words if word)
        kept = [word for word, count in counts.items() if count >= self.min_count]
        kept.sort(key=lambda word: (-counts[word], word))
        return WordCodes(tuple(kept[: self.size]))

    def load(self, state: State) -> "WordCodes":
        """As it was saved. Raises BundleError when the words are missing."""
        words = state.meta.get("words")
        if not isinstance(words, list | tuple):
            raise BundleError("converter: 'words' is missing; the bundle is damaged, fit it again")
        return WordCodes(tuple(str(word) for word in words))


class Hashing(Config, frozen=True, kw_only=True, tag="hashing"):
    """A code in 1 .. `buckets` from a hash of the word: no unknown words, but words may share a code."""

    buckets: Annotated[int, msgspec.Meta(ge=1, le=2**31 - 2)] = 65_536
    salt: Annotated[str, msgspec.Meta(max_length=16)] = ""

    def fit(self, words: Words) -> "HashCodes":
        """Nothing is learned."""
        return HashCodes(self.buckets, self.salt)

    def load(self, state: State) -> "HashCodes":
        """Nothing was saved."""
        return HashCodes(self.buckets, self.salt)


@dataclass(frozen=True, slots=True)
class WordCodes:
    """A frozen vocabulary: code = 2 + place in `words`."""

    words: tuple[str, ...]
    _code_of: dict[str, int] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        codes = {word: code for code, word in enumerate(self.words, FIRST)}
        object.__setattr__(self, "_code_of", codes)

    def __len__(self) -> int:
        """Codes there are, 0 and 1 included: the rows an embedding table needs."""
        return FIRST + len(self.words)

    def __call__(self, words: Words) -> Codes:
        """(N,) codes."""
        codes = (self._code_of.get(word, UNKNOWN) if word else MISSING for word in words)
        return np.fromiter(codes, np.int32, len(words))

    def word(self, code: int) -> str | None:
        """The word of a code; None for missing and unknown."""
        return self.words[code - FIRST] if FIRST <= code < len(self) else None

    def state(self) -> State:
        """The words in order."""
        return State(meta={"words": list(self.words)})


@dataclass(frozen=True, slots=True)
class HashCodes:
    """Code = 1 + blake2b(word) mod buckets; the same on every machine."""

    buckets: int
    salt: str

    def __len__(self) -> int:
        """Codes there are, 0 included."""
        return 1 + self.buckets

    def __call__(self, words: Words) -> Codes:
        """(N,) codes; each distinct word is hashed once."""
        codes = {word: self._code(word) for word in set(words) if word}
        return np.fromiter(
            (codes.get(word, MISSING) if word else MISSING for word in words), np.int32, len(words)
        )

    def _code(self, word: str) -> int:
        # surrogatepass: JSON may carry lone surrogates, and no text may stop a request
        data = word.encode("utf-8", "surrogatepass")
        digest = blake2b(data, digest_size=8, salt=self.salt.encode()[:16]).digest()
        return 1 + int.from_bytes(digest, "little") % self.buckets

    def state(self) -> State:
        """Empty: the config says it all."""
        return State()
