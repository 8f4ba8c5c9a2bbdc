"""The machine under a training: device, threads, and how torch multiplies matrices."""

import logging
import math
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache

import torch

from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError

log = logging.getLogger(__name__)


@contextmanager
def settled(run: Run) -> Iterator[torch.device]:
    """The device of `run`, with threads and matmul precision set; both are put back afterwards.

    ``threads=0`` means `paying_threads`. Equal seeds give equal weights for equal numbers of threads.

    Raises:
        ConfigError: The device does not exist here.
    """
    device = device_of(run)
    threads, precision = torch.get_num_threads(), torch.get_float32_matmul_precision()
    torch.set_num_threads(run.threads or paying_threads())
    torch.set_float32_matmul_precision(cpu_precision() if device.type == "cpu" else "highest")
    try:
        yield device
    finally:
        torch.set_num_threads(threads)
        torch.set_float32_matmul_precision(precision)


def device_of(run: Run) -> torch.device:
    """The torch device that `run` names.

    Raises:
        ConfigError: Unknown device, or a GPU where torch sees none.
    """
    try:
        device = torch.device(run.device)
    except RuntimeError as problem:
        raise ConfigError(f"device: {run.device!r} is unknown to torch; use 'cpu' or 'cuda'") from problem
    if device.type == "cuda" and not torch.cuda.is_available():
        raise ConfigError(f"device: {run.device!r} was asked for, but torch sees no GPU here; use 'cpu'")
    return device


@cache
def paying_threads() -> int:
    """All of torch's threads where they are faster together, else 1; measured once a process.

    Torch has all cores, or what OMP_NUM_THREADS says. On a busy machine, or in a container with less
    time than cores, threads that wait for one another in every product made a training 12 times slower
    than one thread alone.
    """
    most = torch.get_num_threads()
    alone_ms, together_ms = _wall_ms(1), _wall_ms(most) if most > 1 else math.inf
    chosen = most if together_ms * 1.2 < alone_ms else 1
    log.info("threads: %d (1: %.1f ms, %d: %.1f ms)", chosen, alone_ms, most, together_ms)
    return chosen


def _wall_ms(threads: int) -> float:
    """Wall time of products and softmaxes as in a training step, busy neighbours included."""
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    chance = torch.Generator().manual_seed(0)
    hidden, items = (torch.randn(rows, 64, generator=chance) for rows in (256, 4096))
    try:
        (hidden @ items.mT).softmax(1)
        began = time.perf_counter()
        for _ in range(20):
            (hidden @ items.mT).softmax(1) @ items
        return (time.perf_counter() - began) * 1e3
    finally:
        torch.set_num_threads(before)


@cache
def cpu_precision() -> str:
    """``"medium"`` where that is faster and still float32, else ``"highest"``; measured once a process.

    "medium" lets torch pick another kernel library. On some processors that one is up to five times
    faster and as exact, on others it is slower, and on those with bfloat16 tiles it loses digits.
    """
    before = torch.get_float32_matmul_precision()
    try:
        kept_ms, kept_error = _measure("highest")
        other_ms, other_error = _measure("medium")
    finally:
        torch.set_float32_matmul_precision(before)
    chosen = "medium" if other_ms * 1.2 < kept_ms and other_error < max(4 * kept_error, 2e-6) else "highest"
    log.info(
        "float32 matmul: %s (highest %.2f ms, error %.1e; medium %.2f ms, error %.1e)",
        chosen, kept_ms, kept_error, other_ms, other_error,
    )  # fmt: skip
    return chosen


def _measure(precision: str) -> tuple[float, float]:
    """CPU milliseconds and largest relative error of the products a training step is made of."""
    torch.set_float32_matmul_precision(precision)
    chance = torch.Generator().manual_seed(0)
    wide, tall, deep = (
        torch.randn(*shape, generator=chance) for shape in ((256, 64), (64, 4096), (1600, 64))
    )
    exact = wide.double() @ tall.double()
    error = float((wide @ tall - exact).abs().max() / exact.abs().max())
    square = tall[:, :64].contiguous()
    times = []
    for _ in range(5):
        began = time.thread_time()
        logits = wide @ tall
        logits @ tall.mT
        logits.mT @ wide
        deep @ square
        times.append(time.thread_time() - began)
    return min(times) * 1e3, error
