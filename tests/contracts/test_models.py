import numpy as np
import pytest

from polyscene.core.config import fill, find
from polyscene.core.contracts import Run
from polyscene.core.slates import Slates
from polyscene.models.table import KINDS
from polyscene.testing.checks import checks

from .worlds import KNOWN_FAILURES, SETTINGS, SOLVES, WORLDS


def config(kind):
    return fill(find(KINDS, kind, kind), SETTINGS.get(kind, {}), kind, KINDS)


def cases():
    for kind in KINDS:
        for name, check in checks(kind, config(kind)):
            reason = KNOWN_FAILURES.get((kind, name))
            marks = [pytest.mark.xfail(reason=reason, strict=True)] if reason else []
            yield pytest.param(check, id=f"{kind}-{name}", marks=marks)


@pytest.mark.parametrize("check", list(cases()))
def test_contract(check):
    check()


@pytest.mark.parametrize(
    ("kind", "world"), [(kind, world) for kind, names in SOLVES.items() for world in names]
)
def test_known_answer(kind, world):
    tiny = WORLDS[world]
    part = config(kind).fit(tiny.data, Run(seed=3))
    slates = part(tiny.queries, Slates.empty(len(tiny.queries)))
    for row in range(len(tiny.queries)):
        expected = tiny.answers[row]
        np.testing.assert_array_equal(slates.of(row)[: len(expected)], expected)


def test_every_model_says_which_worlds_it_solves():
    assert set(SOLVES) == set(KINDS)
