"""The form of two commands that other tools rely on."""

import json

from tests.cli.conftest import MAP

FORM = {"data", "users", "items", "events", "split", "model", "config", "metrics", "intervals"} | {
    "fit_seconds",
    "fit_cpu_seconds",
    "score_seconds",
    "peak_mb",
}


def test_evaluate_prints_one_object_and_nothing_else(polyscene, circle):
    done = polyscene(
        *("evaluate", "--data", circle, *MAP, "--protocol", "loo", "--model", "covisit"),
        *("--set", "last=1", "--set", "window=1", "--seed", 3, "--json"),
    )
    assert done.returncode == 0, done.stderr
    result = json.loads(done.stdout)
    assert result.keys() >= FORM
    assert (result["users"], result["items"], result["events"]) == (60, 12, 360)
    assert result["split"]["protocol"] == "loo"
    assert len(result["split"]["digest"]) == 64
    assert (result["config"]["last"], result["config"]["window"]) == (1, 1)
    assert result["metrics"]["hr@10"] == 1.0
    assert result["metrics"]["ndcg@10"] == 1.0  # the next of the circle is certain
    assert {"recall@10", "coverage@10"} <= result["metrics"].keys()


def test_a_training_leaves_its_traces_and_is_not_made_twice(polyscene, circle, tmp_path):
    small = [f"--set={each}" for each in ("dim=8", "layers=1", "epochs=2", "batch_size=16")]
    folders = (
        *("--checkpoint", tmp_path / "c", "--tensorboard", tmp_path / "t"),
        "--profile",
        tmp_path / "p",
    )
    command = ("evaluate", "--data", circle, *MAP, "--model", "sasrec", *small, "--no-baselines", "--json")
    done, again, bound = (
        polyscene(*command, *folders),
        polyscene(*command, "--checkpoint", tmp_path / "c"),
        polyscene(*command, "--memory-mb", 1),
    )
    assert done.returncode == 0, done.stderr
    assert "Self CPU" in done.stderr
    assert (tmp_path / "p" / "sasrec.trace.json").exists()
    assert list(tmp_path.glob("t/sasrec-*/events.out.tfevents.*"))
    assert list(tmp_path.glob("c/sasrec-*/curve.jsonl"))
    first, second = json.loads(done.stdout), json.loads(again.stdout)
    assert first["metrics"] == second["metrics"]
    assert "sasrec: sasrec: went on from step" in second["warnings"][0]
    assert bound.returncode == 0 or "memory_mb is 1" in bound.stderr


def test_a_tuned_model_says_so_on_validation(polyscene, circle):
    done = polyscene(
        *(
            "evaluate",
            "--data",
            circle,
            *MAP,
            "--model",
            "popular",
            "--on",
            "valid",
            "--no-baselines",
            "--json",
        )
    )
    result = json.loads(done.stdout)
    assert (result["on"], result["fit_on"]) == ("valid", "train")
    assert result["baselines"] == {}


def test_time_is_refused_where_there_is_only_an_order(polyscene, circle):
    done = polyscene(
        *(
            "evaluate",
            "--data",
            circle,
            "--map",
            "user=who",
            "--map",
            "item=what",
            "--map",
            "time=position",
        ),
        *("--protocol", "time", "--model", "popular", "--json"),
    )
    assert done.returncode == 2
    assert done.stdout == ""
    assert "no clock" in done.stderr


def test_models_lists_what_each_can_and_needs(polyscene):
    rows = json.loads(polyscene("models", "--json").stdout)
    keys = {
        "kind",
        "role",
        "family",
        "source",
        "cold_users",
        "cold_items",
        "holds_users",
        "logits",
        "needs",
    }
    assert all(row.keys() == keys for row in rows if row["role"] == "model")
    assert "linear_ranker" in {row["kind"] for row in rows if row["role"] == "ranker"}
    kinds = {row["kind"] for row in rows}
    assert {
        "random",
        "popular",
        "recent_popular",
        "covisit",
        "item_knn",
        "user_knn",
        "ease",
        "ials",
    } <= kinds


def test_models_for_a_person_stand_by_family_with_their_limits(polyscene):
    lines = polyscene("models").stdout.splitlines()
    neighbours = lines[lines.index("neighbours") :]
    assert any(line.split()[0] == "content_knn" and line.endswith("[+]") for line in neighbours if line)
    assert any(line == "listwise (rankers)" for line in lines)


def test_a_prepared_folder_gives_the_figures_of_its_source(polyscene, circle, tmp_path):
    made = polyscene(
        *(
            "data",
            "prepare",
            circle,
            tmp_path / "out",
            *MAP,
            "--for",
            "evaluate",
            "--memory-mb",
            64,
            "--json",
        )
    )
    assert made.returncode == 0, made.stderr
    assert json.loads(made.stdout)["events"] == 360
    options = ("--model", "covisit", "--no-baselines", "--json")
    ours, theirs = (
        json.loads(polyscene("evaluate", "--data", *source, *options).stdout)
        for source in ((tmp_path / "out",), (circle, *MAP))
    )
    for name in ("data", "users", "items", "events", "split", "metrics"):
        assert ours[name] == theirs[name]


def test_a_folder_prepared_for_training_is_refused_with_the_command_to_run(polyscene, circle, tmp_path):
    assert polyscene("data", "prepare", circle, tmp_path / "out", *MAP).returncode == 0
    done = polyscene("evaluate", "--data", tmp_path / "out", "--model", "popular")
    assert done.returncode != 0
    assert "--for evaluate" in " ".join(done.stderr.split())
