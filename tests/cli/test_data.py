"""`polyscene data report` and `data infer`, as a person runs them."""

import json
import tomllib

from polyscene.testing.service import tiny_workspace


def test_the_command_prints_json_and_writes_the_page(polyscene, tmp_path):
    root = tiny_workspace(tmp_path / "space").root
    done = polyscene("data", "report", "-w", root, "--html", tmp_path / "page.html", "--json", "-q")
    assert done.returncode == 0, done.stderr
    report = json.loads(done.stdout)
    assert dict(report["facts"])["events"] == "96"
    assert {"severity", "topic", "title", "seen", "why", "mend"} <= set(report["findings"][0])
    assert "<h1>Quality of space</h1>" in (tmp_path / "page.html").read_text(encoding="utf-8")
    both = polyscene("data", "report", root, "-w", root)
    assert both.returncode == 2
    assert "one of the two" in both.stderr


def test_infer_prints_reasons_and_a_command_and_writes_a_mapping(polyscene, circle, tmp_path):
    done = polyscene("data", "infer", circle, "--write", tmp_path / "mapping.toml")
    assert done.returncode == 0, done.stderr
    assert "its values are times" in done.stdout.replace("\n", " ")
    assert done.stdout.rstrip().endswith(f"--mapping {tmp_path / 'mapping.toml'}")
    mapping = tomllib.loads((tmp_path / "mapping.toml").read_text(encoding="utf-8"))
    assert mapping["events"] == {"user": "who", "item": "what", "time": "when"}
    checked = polyscene(
        "data", "check", circle, "--mapping", tmp_path / "mapping.toml", "--rule", "min_user=7"
    )
    assert checked.returncode == 2
    assert "user has fewer than 7 events: 360" in checked.stderr
