"""What each step of the speed ladder buys a SASRec training: targets per CPU second, on one core.

Histories are drawn with MovieLens-1M's numbers (6,040 users, 3,706 items, about 165 events each), so no
data is needed. All variants are timed in turn, `--rounds` times; the median counts.

    python -m bench.train_speed
"""

import argparse
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from unittest.mock import patch

import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.arrays import Ragged, offsets_of
from polyscene.models.sasrec import Network, SasRec
from polyscene.nn import attention, batching, layers, losses, machine
from polyscene.nn.batching import Batch, NextItem
from polyscene.nn.negatives import Sampler
from polyscene.nn.objectives import sampled_softmax
from polyscene.nn.weights import Weights

ITEMS = 3706
CONFIG = SasRec()


@dataclass(frozen=True)
class Variant:
    """One way to train; the fields are the steps of the ladder."""

    name: str
    precision: str = "highest"
    chunked: bool = False
    buckets: bool = False
    by_hand: bool = False
    bytewise: bool = False
    sampled: bool = False


SHIPPED = 4
"""Place in the ladder of what a fit does; what stands after it are alternatives."""
LADDER = (
    Variant("plain torch: padded to 200, logits stored, fused attention"),
    Variant("+ chunked softmax", chunked=True),
    Variant("+ length buckets", chunked=True, buckets=True),
    Variant("+ attention by hand", chunked=True, buckets=True, by_hand=True),
    Variant("+ byte-wide dropout (what we ship)", chunked=True, buckets=True, by_hand=True, bytewise=True),
    Variant(
        "the same, matmul precision 'medium'",
        "medium", chunked=True, buckets=True, by_hand=True, bytewise=True,
    ),
    Variant(
        "the same, 512 shared negatives",
        chunked=True, buckets=True, by_hand=True, bytewise=True, sampled=True,
    ),
)  # fmt: skip


def histories() -> Ragged:
    rng = np.random.default_rng(0)
    lengths = np.clip(rng.lognormal(4.55, 1.05, 6040), 20, 2300).astype(np.int64)
    return Ragged(offsets_of(lengths), rng.integers(0, ITEMS, lengths.sum()).astype(np.int32))


def _torch_attention(q: Tensor, k: Tensor, v: Tensor, *biases: None) -> Tensor:
    """Torch's kernel where a trunk without biases calls ours."""
    return attention.plain_causal_attention(q, k, v)


class TorchDropout(nn.Module):
    def __init__(self, share: float, chance: torch.Generator) -> None:
        super().__init__()
        self.share = share

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.dropout(x, self.share, self.training)


class Trainer:
    """A variant's network and optimiser, ready to make steps."""

    def __init__(self, variant: Variant, sequences: Ragged) -> None:
        self.variant = variant
        chance = torch.Generator().manual_seed(0)
        with patch.object(layers, "Dropout", layers.Dropout if variant.bytewise else TorchDropout):
            self.network = Network(CONFIG, ITEMS, chance)
        self.weights = Weights(self.network)
        self.optimiser = torch.optim.AdamW([self.weights.flat], lr=1e-3, fused=True)
        self.chance = chance
        self.batches = self._batches(sequences)

    def _batches(self, sequences: Ragged) -> Iterator[Batch]:
        edges = batching.bucket_edges if self.variant.buckets else lambda max_len: np.array([max_len])
        with patch.object(batching, "bucket_edges", edges):
            source = NextItem(
                sequences, max_len=200, batch_size=CONFIG.batch_size, seed=0, device=torch.device("cpu")
            )
        number = 0
        while True:
            yield from source.epoch(number)
            number += 1

    def loss(self, hidden: Tensor, targets: Tensor) -> Tensor:
        items = self.network.items
        if self.variant.sampled:
            sampler = Sampler("uniform", 512, np.ones(ITEMS), self.chance)
            return sampled_softmax(hidden, items, targets, sampler.draw(targets))
        full: Callable[..., Tensor] = (
            losses.full_softmax if self.variant.chunked else losses.plain_full_softmax
        )
        return full(hidden, items, targets)

    def rate(self, steps: int) -> float:
        """Targets per CPU second over `steps` steps."""
        kernel = attention.causal_attention if self.variant.by_hand else _torch_attention
        torch.set_float32_matmul_precision(self.variant.precision)
        targets, began = 0, time.process_time()
        with patch.object(layers, "causal_attention", kernel):
            for _ in range(steps):
                batch = next(self.batches)
                loss = self.loss(self.network(batch.inputs)[batch.inputs.real], batch.targets)
                loss.backward()
                self.optimiser.step()
                self.optimiser.zero_grad(set_to_none=False)
                self.weights.follow(0.999)
                targets += len(batch.targets)
        return targets / (time.process_time() - began)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=5)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    sequences = histories()
    trainers = [Trainer(variant, sequences) for variant in LADDER]
    for trainer in trainers:
        trainer.rate(5)
    rounds = [[trainer.rate(asked.steps) for trainer in trainers] for _ in range(asked.rounds)]
    rates = [statistics.median(column) for column in zip(*rounds, strict=True)]
    print(
        f"torch {torch.__version__}, one thread; our choice of precision here: {machine.cpu_precision()}\n"
    )
    print("| step | targets / CPU s | against the first | against what we ship |")
    print("| --- | ---: | ---: | ---: |")
    for variant, rate in zip(LADDER, rates, strict=True):
        print(f"| {variant.name} | {rate:,.0f} | {rate / rates[0]:.2f} | {rate / rates[SHIPPED]:.2f} |")


if __name__ == "__main__":
    main()
