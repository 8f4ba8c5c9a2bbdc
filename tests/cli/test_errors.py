"""What a person reads when something is wrong: one line that says what to do, and an exit code."""

import pytest
from tests.cli.conftest import MAP


@pytest.mark.parametrize(
    ("words", "code", "says"),
    [
        (["evaluate", "--data", "ml-1n", "--model", "ease"], 2, "ml-1m"),
        (["train", "home", "-w", "nowhere"], 2, "polyscene ingest"),
        (["recommend", "home", "-w", "nowhere"], 2, "no workspace"),
        (["bundles", "list", "-w", "nowhere"], 2, "no workspace"),
        (["scenarios", "-w", "nowhere"], 2, "no workspace"),
    ],
)
def test_a_wrong_name_is_answered_with_a_remedy(polyscene, words, code, says):
    done = polyscene(*words)
    assert done.returncode == code
    assert says in done.stderr
    assert "Traceback" not in done.stderr
    assert done.stdout == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["--model", "eese"], "did you mean 'ease'"),
        (["--model", "ease", "--set", "max_item=4"], "did you mean 'max_items'"),
        (["--model", "ease", "--set", "l2=much"], "l2"),
        (["--model", "ease", "--set", "l2"], "expected KEY=VALUE"),
        (["--model", "ease", "--set", "l2=1", "--set", "l2=2"], "twice"),
        ([], "either a model"),
    ],
)
def test_a_wrong_setting_names_the_nearest_right_one(polyscene, circle, words, says):
    done = polyscene("evaluate", "--data", circle, *MAP, *words)
    assert done.returncode == 2
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_missing_column_is_named_with_the_map_to_write(polyscene, circle):
    done = polyscene("evaluate", "--data", circle, "--model", "ease", "--map", "user=whom")
    assert done.returncode == 2
    assert "who" in done.stderr
    assert "--map" in done.stderr
