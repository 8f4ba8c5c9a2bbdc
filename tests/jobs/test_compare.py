"""Several models asked the same questions."""

import pytest

from polyscene.core.errors import ConfigError, DataError
from polyscene.dataset.protocols import PROTOCOLS as SPLITS
from polyscene.evaluate.page import PROTOCOLS
from polyscene.jobs.compare import compare_models
from polyscene.jobs.evaluate import EvaluateRequest, evaluate

STEPS, USERS, ITEMS = 8, 60, 12


@pytest.fixture(scope="module")
def walkers(tmp_path_factory):
    """Everybody walks the same circle, each from a place of their own."""
    folder = tmp_path_factory.mktemp("walkers")
    rows = ["user,item,time"]
    for user in range(USERS):
        rows += [f"u{user},i{(user + step) % ITEMS},{1_000_000 * step + user}" for step in range(STEPS)]
    (folder / "events.csv").write_text("\n".join(rows))
    return str(folder)


@pytest.fixture(scope="module")
def found(walkers):
    return compare_models(
        EvaluateRequest(data=walkers, ks=(5,)), ["popular", "covisit", "content_knn", "ease"]
    )


def test_the_best_stands_first_and_gaps_are_to_it(found):
    values = [each["metrics"]["ndcg@5"] for each in found["models"]]
    assert values == sorted(values, reverse=True)
    assert found["models"][0]["model"] == "covisit"
    assert found["models"][0]["gap"] is None
    for each in found["models"][1:]:
        assert each["gap"]["difference"] == pytest.approx(each["metrics"]["ndcg@5"] - values[0])
        assert each["gap"]["high"] < 0


def test_figures_are_those_of_evaluate(found, walkers):
    alone = evaluate(EvaluateRequest(data=walkers, ks=(5,), model="ease", baselines=False))
    ours = next(each for each in found["models"] if each["model"] == "ease")
    assert ours["metrics"] == alone["metrics"]
    assert ours["intervals"] == alone["intervals"]
    assert found["split"] == alone["split"]


def test_costs_are_measured(found):
    by_name = {each["model"]: each for each in found["models"]}
    assert by_name["ease"]["size_mb"] == pytest.approx((ITEMS * ITEMS * 4 + ITEMS * 4) / 1e6, rel=0.2)
    assert all(each["request_ms"] > 0 for each in found["models"])


def test_what_cannot_be_fitted_is_left_out_with_the_reason(walkers, tmp_path):
    (tmp_path / "lost.toml").write_text('kind = "content_knn"\ntext = ["title"]\n')
    models = ["popular", "covisit", str(tmp_path / "lost.toml")]
    found = compare_models(EvaluateRequest(data=walkers, ks=(5,)), models)
    assert [each["model"] for each in found["models"]] == ["covisit", "popular"]
    assert "title" in found["failed"]["lost"]
    (tmp_path / "gone.toml").write_text((tmp_path / "lost.toml").read_text())
    lost = [str(tmp_path / name) for name in ("lost.toml", "gone.toml")]
    with pytest.raises(DataError, match="no model could be fitted"):
        compare_models(EvaluateRequest(data=walkers), lost)


def test_files_of_one_name_are_told_apart(walkers, tmp_path):
    for folder, l2 in (("a", 1.0), ("b", 99.0)):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / "ease.toml").write_text(f'kind = "ease"\nl2 = {l2}\n')
    files = [str(tmp_path / folder / "ease.toml") for folder in ("a", "b")]
    found = compare_models(EvaluateRequest(data=walkers, ks=(5,)), [*files, "popular"])
    assert {each["model"] for each in found["models"]} == {*files, "popular"}


def test_one_is_refused(walkers):
    with pytest.raises(ConfigError, match="got 1 models"):
        compare_models(EvaluateRequest(data=walkers), ["ease", "ease"])


def test_every_protocol_has_a_sentence_on_the_pages():
    assert PROTOCOLS.keys() == SPLITS.keys()
