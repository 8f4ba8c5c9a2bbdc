"""A profiler's trace of some steps of a training."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import profiler

from polyscene.artifacts.files import refused

SKIPPED, WARM, TRACED = 20, 2, 20
"""Steps that are passed over, that warm the profiler up, and that are traced."""
ROWS = 25


@contextmanager
def profiled(
    folder: Path | None, label: str, device: torch.device, steps: int
) -> Iterator[Callable[[], None]]:
    """Gives what to call after every one of `steps` steps; nothing is traced without a folder.

    The folder gets ``LABEL.trace.json``, for chrome://tracing or Perfetto, and ``LABEL.txt`` with the
    operations that took most time. Of several trainings with one label the last one's stay.
    """
    if folder is None:
        yield lambda: None
        return
    with refused(folder, "make a folder for the profile"):
        folder.mkdir(parents=True, exist_ok=True)
    activities = [profiler.ProfilerActivity.CPU]
    order = "self_cpu_time_total"
    if device.type == "cuda":
        activities.append(profiler.ProfilerActivity.CUDA)
        order = "self_device_time_total"

    def write(done: profiler.profile) -> None:
        with refused(folder, "write the profile"):
            done.export_chrome_trace(str(folder / f"{label}.trace.json"))
            table = done.key_averages().table(sort_by=order, row_limit=ROWS)
            (folder / f"{label}.txt").write_text(table, encoding="utf-8")

    skipped = max(0, min(SKIPPED, steps - WARM - TRACED))
    plan = profiler.schedule(skip_first=skipped, wait=0, warmup=WARM, active=TRACED, repeat=1)
    with profiler.profile(
        activities=activities, schedule=plan, on_trace_ready=write, record_shapes=True
    ) as running:
        yield running.step
