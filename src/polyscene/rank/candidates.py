"""Candidates as rows for a network, the same way in training and in serving.

Legend: N candidates, B queries, F coded fields, K numbers, L places of the past.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Codes, Floats, Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import Data, Examples, State
from polyscene.core.errors import BundleError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.convert import Conversion, fit_conversion
from polyscene.features.words import FIRST, UNKNOWN
from polyscene.nn.clicks import Labelled
from polyscene.nn.fields import GAPS, Past, Plan, Sheet
from polyscene.rank.features import Facts, features, numbers

LEAST = 2
"""Events an item needs for a code of its own; the others share one, which unknown items get too."""
WORDS = 10_000
"""Words of a category that get codes, the most frequent ones."""
CLIP = 10.0
"""Standard deviations at which numbers are cut off."""


@dataclass(frozen=True, slots=True)
class Reader:
    """How candidates are read, all of it as of the fit.

    Coded fields: the item, the newest item of the history, then each category of the item. Numbers: the
    `features`, standardised. Shapes: `popularity` (n,), `mean` and `spread` (K,). `past`: events of the
    history that are read besides.
    """

    sources: tuple[str, ...]
    popularity: Floats
    attributes: Conversion
    items: Rows
    words: Conversion
    mean: Floats
    spread: Floats
    past: int = 0

    @property
    def plan(self) -> Plan:
        """What a network must have room for."""
        items = FIRST + len(self.items)
        words: Any = self.words.parts.values()
        return Plan((items, items, *(len(part) for part in words)), len(self.mean), self.past)

    def __call__(self, queries: Queries, slates: Slates, catalogue: Catalogue) -> Sheet:
        """The candidates as rows, in their order."""
        return self.standard(self.raw(queries, slates, catalogue, np.arange(len(slates.items))))

    def standard(self, sheet: Sheet) -> Sheet:
        """The rows with numbers in standard deviations from their means."""
        values_NK = np.clip((sheet.numbers - self.mean) / self.spread, -CLIP, CLIP)
        return replace(sheet, numbers=values_NK.astype(np.float32))

    def raw(self, queries: Queries, slates: Slates, catalogue: Catalogue, chosen: Array) -> Sheet:
        """The chosen candidates, numbers as they are; one may depend on the others of the slate."""
        facts = Facts(self.sources, self.popularity, catalogue, self.attributes)
        values_NK = features(queries, slates, facts)[chosen]
        items, owner = slates.items[chosen], slates.rows()[chosen]
        newest = self._newest(queries)
        columns = [self._coded(items), newest[owner]]
        for name, part in self.words.parts.items():
            columns.append(_by_word(catalogue.columns.get(name), part, items))
        codes = np.stack(columns, axis=1).astype(np.int32)
        past = self._past(queries, owner) if self.past else None
        return Sheet(codes, values_NK, past)

    def state(self) -> State:
        """Everything above."""
        packed = pack({"attributes": self.attributes, "words": self.words})
        tensors = {"popularity": self.popularity, "mean": self.mean, "spread": self.spread}
        return State(
            {**tensors, "codes": self.items.codes, **packed.tensors},
            {"sources": list(self.sources), "past": self.past, **packed.meta},
        )

    @classmethod
    def load(cls, state: State) -> "Reader":
        """As it was saved. Raises BundleError when something is missing."""
        for name in ("popularity", "mean", "spread", "codes"):
            if name not in state.tensors:
                raise BundleError(f"ranker: tensor {name!r} is missing; fit the scenario again")
        found = state.tensors
        return cls(
            sources=tuple(state.meta.get("sources", ())),
            popularity=found["popularity"],
            attributes=Conversion.load(unpack(state, "attributes")),
            items=Rows(found["codes"]),
            words=Conversion.load(unpack(state, "words")),
            mean=found["mean"],
            spread=found["spread"],
            past=int(state.meta.get("past", 0)),
        )

    def _coded(self, items: Codes) -> Codes:
        rows = self.items.of(items)
        return np.where(rows >= 0, rows + FIRST, UNKNOWN).astype(np.int32)

    def _newest(self, queries: Queries) -> Codes:
        newest = np.zeros(len(queries), np.int32)
        there = np.flatnonzero(queries.history.lengths)
        last = queries.history.offsets[1:][there] - 1
        newest[there] = self._coded(queries.history["item"][last])
        return newest

    def _past(self, queries: Queries, owner: Array) -> Past:
        recent = queries.history.tail(self.past)
        rows = recent.rows()
        place = self.past - np.repeat(recent.lengths, recent.lengths)
        place += np.arange(len(rows)) - np.repeat(recent.offsets[:-1], recent.lengths)
        items, gaps = np.zeros((2, len(queries), self.past), np.int32)
        items[rows, place] = self._coded(recent["item"])
        seconds = np.maximum(queries.at[rows] - recent["time"], 0) / 1_000
        gaps[rows, place] = np.minimum(1 + np.log2(1 + seconds), GAPS - 1).astype(np.int32)
        return Past(items, gaps, owner)


def fit_reader(
    data: Data, examples: Examples, attributes: Mapping[str, Mapping[str, Any]], past: int
) -> Reader:
    """A reader of what the data holds; numbers are not standardised yet."""
    counts = np.bincount(data.histories["item"], minlength=data.size)
    there = counts > 0
    every = np.arange(data.size, dtype=np.int32)
    plan = {
        name: {"kind": "vocabulary", "size": WORDS}
        for name, column in data.catalogue.columns.items()
        if column.type == "category" and len(column.vocabulary) > 1
    }
    words = {name: _words(data.catalogue.columns[name], every) for name in plan}
    names = sorted(name[5:] for name in examples.slates.columns if name.startswith("rank:"))
    conversion = fit_conversion(attributes, numbers(data.catalogue, attributes, every), there)
    width = 4 * len(names) + 3 + len(attributes)
    return Reader(
        sources=tuple(names),
        popularity=np.log1p(counts).astype(np.float32),
        attributes=conversion,
        items=Rows(np.flatnonzero(counts >= LEAST).astype(np.int32)),
        words=fit_conversion(plan, words, there),
        mean=np.zeros(width, np.float32),
        spread=np.ones(width, np.float32),
        past=past,
    )


def joined(parts: list[Labelled], plan: Plan) -> Labelled:
    """Blocks of rows one after another."""
    sheets = [part.sheet for part in parts]
    codes = [np.zeros((0, len(plan.sizes)), np.int32), *(each.codes for each in sheets)]
    values = [np.zeros((0, plan.numbers), np.float32), *(each.numbers for each in sheets)]
    labels = np.concatenate([np.zeros(0, np.float32), *(part.labels for part in parts)])
    past = None
    if plan.past:
        pasts = [each.past for each in sheets if each.past is not None]
        none = np.zeros((0, plan.past), np.int32)
        firsts = np.cumsum([0, *(len(each.items) for each in pasts)])[: len(pasts)]
        owners = [each.owner + first for each, first in zip(pasts, firsts, strict=True)]
        past = Past(
            np.concatenate([none, *(each.items for each in pasts)]),
            np.concatenate([none, *(each.gaps for each in pasts)]),
            np.concatenate([np.zeros(0, np.int64), *owners]),
        )
    return Labelled(Sheet(np.concatenate(codes), np.concatenate(values), past), labels)


def _words(column: Column, items: Codes) -> list[str | None]:
    values: Any = column.values
    return [column.vocabulary[code] if code >= 0 else None for code in values[items].tolist()]


def _by_word(column: Column | None, part: Any, items: Codes) -> Codes:
    """(N,) codes of the items' words; each distinct word is looked up once."""
    found = np.zeros(len(items), np.int32)
    if column is None or column.type != "category" or isinstance(column.values, Ragged):
        return found
    known = np.flatnonzero(items < len(column.values))
    values, back = np.unique(column.values[items[known]], return_inverse=True)
    found[known] = part([column.vocabulary[code] if code >= 0 else None for code in values.tolist()])[back]
    return found
