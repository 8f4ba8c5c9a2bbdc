"""CPU milliseconds of one loss and its gradients, each objective beside what torch's own graph takes.

One step's targets against items drawn once, on one core; all variants in turn, `--rounds` times; the
median counts.

    python -m bench.objectives
"""

import argparse
import statistics
import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor
from torch.nn import functional

from polyscene.nn import machine
from polyscene.nn.losses import full_softmax
from polyscene.nn.negatives import Negatives, Sampler
from polyscene.nn.objectives import gbce, sampled_softmax

TARGETS, NEGATIVES, DIM = 1600, 512, 64
FULL_UP_TO = 20_000
"""Items up to which the full softmax is timed beside; above it takes seconds."""


def logits(hidden: Tensor, items: Tensor, targets: Tensor, drawn: Negatives) -> tuple[Tensor, Tensor]:
    against = hidden @ items[drawn.rows].mT
    own = (hidden * items[targets]).sum(1, keepdim=True)
    return against.masked_fill(drawn.rows == targets[:, None], -torch.inf), own


def graph_softmax(hidden: Tensor, items: Tensor, targets: Tensor, drawn: Negatives) -> Tensor:
    against, own = logits(hidden, items, targets, drawn)
    joined = torch.cat([own, against - drawn.log_chance], 1)
    return functional.cross_entropy(joined, torch.zeros_like(targets))


def graph_bce(hidden: Tensor, items: Tensor, targets: Tensor, drawn: Negatives) -> Tensor:
    against, own = logits(hidden, items, targets, drawn)
    return (functional.softplus(-own) + functional.softplus(against).sum(1, keepdim=True)).mean()


VARIANTS: dict[str, Callable[[Tensor, Tensor, Tensor, Negatives], Tensor]] = {
    "full softmax": lambda hidden, items, targets, _: full_softmax(hidden, items, targets),
    "sampled softmax": sampled_softmax,
    "sampled softmax by torch's graph": graph_softmax,
    "gBCE": lambda *step: gbce(*step, 0.75),
    "BCE by torch's graph": graph_bce,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=9)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    torch.set_float32_matmul_precision(machine.cpu_precision())
    print(f"{TARGETS} targets, {NEGATIVES} negatives, {DIM} wide; torch {torch.__version__}, one thread\n")
    print("| items | loss | CPU ms |\n| ---: | --- | ---: |")
    for rows in (3706, 100_000):
        chance = torch.Generator().manual_seed(0)
        hidden, items = (
            torch.randn(count, DIM, generator=chance).requires_grad_() for count in (TARGETS, rows)
        )
        targets = torch.randint(rows, (TARGETS,), generator=chance)
        drawn = Sampler("uniform", NEGATIVES, np.ones(rows), chance).draw(targets)
        names = [name for name in VARIANTS if rows <= FULL_UP_TO or name != "full softmax"]
        taken: dict[str, list[float]] = {name: [] for name in names}
        for _ in range(rounds):
            for name in names:
                began = time.process_time()
                torch.autograd.grad(VARIANTS[name](hidden, items, targets, drawn), (hidden, items))
                taken[name].append((time.process_time() - began) * 1e3)
        for name, values in taken.items():
            print(f"| {rows:,} | {name} | {statistics.median(values):.1f} |")


if __name__ == "__main__":
    main()
