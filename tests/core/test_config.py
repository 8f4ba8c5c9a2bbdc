from typing import Annotated, Literal

import msgspec
import pytest

from polyscene.core.config import Config, fill, kind_of, read, to_json, with_settings
from polyscene.core.errors import ConfigError


class Leaf(Config, frozen=True, kw_only=True, tag="leaf"):
    rate: Annotated[float, msgspec.Meta(gt=0)] = 0.5
    mode: Literal["fast", "exact"] = "exact"
    name: str | None = None


class Branch(Config, frozen=True, kw_only=True, tag="branch"):
    of: tuple[Config, ...]
    only: Leaf = Leaf()
    take: int = 3


KINDS = {"leaf": f"{__name__}:Leaf", "branch": f"{__name__}:Branch"}


@pytest.fixture(autouse=True)
def _findable(monkeypatch):
    import sys
    from types import ModuleType

    module = ModuleType("kinds_under_test")
    module.Leaf, module.Branch = Leaf, Branch
    monkeypatch.setitem(sys.modules, "kinds_under_test", module)
    for kind, path in KINDS.items():
        monkeypatch.setitem(KINDS, kind, f"kinds_under_test:{path.partition(':')[2]}")


def test_nested_configs_survive_json():
    config = Branch(of=(Leaf(rate=2.0), Branch(of=())), take=7)
    raw = to_json(config)
    assert raw["of"][0] == {"kind": "leaf", "rate": 2.0, "mode": "exact", "name": None}
    assert read(KINDS, raw, "here") == config
    assert kind_of(config) == "branch"


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        ("leaf", "here: expected a table with a 'kind', got str"),
        ({}, "here: 'kind' is missing; known: branch, leaf"),
        ({"kind": "leaff"}, "here: unknown kind 'leaff'; did you mean 'leaf'?"),
        ({"kind": ["leaf"]}, "here: unknown kind"),
        ({"kind": "leaf", "raet": 1}, "here: unknown key 'raet'; did you mean 'rate'?"),
        ({"kind": "leaf", "zzz": 1}, "here: unknown key 'zzz'; known: mode, name, rate"),
        ({"kind": "leaf", "rate": 0}, r"here.rate: .*> 0.*; got 0"),
        ({"kind": "leaf", "rate": "2"}, "here.rate: .*; got '2'"),
        ({"kind": "leaf", "rate": float("nan")}, "here.rate"),
        ({"kind": "leaf", "mode": "quick"}, "here.mode: .*; got 'quick'"),
        ({"kind": "branch"}, "here: missing key 'of'"),
        ({"kind": "branch", "of": {"kind": "leaf"}}, "here.of: expected a list of tables, got dict"),
        (
            {"kind": "branch", "of": [{"kind": "leaf"}, {"kind": "lef"}]},
            r"here.of\[1\]: unknown kind 'lef'",
        ),
        ({"kind": "branch", "of": [], "only": {"kind": "leaf", "rate": -1}}, "here.only.rate"),
    ],
)
def test_errors_say_where_and_what(raw, message):
    with pytest.raises(ConfigError, match=message):
        read(KINDS, raw, "here")


def test_a_single_nested_config_is_read():
    raw = {"kind": "branch", "of": [], "only": {"kind": "leaf", "rate": 3.0}}
    assert read(KINDS, raw, "here").only == Leaf(rate=3.0)
    assert fill(Branch, {"of": [Leaf()]}, "here", KINDS).of == (Leaf(),)


def test_settings_of_a_command_line_are_read_by_type():
    changed = with_settings(Leaf(), {"rate": "2", "mode": "fast", "name": "12"}, "here")
    assert changed == Leaf(rate=2.0, mode="fast", name="12")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"rat": "1"}, "unknown key 'rat'; did you mean 'rate'"),
        ({"rate": "much"}, "here.rate: .*got 'much'"),
        ({"rate": "-1"}, "here.rate: .*got '-1'"),
        ({"mode": "1"}, "here.mode: .*got '1'"),
    ],
)
def test_bad_settings_are_refused(settings, message):
    with pytest.raises(ConfigError, match=message):
        with_settings(Leaf(), settings, "here")
