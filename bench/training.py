"""Where a training step's time goes, and how near it is to what the machine's products can give.

Histories are drawn with MovieLens-1M's numbers, so no data is needed. The step is `polyscene train`'s own:
the one loop, its profiler and SASRec with `--set`. CPU seconds of one thread, so a busy machine matters
less. "Of the peak": floating point operations a second on real (unpadded) events, against those of the same
products run alone, in a tight loop, each weighted by its share of the time.

    python -m bench.training
    python -m bench.training --set dim=128
"""

import argparse
import json
import statistics
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Self

import numpy as np
import torch

from bench.train_speed import ITEMS, histories
from polyscene.core.arrays import Ragged, RaggedTable
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import with_settings
from polyscene.core.contracts import Data, Run, Training
from polyscene.models.sasrec import SasRec
from polyscene.nn.batching import NextItem

PRODUCTS = {"aten::mm": 0, "aten::addmm": 1, "aten::addmm_": 1, "aten::bmm": 0, "aten::baddbmm": 1}
"""Operations that multiply matrices, and the place of the left one among their inputs."""
GROUPS = (
    ("attention", ("_CausalAttention", "_CausalAttentionBackward")),
    ("loss", ("_FullSoftmax", "_FullSoftmaxBackward")),
    ("optimiser and average", ("Optimizer.step#AdamW.step", "aten::lerp_")),
)
Shape = tuple[int, ...]


class Watch:
    """A progress bar that notes the CPU time of every step."""

    def __init__(self) -> None:
        self.at_s: list[float] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        return None

    def advance(self, steps: int = 1, note: str = "") -> None:
        self.at_s.append(time.process_time())


def some_histories() -> Ragged:
    """An even sixth of them: about a hundred steps."""
    return histories().take(np.arange(0, 6040, 6))


def data() -> Data:
    sequences = some_histories()
    count = len(sequences.values)
    columns = {
        "item": sequences.values,
        "action": np.zeros(count, np.int16),
        "value": np.ones(count, np.float32),
        "time": np.arange(count, dtype=np.int64),
        "scenario": np.zeros(count, np.int16),
    }
    users = np.arange(len(sequences.offsets) - 1, dtype=np.int32)
    return Data(users, RaggedTable(sequences.offsets, columns), Catalogue.bare(ITEMS), count)


def padding(config: SasRec) -> tuple[float, float]:
    """Targets of a batch, and what share of its places are real, both means of an epoch."""
    batches = NextItem(
        histories(),
        max_len=config.max_len,
        batch_size=config.batch_size,
        seed=0,
        device=torch.device("cpu"),
    )
    sizes = [(len(batch.targets), batch.inputs.rows.numel()) for batch in batches.epoch(0)]
    real, places = np.array(sizes).sum(0)
    return real / len(sizes), real / places


def own_times(events: list[dict[str, Any]]) -> Iterator[tuple[dict[str, Any], tuple[str, ...], float]]:
    """Each operation, the names it stands under, and its own microseconds, less those of what it calls."""
    stack: list[dict[str, Any]] = []
    inner: Counter[int] = Counter()
    found = []
    for event in sorted(events, key=lambda each: (each["ts"], -each["dur"])):
        while stack and event["ts"] >= stack[-1]["ts"] + stack[-1]["dur"]:
            stack.pop()
        if stack:
            inner[id(stack[-1])] += event["dur"]
        found.append((event, tuple(each["name"] for each in stack)))
        stack.append(event)
    for event, above in found:
        yield event, above, event["dur"] - inner[id(event)]


def group(name: str, above: tuple[str, ...]) -> str:
    for label, heads in GROUPS:
        if any(head in (*above, name) for head in heads):
            if label == "loss":
                return "loss: products" if name in PRODUCTS else "loss: softmax and the rest"
            return label
    if name in PRODUCTS:
        return "other products"
    return "everything else"


def alone_s(left: Shape, right: Shape) -> float:
    """Seconds of one product of contiguous matrices, the best of several."""
    chance = torch.Generator().manual_seed(0)
    a, b = (torch.randn(*shape, generator=chance) for shape in (left, right))
    out = a @ b
    best = np.inf
    for _ in range(7):
        began = time.thread_time()
        for _ in range(5):
            torch.matmul(a, b, out=out)
        best = min(best, (time.thread_time() - began) / 5)
    return best


def products(events: list[dict[str, Any]]) -> Mapping[tuple[Shape, Shape], int]:
    """How often each pair of shapes was multiplied."""
    counts: Counter[tuple[Shape, Shape]] = Counter()
    for event in events:
        if event["name"] in PRODUCTS:
            first = PRODUCTS[event["name"]]
            left, right = event["args"]["Input Dims"][first : first + 2]
            counts[tuple(left), tuple(right)] += 1
    return counts


def flops(left: Shape, right: Shape) -> int:
    return 2 * int(np.prod(left)) * right[-1]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE")
    asked = parser.parse_args()
    settings = dict(text.split("=", 1) for text in asked.set)
    config = with_settings(SasRec(epochs=1), settings, "--set")
    torch.set_num_threads(1)
    watch = Watch()
    with TemporaryDirectory() as folder:
        training = Training(profile=Path(folder))
        config.fit(data(), Run(threads=1, progress=lambda label, total: watch, training=training))
        trace = json.loads((Path(folder) / "sasrec.trace.json").read_text())["traceEvents"]
    events = [
        each for each in trace if each.get("ph") == "X" and each.get("cat") in ("cpu_op", "user_annotation")
    ]
    steps = sum(each["name"].startswith("ProfilerStep") for each in events)
    spent: dict[str, float] = defaultdict(float)
    for event, above, own_us in own_times(events):
        spent[group(event["name"], above)] += own_us
    # The profiler itself is left out of the step's time.
    step_s = statistics.median(np.diff(watch.at_s[min(60, len(watch.at_s) // 2) :]))
    targets, real = padding(config)
    print(
        f"torch {torch.__version__}, 1 thread, {config.dim} wide, {steps} of {len(watch.at_s)} steps traced"
    )
    print(
        f"{targets / step_s:,.0f} events / CPU s; {step_s * 1e3:.1f} ms a step; {real:.0%} of places real\n"
    )
    print("| part of a step | share |")
    print("| --- | ---: |")
    whole = sum(spent.values())
    for name, us in sorted(spent.items(), key=lambda each: -each[1]):
        print(f"| {name} | {us / whole:.0%} |")
    counts = products(events)
    work = sum(flops(*pair) * count for pair, count in counts.items()) / steps
    best_s = sum(alone_s(*pair) * count for pair, count in counts.items()) / steps
    inside = {pair: count for pair, count in counts.items() if ITEMS in (*pair[0], *pair[1])}
    over_items = sum(flops(*pair) * count for pair, count in inside.items()) / steps
    useful = over_items + (work - over_items) * real
    print(
        f"\nproducts: {useful / step_s / 1e9:.0f} useful GFLOP/s; alone {work / best_s / 1e9:.0f} GFLOP/s;"
    )
    print(f"{useful / step_s / (work / best_s):.0%} of the peak ({best_s / step_s:.0%} with padding)")


if __name__ == "__main__":
    main()
