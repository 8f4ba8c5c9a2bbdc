from typing import Annotated, Literal

import msgspec
import pytest

from polyscene.core.config import Config, fill, kind_of, load_config, read, to_json, with_settings
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
        ({"kind": "TF-IDF"}, "here: unknown kind 'TF-IDF'; known: branch, leaf"),
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


def test_settings_reach_into_nested_configs():
    config = Branch(of=(Leaf(), Leaf(name="b")))
    changed = with_settings(
        config, {"of.1.rate": "2", "of.1.name": "c", "only.mode": "fast"}, "here", KINDS
    )
    assert changed == Branch(of=(Leaf(), Leaf(rate=2, name="c")), only=Leaf(mode="fast"))
    texts = {"of": '[{"kind": "leaf"}, {"kind": "branch", "of": []}]', "of.0.rate": "3", "take": "1"}
    assert with_settings(config, texts, "here", KINDS) == Branch(of=(Leaf(rate=3), Branch(of=())), take=1)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"of.2.rate": "1"}, r"here.of: nothing can be set at '2.rate'; it holds 2 configs"),
        ({"of.x": "1"}, "here.of: nothing can be set at 'x'"),
        ({"take.x": "1"}, "here.take: nothing can be set at 'x'; it holds 0 configs"),
        ({"of.0.rat": "1"}, r"here.of\[0\]: unknown key 'rat'; did you mean 'rate'"),
        ({"of.0": "1"}, r"here.of\[0\]: unknown key ''"),
        ({"of": "leaf"}, "here.of: expected a list of tables, got str"),
        ({"only": '{"kind": "lef"}'}, "here.only: unknown kind 'lef'; did you mean 'leaf'"),
    ],
)
def test_bad_settings_of_nested_configs_say_where(settings, message):
    with pytest.raises(ConfigError, match=message):
        with_settings(Branch(of=(Leaf(), Leaf())), settings, "here", KINDS)


def test_a_config_may_stand_in_a_file(tmp_path):
    path = tmp_path / "leaf.toml"
    path.write_text('kind = "leaf"\nrate = 2.0')
    assert load_config(path, KINDS) == Leaf(rate=2.0)
    path.write_text("rate = 2.0")
    with pytest.raises(ConfigError, match=r"leaf.toml: 'kind' is missing"):
        load_config(path, KINDS)
    with pytest.raises(ConfigError, match=r"gone.toml: can't be read as TOML"):
        load_config(tmp_path / "gone.toml", KINDS)
