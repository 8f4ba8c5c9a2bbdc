"""`polyscene compare-scenarios` says which form to serve in each scenario."""

import json

import polars as pl
import pytest

from polyscene.testing.worlds import scenes

SMALL = ("dim=16", "layers=1", "max_len=16", "batch_size=256", "epochs=4", "learning_rate=0.02")


@pytest.fixture
def shop(tmp_path):
    """The walks of `scenes`, each first step to an item only: a repeat is dropped."""
    data = scenes(users=160)
    table = data.histories
    rows = {"user": table.rows(), "item": table["item"], "time": 1_700_000_000 + table["time"]}
    named = [data.scenarios[code] for code in table["scenario"].tolist()]
    pl.DataFrame({**rows, "scenario": named}).write_csv(tmp_path / "events.csv")
    return tmp_path


def test_each_scenario_stands_with_three_forms_and_a_verdict(polyscene, shop):
    sets = [f"--set=base.{each}" for each in SMALL]
    command = ("compare-scenarios", "--data", shop, *sets, "--set=epochs=1", "--quiet")
    done = polyscene(*command, "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)["scenarios"]
    assert [row["scenario"] for row in rows] == ["cart", "home"]
    for row in rows:
        assert row["ndcg@10"].keys() == {"own", "joint", "adapted"}
        assert row["gaps"]["joint - own"]["low"] <= row["gaps"]["joint - own"]["high"]
        assert row["best"] in {"own", "joint", "adapted"} - set(row["harmed"])


def test_what_has_no_three_forms_is_refused(polyscene, circle, shop):
    other = polyscene("compare-scenarios", "--data", shop, "--model", "popular")
    assert other.returncode == 2
    assert "'popular' is not of kind 'adapted'" in other.stderr
    lone = polyscene(
        "compare-scenarios",
        "--data",
        circle,
        "--map",
        "user=who",
        "--map",
        "item=what",
        "--map",
        "time=when",
    )
    assert lone.returncode == 2
    assert "circle" in lone.stderr
    assert "--map scenario=COLUMN" in lone.stderr
