"""A fitted sequence model in its lean form: from histories to scores.

Legend: B queries, D width, R item rows of the part, I item codes.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import msgspec
import numpy as np

from polyscene.core.answer import answer
from polyscene.core.arrays import Bools, Floats, RaggedTable, Scores
from polyscene.core.contracts import Effect, State
from polyscene.core.errors import BundleError
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.lean.backbone import LeanBackbone
from polyscene.lean.blocks import BlockKind
from polyscene.lean.evidence import THINNED, Evidence
from polyscene.lean.packing import packed, unpacked
from polyscene.lean.reading import Clock, Reading
from polyscene.lean.state import States
from polyscene.lean.vectors import vectors_of

PAYS_BELOW = 32
"""Queries up to which reading them without torch is the quicker way."""

READ = ("codes", "prior", "edges", "items", "ages", "taps", "surface.", "trunk.", "evidence.")
"""Heads of the names of the tensors that answers are made of; a part may have others to learn with."""


class Form(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a lean model's tensors don't tell: what is read of an event, and the shape of blocks."""

    max_len: int
    block: BlockKind = "ligr"
    heads: int = 1
    actions: int = 1
    scenarios: int = 1
    clock: Clock = "order"


@dataclass(frozen=True, slots=True, eq=False)
class LeanModel:
    """Reads histories and scores the items that were trained on.

    Shapes: `prior` (R,), the answer to an empty history. `states`, if given, keeps what was read.
    """

    form: Form
    tensors: Mapping[str, Any]
    rows: Rows
    reading: Reading
    backbone: LeanBackbone
    prior: Floats
    evidence: Evidence | None = None
    states: States | None = None
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    @classmethod
    def of(cls, state: State) -> "LeanModel":
        """From tensors by the names of the torch model, ``items``, ``codes`` and ``prior``, and a `Form`.

        Raises:
            BundleError: Something is missing or wrong.
        """
        try:
            form = msgspec.convert(dict(state.meta["form"]), Form)
            items = vectors_of(state.tensors, "items")
            edges = state.tensors.get("edges", np.zeros(1, np.float32))
            reading = Reading(form.max_len, form.actions, form.scenarios, edges, form.clock)
            others = {name: each for name, each in state.tensors.items() if not _is_items(name)}
            weights = unpacked(others, keep=THINNED)
            backbone = LeanBackbone.of(items, weights, form.block, form.heads, form.max_len)
            rows = Rows(state.tensors["codes"])
            prior, evidence = state.tensors["prior"], Evidence.load(weights)
            tensors = {name: each for name, each in state.tensors.items() if name.startswith(READ)}
            return cls(form, tensors, rows, reading, backbone, prior, evidence)
        except (KeyError, msgspec.ValidationError) as problem:
            raise BundleError(f"lean model: {problem} is missing or wrong; export it again") from problem

    def state(self) -> State:
        """What `of` takes."""
        return State(self.tensors, {"form": msgspec.to_builtins(self.form)})

    def in_bytes(self) -> "LeanModel":
        """The same model with weights and item vectors in int8."""
        return LeanModel.of(State(packed(self.tensors), self.state().meta))

    def remembering(self, limit_mb: float, *, leeway: int = 0) -> "LeanModel":
        """The same model with an empty store of states. Raises ConfigError as `States`."""
        return replace(self, states=States(self.backbone, self.reading, limit_mb=limit_mb, leeway=leeway))

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items most likely to come next."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits of the next item; -inf for codes that were not trained on."""
        vectors_BD, empty_B = remember(self, queries, lambda: self.read(queries))
        scores_BR = self.backbone.items.scores(vectors_BD)
        if self.evidence is not None:
            self.evidence.add(scores_BR, self._table(queries))
        scores_BR[empty_B] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def encode(self, queries: Queries) -> Floats:
        """See `Encodes.encode`."""
        vectors_BD: Floats = remember(self, queries, lambda: self.read(queries))[0]
        return vectors_BD

    def read(self, queries: Queries) -> tuple[Floats, Bools]:
        """Vectors (B, D) and whether each history has no known event (B,)."""
        table = self._table(queries)
        vectors_BD = np.zeros((len(queries), self.backbone.width), np.float32)
        for start in range(0, len(queries), PAYS_BELOW):
            block = np.arange(start, min(start + PAYS_BELOW, len(queries)))
            some = table if len(block) == len(queries) else table.take(block)
            asked = some, queries.at[block] // 1000, queries.scenario[block]
            if self.states is not None:
                vectors_BD[block] = self.states.encode(*asked)
            else:
                vectors_BD[block] = self.backbone.encode(self.reading.asked(*asked))
        return vectors_BD, table.lengths == 0

    def _table(self, queries: Queries) -> RaggedTable:
        return remember(self.reading, queries, lambda: self.reading.table(queries.history, self.rows))


def _is_items(name: str) -> bool:
    """Whether a tensor is the item vectors, or a part of their packed form."""
    return name.partition(":")[0] == "items"
