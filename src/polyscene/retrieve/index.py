"""What every index of vectors promises."""

from typing import Protocol, Self

from polyscene.core.arrays import Codes, Floats, Ragged
from polyscene.core.queries import Eligible
from polyscene.core.slates import Slates


class Index(Protocol):
    """Vectors of items, searched by inner product; immutable, so a change gives a new index.

    An index is a cache: the vectors are the truth and it is rebuilt from them on load.
    """

    def search(self, vectors_BD: Floats, k: int, allowed: Eligible, exclude: Ragged) -> Slates:
        """The k best allowed items of each of B queries; ties go to the lower code.

        What the rules forbid or `exclude` names never shows; a slate is short where fewer are left.
        """
        ...

    def with_items(self, codes: Codes, vectors_ND: Floats) -> Self:
        """An index that also has these items; a code it had before gets the new vector."""
        ...

    def without(self, codes: Codes) -> Self:
        """An index that no longer has these items."""
        ...
