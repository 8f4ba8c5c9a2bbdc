"""A table with a label column: figures, a bundle that scores other files, and plain errors."""

import json

import numpy as np
import polars as pl
import pytest

from polyscene.core.errors import BundleError, ConfigError, DataError, InputError
from polyscene.jobs.classify import ClassifyRequest, classify, score

QUICK = {"dim": "4", "epochs": "30", "batch_size": "64", "learning_rate": "0.03"}


def table(rows: int = 800, seed: int = 0) -> pl.DataFrame:
    """Whether colour and shape agree decides; the price says a little, the rest nothing."""
    rng = np.random.default_rng([seed, 99])  # not the draws that the split is made of
    colour, shape = rng.integers(0, 3, (2, rows))
    bought = (colour == shape) ^ (rng.random(rows) < 0.02)
    return pl.DataFrame(
        {
            "row_id": np.arange(rows) + 10_000,
            "colour": np.array(["red", "green", "blue"])[colour],
            "shape": shape,
            "price": np.round(rng.exponential(20, rows) + 5 * bought, 2),
            "note": [f"this is what somebody wrote about row {row}" for row in range(rows)],
            "always": ["x"] * rows,
            "bought": np.where(bought, "yes", "no"),
        }
    )


@pytest.fixture
def file(tmp_path):
    path = tmp_path / "table.csv"
    table().write_csv(path)
    return path


def request(file, **more):
    return ClassifyRequest(**{"file": file, "label": "bought", "model": "fm", "settings": QUICK, **more})


def test_one_call_learns_what_no_column_alone_tells(file, tmp_path):
    result = classify(request(file, out=tmp_path / "bundle"))
    assert result["figures"]["auc"]["low"] > 0.8
    for figure in result["figures"].values():
        assert figure["low"] < figure["value"] < figure["high"]
    assert result["label"] == {"column": "bought", "negative": "no", "positive": "yes"}
    roles = {each["name"]: each["role"] for each in result["columns"]}
    assert roles == {
        "row_id": "left out",
        "colour": "words",
        "shape": "words",
        "price": "number",
        "note": "left out",
        "always": "left out",
    }
    alone = classify(request(file, model="logistic", settings={}))
    assert alone["figures"]["auc"]["high"] < result["figures"]["auc"]["low"]


def test_a_bundle_scores_another_file_and_survives_what_it_never_saw(file, tmp_path):
    classify(request(file, out=tmp_path / "bundle"))
    new = table(50, seed=1).drop("bought").with_columns(pl.lit("mauve").alias("note"))
    odd = new.with_columns(
        colour=pl.when(pl.int_range(pl.len()) < 5).then(pl.lit("mauve")).otherwise("colour"),
        price=pl.when(pl.int_range(pl.len()) < 3).then(None).otherwise("price"),
    )
    odd.write_parquet(tmp_path / "new.parquet")
    result = score(tmp_path / "new.parquet", tmp_path / "bundle", tmp_path / "scored.csv")
    assert result["rows"] == 50
    assert np.isfinite(result["chances"]).all()
    scored = pl.read_csv(tmp_path / "scored.csv")
    np.testing.assert_allclose(scored["chance"], result["chances"], atol=1e-6)
    agree = (table(50, seed=1)["bought"] == "yes").to_numpy()[5:]
    assert ((result["chances"][5:] > 0.5) == agree).mean() > 0.8
    with pytest.raises(InputError, match="never written over"):
        score(tmp_path / "new.parquet", tmp_path / "bundle", tmp_path / "scored.csv")
    new.drop("shape").write_csv(tmp_path / "short.csv")
    with pytest.raises(DataError, match=r"short\.csv: column 'shape' is missing"):
        score(tmp_path / "short.csv", tmp_path / "bundle")
    with pytest.raises(BundleError, match="never overwritten"):
        classify(request(file, out=tmp_path / "bundle"))


def test_equal_seeds_give_equal_figures_and_a_split_column_is_kept_to(file, tmp_path):
    first, second = classify(request(file, seed=3)), classify(request(file, seed=3))
    assert first["figures"] == second["figures"]
    parts = np.resize(["train", "train", "train", "valid", "test"], 800)
    table().with_columns(pl.Series("part", parts)).write_csv(tmp_path / "split.csv")
    result = classify(request(tmp_path / "split.csv", split="part"))
    assert result["rows"] == {"train": 480, "valid": 160, "test": 160}
    assert "part" not in {each["name"] for each in result["columns"]}


def test_what_makes_figures_doubtful_is_said(tmp_path):
    leak = table().select("colour", "bought", made=pl.col("bought").str.to_uppercase())
    leak.write_csv(tmp_path / "leak.csv")
    result = classify(request(tmp_path / "leak.csv"))
    assert any("too good to be true" in each for each in result["warnings"])
    assert any("stand in the training part too" in each for each in result["warnings"])


def test_rows_without_a_label_are_left_out_and_counted(tmp_path):
    gone = pl.when(pl.int_range(pl.len()) % 4 == 0).then(None).otherwise("bought").alias("bought")
    table().with_columns(gone).write_csv(tmp_path / "gone.csv")
    result = classify(request(tmp_path / "gone.csv"))
    assert sum(result["rows"].values()) == 600
    assert any("200 rows have no 'bought'" in each for each in result["warnings"])


@pytest.mark.parametrize(
    ("more", "error", "said"),
    [
        ({"label": "bougt"}, DataError, "did you mean 'bought'"),
        ({"label": "colour"}, DataError, "has 3 different values"),
        ({"label": "always"}, DataError, "has 1 different values"),
        ({"split": "colour"}, DataError, "expected train, valid and test"),
        ({"split": "part"}, DataError, "no column 'part' to split by"),
        ({"columns": {"price": "amount"}}, DataError, "'amount' is no role"),
        ({"columns": {"prise": "log"}}, DataError, "did you mean 'price'"),
        ({"model": "din", "settings": {}}, ConfigError, "reads histories"),
        ({"model": "linear_ranker"}, ConfigError, "learns from slates only"),
        ({"settings": {"epoch": "3"}}, ConfigError, "did you mean 'epochs'"),
        ({"test_share": 0.001}, DataError, "rows for the test part"),
    ],
)
def test_what_it_cannot_work_with_is_told(file, more, error, said):
    with pytest.raises(error, match=said):
        classify(request(file, **more))


def test_files_that_are_none_are_told(tmp_path):
    with pytest.raises(DataError, match="no such file"):
        classify(request(tmp_path / "none.csv"))
    (tmp_path / "empty.csv").write_text("")
    with pytest.raises(DataError, match=r"empty\.csv"):
        classify(request(tmp_path / "empty.csv"))
    table().select("always", "bought").write_csv(tmp_path / "bare.csv")
    with pytest.raises(DataError, match="no column is left to learn from"):
        classify(request(tmp_path / "bare.csv"))


def test_a_foreign_bundle_is_refused(file, tmp_path):
    classify(request(file, out=tmp_path / "bundle"))
    text = (tmp_path / "bundle" / "manifest.json").read_text()
    assert json.loads(text)["kind"] == "classifier"
    with pytest.raises(BundleError, match=r"no bundle|missing"):
        score(file, tmp_path / "nothing")
