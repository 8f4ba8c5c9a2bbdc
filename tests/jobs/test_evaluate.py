"""The evaluate job on tiny files: its form, its refusals, its honesty."""

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import msgspec
import numpy as np
import pytest

from polyscene.core.answer import answer
from polyscene.core.config import Config, read
from polyscene.core.contracts import Effect, silent
from polyscene.core.errors import ConfigError, DataError
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import split
from polyscene.evaluate.beyond import item_facts
from polyscene.evaluate.report import terminal
from polyscene.jobs.evaluate import EvaluateRequest, evaluate
from polyscene.jobs.exam import Exam
from polyscene.models.popular import Popular
from polyscene.models.table import KINDS

USERS, ITEMS, STEPS = 60, 30, 8


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Everybody walks the same circle of items from some start, a step every hour."""
    place = tmp_path_factory.mktemp("walkers")
    rows = ["user,item,timestamp"]
    for user in range(USERS):
        rows += [
            f"u{user:02},i{(user * 7 + step) % ITEMS:02},{1_700_000_000 + 3600 * step + user}"
            for step in range(STEPS)
        ]
    (place / "events.csv").write_text("\n".join(rows))
    return place


@pytest.fixture(scope="module")
def request_of(folder):
    return EvaluateRequest(data=str(folder), model="covisit", ks=(5, 10))


@pytest.fixture(scope="module")
def result(request_of):
    return evaluate(request_of)


def test_the_result_has_the_agreed_form(result):
    assert list(result)[:12] == [
        "data",
        "users",
        "items",
        "events",
        "split",
        "model",
        "config",
        "metrics",
        "intervals",
        "fit_seconds",
        "fit_cpu_seconds",
        "score_seconds",
    ]
    assert set(result) >= {"peak_mb", "baselines", "comparison", "warnings", "seed", "fit_on"}
    assert (result["users"], result["items"], result["events"]) == (USERS, ITEMS, USERS * STEPS)
    assert result["split"]["protocol"] == "loo"
    assert len(result["split"]["digest"]) == 64
    assert result["config"]["kind"] == "covisit"
    assert result["fit_on"] == "all"
    assert json.loads(msgspec.json.encode(result))["model"] == "covisit"


def test_who_foretells_ratings_is_measured_by_them_too(tmp_path, capsys):
    rows = ["user,item,rating,timestamp"]
    rows += [
        f"u{user},i{(user + step) % 10},{1 + 4 * (step % 2)},{1_700_000_000 + step}"
        for user in range(20)
        for step in range(10)
    ]
    (tmp_path / "events.csv").write_text("\n".join(rows))
    request = EvaluateRequest(data=str(tmp_path), model="svd", settings={"epochs": "0"}, ks=(5,))
    found = evaluate(request)
    assert found["metrics"]["rmse"] == pytest.approx(2, abs=0.5), "the mean of ones and fives is 2 away"
    assert "rmse" not in found["baselines"]["popular"]["metrics"]
    terminal(found)
    assert "rmse" in capsys.readouterr().out


def test_a_world_where_all_walk_alike_is_solved_by_transitions(result):
    assert result["metrics"]["hr@5"] == 1.0
    assert result["metrics"]["ndcg@5"] > 0.9
    low, high = result["intervals"]["ndcg@5"]
    assert low <= result["metrics"]["ndcg@5"] <= high


def test_baselines_stand_beside_with_paired_gaps(result):
    assert list(result["baselines"]) == ["popular", "recent_popular", "transitions"]
    gap = result["comparison"]["popular"]["ndcg@5"]
    assert gap["low"] > 0
    expected = result["metrics"]["ndcg@5"] - result["baselines"]["popular"]["metrics"]["ndcg@5"]
    assert gap["difference"] == pytest.approx(expected)


def test_any_kind_can_stand_beside(request_of):
    found = evaluate(replace(request_of, baselines=False, against=("popular", "ease")))
    assert list(found["baselines"]) == list(found["comparison"]) == ["popular", "ease"]
    with pytest.raises(ConfigError, match="--against: unknown kind 'eese'; did you mean 'ease'"):
        evaluate(replace(request_of, against=("eese",)))
    with pytest.raises(ConfigError, match=r"--against: 'dcn' is a ranker: .* a stage behind them"):
        evaluate(replace(request_of, against=("dcn",)))


def test_equal_seeds_give_equal_figures(request_of, result):
    again = evaluate(replace(request_of, baselines=False))
    assert again["metrics"] == result["metrics"]
    assert again["intervals"] == result["intervals"]
    assert again["split"] == result["split"]
    assert again["baselines"] == {}


def test_a_model_below_a_baseline_is_warned_about(request_of):
    warnings = evaluate(replace(request_of, model="random"))["warnings"]
    assert any(line.startswith("random is below transitions: ndcg@5") for line in warnings)
    assert any(line.startswith("only 60 queries") for line in warnings)


def test_on_valid_it_learns_from_the_training_part(request_of):
    found = evaluate(replace(request_of, model="popular", on="valid", baselines=False))
    assert (found["on"], found["fit_on"]) == ("valid", "train")


def test_learning_from_the_part_that_is_asked_is_refused(request_of):
    with pytest.raises(ConfigError, match="learn from what it is asked; use --fit-on train"):
        evaluate(replace(request_of, on="valid", fit_on="all"))


def test_settings_reach_the_config(request_of):
    found = evaluate(replace(request_of, model="ease", settings={"l2": "12.5"}, baselines=False))
    assert found["config"]["l2"] == 12.5


def test_an_unknown_setting_names_the_nearest(request_of):
    with pytest.raises(ConfigError, match="--model ease: unknown key 'max_item'; did you mean 'max_items'"):
        evaluate(replace(request_of, model="ease", settings={"max_item": "1"}))


def test_an_unknown_model_names_the_nearest(request_of):
    with pytest.raises(ConfigError, match="unknown kind 'pupular'; did you mean 'popular'"):
        evaluate(replace(request_of, model="pupular"))


@pytest.mark.parametrize("both", [{"model": None}, {"scenario": "home.toml"}])
def test_exactly_one_thing_is_evaluated(request_of, both):
    with pytest.raises(ConfigError, match="either a model"):
        evaluate(replace(request_of, **both))


@pytest.mark.parametrize("ks", [(), (0,), (10, -1)])
def test_cut_offs_are_checked(request_of, ks):
    with pytest.raises(ConfigError, match="cut-offs"):
        evaluate(replace(request_of, ks=ks))


@pytest.mark.parametrize("protocol", ["time", "strong", "random"])
def test_every_protocol_runs(request_of, protocol):
    found = evaluate(replace(request_of, model="popular", protocol=protocol))
    assert found["queries"] > 0
    assert 0 <= found["metrics"]["recall@10"] <= 1


def test_data_without_a_clock_has_no_global_time(tmp_path):
    rows = [f"u{user},i{(user + step) % 9},{step}" for user in range(20) for step in range(6)]
    (tmp_path / "events.csv").write_text("\n".join(["user,item,position", *rows]))
    asked = EvaluateRequest(data=str(tmp_path), model="popular", ks=(5,))
    assert list(evaluate(asked)["baselines"]) == ["recent_popular", "transitions"]
    with pytest.raises(DataError, match="clock"):
        evaluate(replace(asked, protocol="time"))


def test_columns_can_be_mapped(tmp_path):
    rows = [f"{user},{(user + step) % 9},{step}" for user in range(20) for step in range(6)]
    (tmp_path / "ratings.csv").write_text("\n".join(["who,what,place", *rows]))
    mapping = {"user": "who", "item": "what", "time": "place"}
    asked = EvaluateRequest(data=str(tmp_path), model="popular", mapping=mapping, baselines=False)
    assert evaluate(asked)["users"] == 20


def test_the_page_is_written_where_it_is_asked_for(request_of, tmp_path):
    page = tmp_path / "new" / "report.html"
    evaluate(replace(request_of, html=page))
    text = page.read_text(encoding="utf-8")
    assert "covisit" in text
    assert "Where the held-out items came to stand" in text


def test_a_scenario_is_asked_as_its_clients_ask_it(request_of, tmp_path):
    path = tmp_path / "next.toml"
    path.write_text('scenario = "next"\n[[stages]]\nkind = "covisit"\n')
    found = evaluate(replace(request_of, model=None, scenario=path))
    assert found["model"] == "next"
    assert found["config"]["stages"][0]["kind"] == "covisit"
    assert found["metrics"]["hr@5"] == 1.0
    assert list(found["baselines"]) == ["popular", "recent_popular", "transitions"]


def test_settings_do_not_reach_into_a_scenario(request_of, tmp_path):
    path = tmp_path / "next.toml"
    path.write_text('scenario = "next"\n[[stages]]\nkind = "popular"\n')
    with pytest.raises(ConfigError, match="change the scenario's file"):
        evaluate(replace(request_of, model=None, scenario=path, settings={"a": "1"}))


@dataclass
class Watcher:
    """Learns nothing; keeps the run it was given and asks its validation."""

    run: object = None
    score: float = -1.0
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def fit(self, data, run):
        self.run = run
        run.warnings.append("stopped before it converged")
        if run.validate is not None:
            self.score = run.validate(self)
        return self

    def __call__(self, queries, slates):
        return answer(self, queries, slates)

    def score_all(self, queries):
        last = queries.history["item"][queries.history.offsets[1:] - 1]
        return -((np.arange(queries.allowed.size)[None] - last[:, None] - 1) % ITEMS).astype(np.float32)

    def state(self):
        raise AssertionError


def exam_of(folder, valid):
    encoded = encode(load_tables(str(folder)), only_touched=True)
    parts = split(encoded.data, "loo", ids=encoded)
    return Exam(
        parts.train,
        parts.test,
        item_facts(parts.train, parts.test.queries),
        (10,),
        0,
        parts.valid if valid else None,
        silent,
    )


def test_early_stopping_is_told_how_good_a_part_is(folder):
    watcher = Watcher()
    trial = exam_of(folder, valid=True).sit("watcher", watcher)
    assert watcher.score == 1.0
    assert trial.warnings == ("watcher: stopped before it converged",)


def test_a_fit_on_everything_has_nothing_to_validate_on(folder):
    watcher = Watcher()
    exam_of(folder, valid=False).sit("watcher", watcher)
    assert watcher.run.validate is None


def test_every_baseline_is_a_known_kind():
    from polyscene.jobs.evaluate import BASELINES

    assert [read(KINDS, plan, name) for name, plan in BASELINES.items()]


def test_a_model_may_stand_in_a_file(request_of, tmp_path):
    path = tmp_path / "steps.toml"
    path.write_text('kind = "blend"\nof = [{ kind = "covisit", window = 1 }, { kind = "popular" }]\n')
    request = replace(request_of, model=str(path), settings={"of.0.last": "1"}, baselines=False)
    found = evaluate(request)
    assert (found["model"], found["config"]["kind"]) == ("steps", "blend")
    assert found["config"]["of"][0]["last"] == 1
    assert found["metrics"]["hr@5"] == 1.0


def test_who_stops_early_may_also_tune_on_the_validation_part(folder):
    parts = split(encode(load_tables(str(folder)), only_touched=True).data, "loo")
    seen = []

    class Asked(Config, frozen=True, kw_only=True, tag="asked"):
        def fit(self, data, run):
            seen.append((run.holdout, run.validate))
            return Popular().fit(data, run)

    for valid in (parts.valid, None):
        facts = item_facts(parts.train, parts.test.queries)
        Exam(parts.train, parts.test, facts, (10,), 0, valid, silent).sit("asked", Asked())
    assert seen[0][0] is parts.valid
    assert seen[0][1] is not None
    assert seen[1] == (None, None)
