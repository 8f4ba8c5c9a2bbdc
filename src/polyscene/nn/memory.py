"""How much memory a training takes, and into how many pieces a batch is cut to stay below a bound."""

import json
import math
from collections.abc import Callable, Iterable, Sequence
from itertools import accumulate, chain, islice
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol, Self, TypeVar, runtime_checkable

from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from polyscene.core.errors import ConfigError
from polyscene.nn.course import Course

T = TypeVar("T")
COPIES = 7
"""Vectors as long as all parameters: weights, gradient, average, two moments, best, and one to swap."""
TRIED = 16
"""Batches that are tried; their lengths differ, and the longest needs most."""


@runtime_checkable
class Divisible(Protocol):
    """A batch that can be cut."""

    def split(self, parts: int) -> Sequence[tuple[Self, float]]:
        """About equal pieces, fewer if it has fewer sequences, each with its share of the batch's loss."""
        ...


def pieces_of(batch: T, count: int) -> Sequence[tuple[T, float]]:
    """The batch in `count` pieces, or whole."""
    return batch.split(count) if count > 1 and isinstance(batch, Divisible) else [(batch, 1.0)]


def fitting(
    course: Course,
    epoch: Callable[[int], Iterable[T]],
    loss: Callable[[T], Tensor],
    bound_mb: float | None,
) -> int:
    """Into how many pieces batches must be cut so that a training stays below `bound_mb` (10^6 bytes).

    The first few batches are tried, forward and backward, and leave neither gradients nor spent chance.

    Raises:
        ConfigError: Weights and optimiser alone, or the smallest piece, take more.
    """
    if bound_mb is None:
        return 1
    chance, fixed = course.chance(), fixed_bytes(course)
    tried = list(islice(epoch(0), TRIED))
    pieces, most = 1, math.inf
    while (need := peak_bytes(course, [pieces_of(each, pieces) for each in tried], loss)) < 0.95 * most:
        course.put_chance(chance)
        if fixed + need <= bound_mb * 1e6:
            return pieces
        pieces, most = pieces * 2, need
    raise ConfigError(
        f"{course.plan.label}: memory_mb is {bound_mb:g}, but weights and optimiser take {fixed / 1e6:.1f}"
        f" and the smallest piece of a batch {need / 1e6:.1f}; raise it or lower dim, max_len or batch_size"
    )


def fixed_bytes(course: Course) -> int:
    """What a training holds from the first step to the last."""
    flat = course.weights.flat
    return COPIES * flat.numel() * flat.element_size() + sum(each.nbytes for each in course.model.buffers())


def peak_bytes(
    course: Course, batches: Sequence[Sequence[tuple[T, float]]], loss: Callable[[T], Tensor]
) -> int:
    """Most bytes alive at once in forward and backward over batches in pieces, on the model's device."""
    device = course.weights.flat.device
    course.model.train()
    activities = [ProfilerActivity.CPU] + [ProfilerActivity.CUDA] * (device.type == "cuda")
    with profile(activities=activities, profile_memory=True) as measured:
        for piece, share in chain.from_iterable(batches):
            (loss(piece) * share).backward()  # type: ignore[no-untyped-call]
    course.optimiser.zero_grad(set_to_none=False)
    with TemporaryDirectory() as folder:
        path = Path(folder) / "trace.json"
        measured.export_chrome_trace(str(path))
        events = json.loads(path.read_bytes())["traceEvents"]
    kind = 1 if device.type == "cuda" else 0
    memory = [each["args"] for each in events if each.get("name") == "[memory]"]
    changes = [each for each in memory if each["Device Type"] == kind]
    alive = accumulate(each["Bytes"] for each in sorted(changes, key=lambda each: each["Ev Idx"]))
    return max(alive, default=0)
