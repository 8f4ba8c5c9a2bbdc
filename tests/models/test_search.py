"""Every search space names real settings, stays within their bounds and holds their defaults."""

import msgspec
import pytest

from polyscene.core.config import find, read
from polyscene.models.search import SPACES, Choice, Real, Whole
from polyscene.models.table import KINDS


def ends(knob):
    return knob.values if isinstance(knob, Choice) else (knob.low, knob.high)


@pytest.mark.parametrize("kind", sorted(SPACES))
def test_a_space_holds_the_defaults_and_only_what_the_config_takes(kind):
    config = find(KINDS, kind, "test")()
    assert SPACES[kind].keys() <= {field.name for field in msgspec.structs.fields(type(config))}
    for name, knob in SPACES[kind].items():
        assert knob.holds(getattr(config, name)), f"{kind}.{name}: its default is outside of its space"
        for end in ends(knob):
            read(KINDS, {"kind": kind, name: end}, "test")


@pytest.mark.parametrize("kind", sorted(SPACES))
def test_there_is_something_to_choose_and_tenfold_steps_begin_above_nothing(kind):
    for name, knob in SPACES[kind].items():
        found = ends(knob)
        assert len(set(found)) > 1, f"{kind}.{name}"
        assert isinstance(knob, Choice) or knob.low < knob.high
        assert isinstance(knob, Choice) or not knob.log or knob.low > 0, f"{kind}.{name}"


def test_knobs_tell_what_they_hold():
    assert Real(0.1, 1).holds(0.1)
    assert not Real(0.1, 1).holds(1.01)
    assert Whole(1, 3).holds(3)
    assert not Whole(1, 3).holds(2.5)
    assert Choice(("a", "b")).holds("b")
    assert not Choice(("a", "b")).holds("c")
