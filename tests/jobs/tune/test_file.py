"""What is written can be read, and says the same."""

import tomllib

from polyscene.jobs.tune.file import model_file, scenario_file
from polyscene.scenario.file import read_scenario

HOME = """
scenario = "home"
slate = 5
negative = { hide = 1.0, "odd key" = "author" }

[[stages]]
kind = "union"
of = [{ kind = "covisit", take = 8 }, { kind = "ease", take = 4, on_error = "skip", l2 = 3.0 }]

[[stages]]
kind = "explore"
epsilon = 0.2
"""


def test_a_model():
    settings = {"l2": 1e-05, "similarity": 'a "b"\n', "clip": True, "text": ["a", "b"], "dim": 3}
    assert tomllib.loads(model_file("ease", settings)) == {"kind": "ease", **settings}


def test_a_scenario_keeps_all_but_the_stage():
    raw = tomllib.loads(HOME)
    found = tomllib.loads(scenario_file(raw, "ease", "ease", {"l2": 7.5}))
    read_scenario(found, "test")
    assert found.pop("stages") == [
        {
            "kind": "union",
            "of": [raw["stages"][0]["of"][0], {"kind": "ease", "take": 4, "on_error": "skip", "l2": 7.5}],
        },
        raw["stages"][1],
    ]
    assert found == {key: value for key, value in raw.items() if key != "stages"}


def test_another_model_does_not_take_a_name_that_is_taken():
    found = tomllib.loads(scenario_file(tomllib.loads(HOME), "ease", "covisit", {"window": 3}))
    assert read_scenario(found, "test").stage_names() == ["covisit", "tuned", "explore"]
