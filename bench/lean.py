"""What the lean form costs and keeps: CPU time beside torch's, states and their drift, int8 and its loss.

    python -m bench.lean                 speed alone; no data is needed
    python -m bench.lean --epochs 3      then drift and loss of a foundation model fitted on ML-1M (`loo`)

All times are medians of one thread's CPU time. Drift: a state made at `max_len` events goes on event by
event, and is compared with a full encode each time so many old events have fallen out of it.
"""

import argparse
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import torch
from threadpoolctl import threadpool_limits

from polyscene.core.arrays import Array, Ragged, RaggedTable
from polyscene.core.contracts import Run
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.rows import Rows
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import split
from polyscene.evaluate.metrics import measure
from polyscene.evaluate.ranking import rank
from polyscene.lean.backbone import LeanBackbone
from polyscene.lean.model import LeanModel
from polyscene.lean.packing import packed
from polyscene.lean.reading import Reading
from polyscene.lean.state import States
from polyscene.lean.vectors import FloatVectors, vectors_of
from polyscene.models.foundation import Foundation
from polyscene.nn.backbone import Backbone, Equipment
from polyscene.nn.content import ItemTable
from polyscene.nn.events import Reader
from polyscene.nn.layers import Shape
from polyscene.nn.weights import tensors_of
from polyscene.retrieve.exact import Exact

DIM, LAYERS, MAX_LEN, ITEMS = 64, 2, 200, 100_000
FALLEN = (1, 10, 50, 100, 200)
USERS = 60


def cpu_ms(act: Callable[[], object], times: int = 60) -> float:
    for _ in range(5):
        act()
    taken = []
    for _ in range(times):
        began = time.thread_time()
        act()
        taken.append(time.thread_time() - began)
    return statistics.median(taken) * 1e3


@dataclass(frozen=True)
class Twins:
    """An untrained backbone in both forms; times do not depend on what weights are."""

    network: Backbone
    reader: Reader
    lean: LeanBackbone
    reading: Reading
    rows: Rows

    @classmethod
    def of(cls, clock: str) -> "Twins":
        chance = torch.Generator().manual_seed(0)
        parts = MAX_LEN, 1, 1, np.array([1, 2, 3, 4, 5], np.float32), clock
        reading = Reading(*parts)
        shape = Shape(DIM, LAYERS, reach=MAX_LEN, buckets=0 if clock == "order" else 66)
        table = ItemTable(ITEMS, DIM, chance)
        equipment = Equipment(reading.sizes, short_conv=2)
        network = Backbone(table, shape, equipment, chance).eval().requires_grad_(False)
        items = FloatVectors(network.items().numpy())
        lean = LeanBackbone.of(items, tensors_of(network), "ligr", 1, MAX_LEN)
        return cls(network, Reader(*parts), lean, reading, Rows(np.arange(ITEMS)))

    def by_torch(self, queries: Queries) -> None:
        table = self.reader.table(queries.history, self.rows)
        block, lengths = np.arange(len(queries)), np.minimum(table.lengths, MAX_LEN)
        with torch.inference_mode():
            events = self.reader.ask(table, queries, block, lengths, torch.device("cpu"))
            self.network(events, self.network.items(), newest=True).numpy()

    def by_lean(self, queries: Queries) -> None:
        table = self.reading.table(queries.history, self.rows)
        self.lean.encode(self.reading.asked(table, queries.at // 1000, queries.scenario))


def history(length: int) -> RaggedTable:
    rng = np.random.default_rng(length)
    times = np.cumsum(np.exp(rng.uniform(0, 14, length)) * 1000).astype(np.int64)
    table = history_of([rng.integers(0, ITEMS, length).tolist()], [times.tolist()])
    table.columns["value"][:] = rng.integers(1, 6, length)
    return table


def encoding() -> None:
    print("| encode, CPU ms | torch | lean | one event more, state | asked again, state |")
    print("| --- | ---: | ---: | ---: | ---: |")
    for clock in ("order", "query"):
        twins = Twins.of(clock)
        for length in (50, 200):
            queries = Queries.of_histories(history(length), ITEMS)
            torch_ms = cpu_ms(lambda twins=twins, queries=queries: twins.by_torch(queries))
            lean_ms = cpu_ms(lambda twins=twins, queries=queries: twins.by_lean(queries))
            print(f"| {length} events, clock {clock} | {torch_ms:.2f} | {lean_ms:.2f} |", end=" ")
            print(" | ".join(f"{each:.2f}" for each in stepping(twins, length)), "|")


def stepping(twins: Twins, length: int) -> tuple[float, float]:
    """CPU ms of an answer after one event more, and of one after none."""
    table = twins.reading.table(history(length), twins.rows)
    at = table["second"][-1:] + 60, np.zeros(1, np.int64)
    more, again = [], []
    for _ in range(60):
        states = States(twins.lean, twins.reading, limit_mb=10)
        states.encode(head(table, length - 1), *at)
        for taken in (more, again):
            began = time.thread_time()
            states.encode(table, *at)
            taken.append(time.thread_time() - began)
    return statistics.median(more) * 1e3, statistics.median(again) * 1e3


def head(table: RaggedTable, count: int) -> RaggedTable:
    return RaggedTable(np.array([0, count]), {name: each[:count] for name, each in table.columns.items()})


def ranking() -> None:
    rng = np.random.default_rng(0)
    values = rng.standard_normal((ITEMS, DIM)).astype(np.float32)
    vectors_BD = rng.standard_normal((1, DIM)).astype(np.float32)
    exact, exclude = (
        Exact(np.arange(ITEMS, dtype=np.int32), values),
        Ragged.of([rng.integers(0, ITEMS, 200)]),
    )
    whole = Eligible.all(1, ITEMS)
    ruled = Eligible(rng.random((1, ITEMS)) < 0.8, np.zeros(1, np.int64))
    small = vectors_of(packed({"items": values}), "items")
    print(f"\n| exact top 200 of {ITEMS:,} x {DIM}, CPU ms | |\n| --- | ---: |")
    rows = {
        "the product alone, float32": lambda: vectors_BD @ values.T,
        "the product alone, int8": lambda: small.scores(vectors_BD),
        "top 200, everything allowed": lambda: exact.search(vectors_BD, 200, whole, exclude),
        "top 200, a fifth forbidden": lambda: exact.search(vectors_BD, 200, ruled, exclude),
    }
    for what, act in rows.items():
        print(f"| {what} | {cpu_ms(act):.2f} |")


def memory() -> None:
    twins = Twins.of("order")
    table = twins.reading.table(history(MAX_LEN), twins.rows)
    at = np.zeros(1, np.int64), np.zeros(1, np.int64)
    print(f"\n| bytes a user, {MAX_LEN} events, d {DIM}, {LAYERS} layers | |\n| --- | ---: |")
    for dtype in (np.float32, np.float16):
        states = States(twins.lean, twins.reading, limit_mb=10, dtype=dtype)
        states.encode(table, *at)
        print(f"| {np.dtype(dtype)} | {states.size:,} |")


def fitted(epochs: int) -> None:
    encoded = encode(load_tables("ml-1m"), only_touched=True)
    parts = split(encoded.data, "loo", ids=encoded)
    config = Foundation(epochs=epochs)
    part = config.fit(parts.fit_all, Run(threads=1))
    lean = part.with_lean(config.block, config.heads).lean
    losses(lean, parts.test)
    print(f"split {parts.digest}")
    drift(lean, parts.test.queries)


def losses(lean: LeanModel, test) -> None:
    bytewise = lean.in_bytes()
    print("\n| form | tensors, MB | nDCG@10 | relative |\n| --- | ---: | ---: | ---: |")
    scores = [measure(rank(each, test)).totals["ndcg@10"] for each in (lean, bytewise)]
    for name, model, score in zip(("float32", "int8"), (lean, bytewise), scores, strict=True):
        size = sum(each.nbytes for each in model.tensors.values()) / 1e6
        print(f"| {name} | {size:.1f} | {score:.4f} | {score / scores[0] - 1:+.2%} |")


def drift(lean: LeanModel, queries: Queries) -> None:
    table = lean.reading.table(queries.history, lean.rows)
    long = np.flatnonzero(table.lengths >= MAX_LEN + FALLEN[-1])[:USERS]
    found: dict[int, list[tuple[float, float]]] = {fallen: [] for fallen in FALLEN}
    for row in long:
        one = table.take(np.array([row]))
        states = States(lean.backbone, lean.reading, limit_mb=10, leeway=FALLEN[-1])
        for fallen in range(FALLEN[-1] + 1):
            seen = head(one, MAX_LEN + fallen)
            asked = seen, seen["second"][-1:], np.zeros(1, np.int64)
            vector = states.encode(*asked)[0]
            if fallen in found:
                full = lean.backbone.encode(lean.reading.asked(*asked))[0]
                found[fallen].append((cosine(vector, full), overlap(lean, vector, full)))
    print(f"\n| events fallen out ({len(long)} users) | cosine, mean | cosine, worst | top 10 shared |")
    print("| --- | ---: | ---: | ---: |")
    for fallen, pairs in found.items():
        cosines, shared = (np.array(each) for each in zip(*pairs, strict=True))
        print(f"| {fallen} | {cosines.mean():.4f} | {cosines.min():.4f} | {shared.mean():.1%} |")


def cosine(left: Array, right: Array) -> float:
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def overlap(lean: LeanModel, *vectors: Array) -> float:
    tops = (set(np.argsort(-lean.backbone.items.scores(each[None])[0])[:10].tolist()) for each in vectors)
    return len(set.intersection(*tops)) / 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=0)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    with threadpool_limits(1):
        encoding()
        ranking()
        memory()
        if asked.epochs:
            fitted(asked.epochs)


if __name__ == "__main__":
    main()
