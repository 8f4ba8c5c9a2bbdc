"""The foundation model: one causal Transformer over all events of all scenarios.

Legend: B queries, L positions, D width, R item rows of the part, N targets, F features, I item codes.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar, Literal

import msgspec
import numpy as np
import torch
from scipy import sparse
from torch import Tensor

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, RaggedTable, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run
from polyscene.core.memo import remember
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.nn import loop, machine
from polyscene.nn.backbone import Backbone
from polyscene.nn.events import TIME_BUCKETS, Clock, Lesson, Lessons, Reader
from polyscene.nn.evidence import Clues, Evidence, Folds, running_sums, spread
from polyscene.nn.layers import BlockKind, Shape
from polyscene.nn.losses import full_softmax
from polyscene.nn.products import product

Positive = Annotated[int, msgspec.Meta(ge=1)]
Share = Annotated[float, msgspec.Meta(ge=0, lt=1)]
ENCODE_EVENTS = 16_384


class Foundation(Config, frozen=True, kw_only=True, tag="foundation"):
    dim: Positive = 64
    layers: Positive = 2
    heads: Positive = 1
    block: BlockKind = "ligr"
    positions: Literal["relative", "end", "both", "none"] = "relative"
    time_bias: bool = True
    clock: Clock = "order"
    hide_query: Share = 0.1
    surface: bool = True
    max_len: Positive = 200
    dropout: Share = 0.2
    lags: int = 3
    ease_l2: float = 500.0
    ease_items: int = 6000
    folds: Positive = 4
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 20
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 3e-3
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.01
    batch_size: Positive = 1600
    average: float = 0.999
    validate_every: Positive = 2
    patience: Positive = 3

    def fit(self, data: Data, run: Run, warm=None) -> "FoundationPart":
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        clock = self.clock if data.clock else "order"
        actions, scenarios = (len(data.actions), len(data.scenarios)) if self.surface else (1, 1)
        reader = Reader.of(data.histories, self.max_len, actions, scenarios, clock)
        if not self.surface:
            reader = Reader(self.max_len, 1, 1, np.zeros(1, np.float32), clock)
        table = reader.table(data.histories, rows)
        sequences = table.ragged("row")
        with_ease = 0 < len(rows) <= self.ease_items and self.ease_l2 > 0
        folds = Folds(sequences, len(rows), self.ease_l2, self.folds) if with_ease else None
        evidence = None
        if self.lags >= 0:
            evidence = Evidence.of(sequences, len(rows), self.lags, None if folds is None else folds.whole)
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = self._network(len(rows), reader, 0 if evidence is None else evidence.features, chance)
            part = FoundationPart(rows, network, reader, evidence, _log_share(sequences.values, len(rows)))
            lessons = Lessons(
                reader,
                table,
                batch_size=self.batch_size,
                seed=run.seed,
                hide=self.hide_query if clock == "query" else 0.0,
                device=device,
            )
            self._train(part, lessons, table, folds, run)
        return part

    def _network(self, rows, reader, features, chance):
        reach = self.max_len if self.positions in ("relative", "both") else 0
        buckets = TIME_BUCKETS if reader.clock != "order" and self.time_bias else 0
        shape = Shape(self.dim, self.layers, self.heads, self.block, self.dropout, reach, buckets)
        aged = self.max_len if self.positions in ("end", "both") else 0
        return Backbone(rows, shape, reader.sizes, aged, features, chance)

    def _train(self, part, lessons, table, folds, run):
        network, judge = part.network, run.validate

        def loss(lesson: Lesson) -> Tensor:
            hidden_ND = network(lesson.events)[lesson.events.real]
            clues = None if part.evidence is None else _clues(part.evidence, folds, table, lesson)
            return full_softmax(hidden_ND, network.items, lesson.targets, network.weighed(hidden_ND), clues)

        plan = loop.Plan(
            epochs=self.epochs,
            learning_rate=self.learning_rate,
            l2=self.l2,
            average=self.average,
            validate_every=self.validate_every,
            patience=self.patience,
            label="foundation",
        )
        loop.train(network, lessons, loss, plan, run, None if judge is None else lambda: judge(part))


def _clues(evidence: Evidence, folds: Folds | None, table: RaggedTable, lesson: Lesson) -> Clues:
    rows, places, users = table["row"], lesson.places, lesson.users
    firsts = table.offsets[users]
    sums = None if folds is None else running_sums(folds, rows, places, firsts, users)
    return Clues.of(evidence, rows, places, firsts, lesson.targets, sums)


@dataclass(frozen=True, slots=True, eq=False)
class FoundationPart:
    rows: Rows
    network: Backbone
    reader: Reader
    evidence: Evidence | None
    prior: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        vectors_BD, empty_B = remember(self, queries, lambda: self._encode(queries))
        scores_BR: Scores = vectors_BD @ self._items().T
        if self.evidence is not None:
            self._add_evidence(scores_BR, vectors_BD, queries)
        scores_BR[empty_B] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def _add_evidence(self, scores_BR, vectors_BD, queries):
        table = self.reader.table(queries.history, self.rows)
        some = np.flatnonzero(table.lengths)
        with torch.inference_mode():
            gates_BF = self.network.weighed(torch.from_numpy(vectors_BD)).cpu()
            ease = None
            if self.evidence.ease is not None:
                counts = sparse.csr_matrix(
                    (np.ones(len(table["row"]), np.float32), table["row"].astype(np.int32), table.offsets),
                    (len(table), len(self.rows)),
                )
            for start in range(0, len(some), 256):
                block = some[start : start + 256]
                clues = Clues.of(self.evidence, table["row"], table.offsets[1:][block] - 1, table.offsets[:-1][block])
                out = torch.empty(len(block), len(self.rows))
                clues.reading(len(block)).fill(0, gates_BF[block], out)
                if self.evidence.ease is not None:
                    ease = torch.from_numpy(product(counts[block], self.evidence.ease))
                    out += ease / spread(ease) * gates_BF[block][:, -1:]
                scores_BR[block] += out.numpy()

    def _items(self) -> Floats:
        return self.network.items.detach().cpu().numpy()

    def _encode(self, queries: Queries):
        table = self.reader.table(queries.history, self.rows)
        lengths = np.minimum(table.lengths, self.reader.max_len)
        device = self.network.items.device
        vectors_BD = np.zeros((len(queries), self.network.items.shape[1]), np.float32)
        order = np.argsort(-lengths, kind="stable")[: np.count_nonzero(lengths)]
        with torch.inference_mode():
            while len(order):
                block, order = np.split(order, [max(1, ENCODE_EVENTS // int(lengths[order[0]]))])
                events = self.reader.ask(table, queries, block, lengths[block], device)
                vectors_BD[block] = self.network(events, newest=True).cpu().numpy()
        return vectors_BD, lengths == 0


def _log_share(seen: Codes, count: int) -> Floats:
    counts = np.bincount(seen, minlength=count) + 1.0
    return np.log(counts / counts.sum()).astype(np.float32)
