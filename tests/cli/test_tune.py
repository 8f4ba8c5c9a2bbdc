"""`polyscene tune` shows, explains and writes its choice; its limits have units."""

import tomllib

import pytest

from polyscene.cli.tune import MEGABYTES, MILLISECONDS, SECONDS, measured
from polyscene.core.errors import InputError

MAP = ("--map", "user=who", "--map", "item=what", "--map", "time=when")


def test_a_choice_is_shown_and_written(polyscene, circle, tmp_path):
    page, file = tmp_path / "reports" / "page.html", tmp_path / "choice.toml"
    command = (
        "tune",
        "--data",
        circle,
        *MAP,
        "--model",
        "ease",
        "--trials",
        2,
        "--budget",
        "10m",
        "--quiet",
    )
    where = ("--study", tmp_path / "study.jsonl", "--latency", "5s", "--memory", "4g")
    done = polyscene(*command, *where, "--html", page, "--write", file)
    assert done.returncode == 0, done.stderr
    assert "chosen: --model ease" in done.stdout
    assert "study: " in done.stderr
    assert "Best so far" in page.read_text()
    chosen = tomllib.loads(file.read_text())
    assert chosen.pop("kind") == "ease"
    assert all(f"l2={value}" in done.stdout for value in chosen.values())


def test_limits_are_numbers_with_units():
    assert measured("30m", SECONDS, "--budget") == 1800
    assert measured(" 1.5H", SECONDS, "--budget") == 5400
    assert measured("4g", MEGABYTES, "--memory") == 4000
    assert measured("0.5s", MILLISECONDS, "--latency") == 500


@pytest.mark.parametrize("text", ["30", "m", "0m", "-3m", "3 m", "3x", "1e3s", ""])
def test_other_limits_are_refused(text):
    with pytest.raises(InputError, match=r"--budget .*: expected a number above 0 with a unit \(s, m, h\)"):
        measured(text, SECONDS, "--budget")
