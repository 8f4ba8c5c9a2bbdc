"""`polyscene compress` prints both forms as a table or as JSON, and says what it wants."""

import json

MAP = ("--map", "user=who", "--map", "item=what", "--map", "time=when")


def test_both_forms_stand_in_a_table(polyscene, circle):
    command = ("compress", "--data", circle, "--model", "ease", *MAP, "--method", "prune_links:keep=3")
    done = polyscene(*command, "--method", "int8", "--quiet")
    assert done.returncode == 0, done.stderr
    assert "CPU ms a request: scan" in done.stdout
    assert "queries, paired, 95 %" in done.stderr
    done = polyscene(*command, "--json", "--quiet")
    result = json.loads(done.stdout)
    assert result["methods"] == [{"kind": "prune_links", "keep": 3}]
    assert result["before"]["encode_ms"] is None
    assert result["after"]["size_mb"] < result["before"]["size_mb"]
    assert result["gap"]["low"] <= result["gap"]["difference"] <= result["gap"]["high"]


def test_what_is_missing_is_said(polyscene, circle):
    for words, says in (
        (("--data", circle, "--model", "ease"), "no method; name one or more (--method): int8, bf16"),
        (("--method", "int8"), "give either a scenario of a workspace, or --data and --model"),
        (("home", "--method", "int9"), "unknown method 'int9'; did you mean 'int8'"),
    ):
        done = polyscene("compress", *words)
        assert done.returncode == 2
        assert says in done.stderr
