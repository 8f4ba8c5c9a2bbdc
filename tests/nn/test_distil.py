"""Soft targets: the fused loss beside its plain twin, and a student that hears its teacher."""

import numpy as np
import pytest
import torch

from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.models.foundation import Foundation
from polyscene.models.sasrec import SasRec
from polyscene.nn import distil
from polyscene.nn.distil import Wish, plain_taught_softmax, taught_softmax
from polyscene.testing import worlds

SMALL = {"dim": 16, "layers": 2, "epochs": 20, "max_len": 12, "batch_size": 128, "learning_rate": 0.02}


@pytest.mark.parametrize("cells", [1, 500_000])
@pytest.mark.parametrize("weight", [0.3, 1.0])
def test_the_fused_loss_is_the_plain_one(monkeypatch, cells, weight):
    monkeypatch.setattr(distil, "CHUNK_CELLS", cells)
    chance = torch.Generator().manual_seed(0)
    hidden, items, elder, elder_items = (
        torch.randn(rows, width, generator=chance) for rows, width in ((150, 4), (9, 4), (150, 6), (9, 6))
    )
    targets = torch.randint(0, 9, (150,), generator=chance)
    wish = Wish(elder, elder_items, weight)
    found = []
    for loss in (taught_softmax, plain_taught_softmax):
        inputs = hidden.clone().requires_grad_(), items.clone().requires_grad_()
        value = loss(*inputs, targets, wish)
        value.backward()
        found.append((value.detach(), inputs[0].grad, inputs[1].grad))
    for ours, theirs in zip(*found, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-6, rtol=1e-4)


@pytest.mark.parametrize("kind", [Foundation, SasRec])
def test_a_student_comes_near_to_its_teacher(kind):
    """Of students of half the width that learned for an epoch, the taught one agrees more."""
    data, queries = worlds.chain().data, worlds.chain().queries
    extra = {"evidence": None, "heads": 1} if kind is Foundation else {}
    teacher = kind(**SMALL, **extra).fit(data, Run())
    config = kind(**{**SMALL, "dim": 8, "layers": 1, "epochs": 3}, **extra)
    taught = config.distil(teacher, data, Run(), 1.0)
    alone = config.fit(data, Run())
    wanted, *found = (
        torch.tensor(each.score_all(queries)).log_softmax(1).exp().numpy()
        for each in (teacher, taught, alone)
    )
    gaps = [np.abs(each - wanted).mean() for each in found]
    assert gaps[0] < gaps[1]


def test_what_can_teach_nothing_is_told_so():
    tiny, other = worlds.chain(), worlds.checkerboard()
    for kind in (Foundation, SasRec):
        quick = {"dim": 8, "heads": 1, "layers": 1, "epochs": 0}
        teacher = kind(**quick).fit(tiny.data, Run())
        with pytest.raises(ConfigError, match="fit it again on"):
            kind(**quick).distil(teacher, other.data, Run(), 0.5)
    with pytest.raises(ConfigError, match="loss 'bpr' compares no probabilities"):
        SasRec(**quick, loss="bpr").distil(teacher, tiny.data, Run(), 0.5)
