"""`polyscene classify`: one command from a CSV to figures, another from its bundle to chances."""

import json

import numpy as np
import polars as pl
import pytest


@pytest.fixture
def file(tmp_path):
    rng = np.random.default_rng(5)
    colour, shape = rng.integers(0, 3, (2, 300))
    columns = {"colour": colour.astype(str), "shape": shape.astype(str), "size": rng.random(300)}
    pl.DataFrame({**columns, "sold": (colour == shape).astype(int)}).write_csv(tmp_path / "shop.csv")
    return tmp_path / "shop.csv"


def test_a_table_becomes_figures_and_a_bundle_that_scores(polyscene, file):
    bundle = file.parent / "bundle"
    quick = ("--model", "logistic", "--set", "epochs=3", "--column", "shape=left out", "--quiet")
    done = polyscene("classify", file, "--label", "sold", *quick, "--out", bundle)
    assert done.returncode == 0, done.stderr
    assert "logistic: sold = '1'" in done.stdout
    assert all(name in done.stdout for name in ("auc", "log_loss", "accuracy", "low", "high"))
    assert "shape: left out (as told)" in done.stderr

    scored = polyscene("classify", file, "--with", bundle, "--json")
    assert scored.returncode == 0, scored.stderr
    assert len(json.loads(scored.stdout)["chances"]) == 300
    done = polyscene("classify", file, "--with", bundle, "--out", file.parent / "scored.csv")
    assert done.returncode == 0, done.stderr
    assert pl.read_csv(file.parent / "scored.csv").columns[-1] == "chance"


def test_what_is_missing_is_told_in_one_line(polyscene, file):
    done = polyscene("classify", file)
    assert done.returncode == 2
    assert (
        done.stderr.strip()
        == "polyscene: classify: give --label COLUMN to learn, or --with BUNDLE to score"
    )
    done = polyscene("classify", file, "--label", "solt")
    assert done.returncode == 2
    assert "did you mean 'sold'?" in done.stderr
