"""`polyscene compare` says which model is best, `compare-scenarios` which form a scenario wants."""

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


MAP = ("--map", "user=who", "--map", "item=what", "--map", "time=when")


def test_models_stand_in_a_table_the_best_first(polyscene, circle, tmp_path):
    page = tmp_path / "page.html"
    command = ("compare", "--data", circle, *MAP, "--quiet", "--html", page)
    done = polyscene(*command, "--model", "popular", "--model", "covisit", "--model", "ease")
    assert done.returncode == 0, done.stderr
    lines = [line.split()[0] for line in done.stdout.splitlines() if line.strip() and "─" not in line]
    assert lines[1:3] == ["model", "covisit"]
    assert {"popular", "ease"} == set(lines[3:])
    assert max(map(len, done.stdout.splitlines())) <= 80
    assert "3 models on" in page.read_text(encoding="utf-8")


def test_one_model_is_no_comparison(polyscene, circle):
    done = polyscene("compare", "--data", circle, *MAP, "--model", "ease")
    assert done.returncode == 2
    assert "got 1 models; name two or more" in done.stderr
