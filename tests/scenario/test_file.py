"""Scenario files: what is read, and every mistake that is found at load."""

from pathlib import Path

import msgspec
import pytest

from polyscene.core.errors import ConfigError
from polyscene.retrieve.step import Step
from polyscene.retrieve.union import Union
from polyscene.scenario.file import load_scenario, load_scenarios, read_scenario
from polyscene.scenario.kinds import KINDS

STARTER = Path(__file__).parents[2] / "scenarios"
POPULAR = {"kind": "popular"}


def scenario(**changes: object) -> dict:
    return {"scenario": "home", "stages": [POPULAR], **changes}


def test_every_scenario_file_is_read_and_documented() -> None:
    found = load_scenarios(STARTER)
    assert {"home", "popular", "related", "new"} <= set(found)
    for path in STARTER.glob("*.toml"):
        assert path.read_text(encoding="utf-8").startswith("# ")
        assert path.stem in found
    assert found["home"].stage_names()[-1] == "explore"


def test_the_runners_keys_are_taken_out_of_the_stage() -> None:
    member = {"kind": "popular", "take": 5, "name": "top", "on_error": "skip"}
    read = read_scenario(scenario(stages=[{"kind": "union", "of": [member, {"kind": "random"}]}]), "x")
    union = read.stages[0]
    assert isinstance(union, Union)
    step = union.of[0]
    assert isinstance(step, Step)
    assert (step.called, step.take, step.on_error) == ("top", 5, "skip")
    assert read.stage_names() == ["top", "random"]


def test_a_scenario_survives_json() -> None:
    for each in load_scenarios(STARTER).values():
        again = read_scenario(msgspec.json.decode(msgspec.json.encode(each)), "manifest")
        assert again == each


def test_all_kinds_can_be_imported() -> None:
    from polyscene.core.config import find

    for kind in KINDS:
        assert find(KINDS, kind, "test").__struct_config__.tag == kind


@pytest.mark.parametrize(
    ("raw", "message"),
    [
        (scenario(slat=3), "unknown key 'slat'; did you mean 'slate'?"),
        (scenario(slate=0), "slate: Expected `int` >= 1"),
        (scenario(stages=[{"kind": "populr"}]), "unknown kind 'populr'; did you mean 'popular'?"),
        (scenario(stages=[{"kind": "popular", "taek": 3}]), "unknown key 'taek'"),
        (
            scenario(stages=[{"kind": "popular", "taek": 3, "name": "x"}]),
            "home.toml.stages[0]: unknown key",
        ),
        (scenario(stages=[{"kind": "popular", "take": 0}]), "take"),
        (scenario(stages=[]), "'stages' is empty"),
        ({"scenario": "home"}, "missing key 'stages'"),
        (scenario(stages=[{"kind": "mmr"}]), "has no candidates to work on"),
        (scenario(stages=[{"kind": "linear_ranker"}]), "has no candidates to work on"),
        (scenario(stages=[POPULAR, {"kind": "explore"}, {"kind": "mmr"}]), "put 'explore' last"),
        (scenario(stages=[POPULAR, {"kind": "mmr", "take": 3}]), "brings no candidates"),
        (scenario(stages=[POPULAR, POPULAR]), "two stages are called 'popular'"),
        (scenario(stages=[{"kind": "popular", "name": "a/b"}]), "'/' parts names"),
        (scenario(stages=[{"kind": "union", "of": [POPULAR, POPULAR]}]), "two stages are called 'popular'"),
        (scenario(positive={"a": 1.0}, negative={"a": 1.0}), "'a' is both positive and negative"),
        (scenario(positive={"a": 0.0}), "positive"),
        (scenario(where="year >"), "where: filter: expected"),
        (scenario(seen="maybe"), "seen"),
        (scenario(stages=["popular"]), "expected a table with a 'kind'"),
    ],
)
def test_mistakes_are_found_at_load(raw: dict, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        read_scenario(raw, "home.toml")
    assert message in str(caught.value)
    assert str(caught.value).startswith("home.toml")


def write(folder: Path, name: str, text: str) -> None:
    (folder / name).write_text(text, encoding="utf-8")


def toml(name: str, fallback: str = "") -> str:
    line = f'fallback = "{fallback}"\n' if fallback else ""
    return f'scenario = "{name}"\n{line}[[stages]]\nkind = "popular"\n'


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"a": toml("a", "bb"), "b": toml("b")}, "fallback 'bb' does not exist; did you mean 'b'?"),
        ({"a": toml("a", "b"), "b": toml("b", "a")}, "the fallbacks a → b → a go in a circle"),
        ({"a": toml("a", "a")}, "a → a"),
        ({"a": toml("x"), "b": toml("x")}, "stands in another file too"),
        ({"a": "scenario = "}, "can't be read as TOML"),
    ],
)
def test_mistakes_between_files(tmp_path: Path, files: dict[str, str], message: str) -> None:
    for name, text in files.items():
        write(tmp_path, f"{name}.toml", text)
    with pytest.raises(ConfigError) as caught:
        load_scenarios(tmp_path)
    assert message in str(caught.value)


def test_a_file_that_is_not_there_is_told() -> None:
    with pytest.raises(ConfigError, match=r"nowhere\.toml"):
        load_scenario(Path("nowhere.toml"))
