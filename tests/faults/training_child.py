"""Fits a small network with checkpoints, then without; says every step, and all warnings of a fit."""

import sys
from functools import partial
from pathlib import Path

import safetensors.numpy

from polyscene.core.contracts import Run, Training
from polyscene.models.sasrec import SasRec
from polyscene.testing.worlds import noise

say = partial(print, flush=True)


class Bar:
    """Tells of every step, so that the parent can kill at one."""

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return None

    def advance(self, steps=1, note=""):
        say("step")


def fit(checkpoint, output):
    config = SasRec(
        dim=8, layers=1, max_len=8, batch_size=16, epochs=3, loss="sampled", negatives=4, patience=99
    )
    run = Run(
        seed=5,
        threads=1,
        progress=lambda label, total: Bar(),
        validate=lambda part: -abs(part.network.items.sum().item()),
        training=Training(checkpoint=checkpoint, checkpoint_s=0.0),
    )
    part = config.fit(noise(), run)
    output.write_bytes(safetensors.numpy.save(dict(part.state().tensors)))
    say("warnings", *run.warnings)


root = Path(sys.argv[1])
fit(root, root / "broken.safetensors")
fit(None, root / "whole.safetensors")
