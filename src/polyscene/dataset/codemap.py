"""Outside ids and their codes: one append-only list, so a code means the same item for ever."""

import hashlib
from collections.abc import Sequence
from itertools import repeat
from pathlib import Path

import msgspec
import numpy as np
import polars as pl

from polyscene.core.arrays import Array, Codes
from polyscene.core.errors import BundleError, DataError, InputError, NotFoundError
from polyscene.events.log import nobody

FORMAT = 1


class CodeMap:
    """Ids by code and codes by id; codes count from 0 and are never reused.

    One thread may grow it while others read. `prefix` gives a reader a sight that stays still.
    """

    __slots__ = ("_code_of", "_ids", "_size")

    def __init__(self, ids: Sequence[str] = ()) -> None:
        self._ids: list[str] = []
        self._code_of: dict[str, int] = {}
        self._size: int | None = None
        self._grow(ids)

    @property
    def ids(self) -> list[str]:
        """(I,) every id, in the order of the codes; not to be changed by the caller."""
        return self._ids if self._size is None else self._ids[: self._size]

    def __len__(self) -> int:
        return len(self._ids) if self._size is None else self._size

    def __contains__(self, item_id: str) -> bool:
        return self.code(item_id) >= 0

    def prefix(self, size: int) -> "CodeMap":
        """The first `size` ids as a map that never grows; shares all memory, costs nothing."""
        sight = CodeMap()
        sight._ids, sight._code_of, sight._size = self._ids, self._code_of, min(size, len(self))
        return sight

    def code(self, item_id: str) -> int:
        """The code of one id; -1 where it is unknown."""
        code = self._code_of.get(item_id, -1)
        return code if self._size is None or code < self._size else -1

    def codes(self, ids: Sequence[str] | Array | pl.Series, *, grow: bool = False) -> Codes:
        """(n,) int32 codes of the ids; -1 where an id is unknown.

        With `grow`, unknown ids get the next codes in the order they come.

        Raises:
            DataError: With `grow`, an id is empty or no text; nothing is added then.
            InputError: With `grow`, the map is a `prefix`; grow the map it was taken from.
        """
        if isinstance(ids, pl.Series) and len(ids) > 1000:
            return self._codes_of_series(ids, grow)
        known = (
            ids
            if isinstance(ids, Sequence)
            else ids.to_list()
            if isinstance(ids, pl.Series)
            else ids.tolist()
        )
        if grow:
            self._grow(known)
        codes = np.fromiter(map(self._code_of.get, known, repeat(-1)), np.int32, len(known))
        if self._size is not None:
            codes[codes >= self._size] = -1
        return codes

    def id(self, code: int) -> str:
        """The id behind a code.

        Raises:
            NotFoundError: The code was never given out.
        """
        if not 0 <= code < len(self):
            raise NotFoundError(f"code map: no id has code {code}; codes run from 0 to {len(self) - 1}")
        return self._ids[code]

    def ids_of(self, codes: Array) -> list[str]:
        """The ids behind many codes, which must all have been given out."""
        return [self._ids[code] for code in codes.tolist()]

    def forget(self, code: int) -> None:
        """Takes the id away, in every prefix too; its code stays, nameless, and is not given out again."""
        known = self.id(code)
        self._ids[code] = nobody(code)
        self._code_of.pop(known, None)

    def digest(self) -> str:
        """Sha256 (hex) of the ids in their order."""
        return hashlib.sha256(_lines(self.ids)).hexdigest()

    def save(self, path: Path) -> None:
        """Writes a JSON-lines file: a header with count and sha256, then one id a line."""
        body = _lines(self.ids)
        header = {"format": FORMAT, "count": len(self), "sha256": hashlib.sha256(body).hexdigest()}
        beside = path.with_name(path.name + ".new")
        beside.write_bytes(msgspec.json.encode(header) + b"\n" + body)
        beside.replace(path)

    @classmethod
    def load(cls, path: Path) -> "CodeMap":
        """The map that `save` wrote.

        Raises:
            BundleError: The file is missing, cut short, changed, or of a newer format.
        """
        try:
            head, _, body = path.read_bytes().partition(b"\n")
            header = msgspec.json.decode(head, type=_Header)
        except (OSError, msgspec.DecodeError) as problem:
            raise BundleError(f"code map {path}: can't be read ({problem}); restore the file") from problem
        if header.format != FORMAT:
            raise BundleError(
                f"code map {path}: format {header.format}, this program reads {FORMAT}; update polyscene"
            )
        if hashlib.sha256(body).hexdigest() != header.sha256:
            raise BundleError(f"code map {path}: the ids don't match their sha256; restore the file")
        return cls(msgspec.json.Decoder(str).decode_lines(body))

    def _codes_of_series(self, ids: pl.Series, grow: bool) -> Codes:
        text = ids.cast(pl.String)
        distinct = text.unique(maintain_order=grow)
        found = pl.Series(self.codes(distinct.to_list(), grow=grow))
        return text.replace_strict(distinct, found, return_dtype=pl.Int32).to_numpy()

    def _grow(self, ids: Sequence[str]) -> None:
        known = self._code_of if self._size is None else self
        new = [item_id for item_id in dict.fromkeys(ids) if item_id not in known]
        if new and self._size is not None:
            raise InputError("code map: a prefix can't grow; grow the map it was taken from")
        wrong = [item_id for item_id in new if not isinstance(item_id, str) or not item_id]
        if wrong:
            raise DataError(f"code map: got the id {wrong[0]!r}, expected a text that is not empty")
        start = len(self._ids)
        self._ids.extend(new)  # before the codes: a reader that finds a code finds its id too
        self._code_of.update(zip(new, range(start, start + len(new)), strict=True))


class _Header(msgspec.Struct):
    format: int
    count: int
    sha256: str


def _lines(ids: list[str]) -> bytes:
    return msgspec.json.Encoder().encode_lines(ids)
