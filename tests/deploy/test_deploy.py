"""What operators copy into their systems is held to what the service really shows and takes."""

import configparser
import json
import re
import shlex
import shutil
import subprocess
from pathlib import Path

import httpx
import pytest
import yaml
from typer.testing import CliRunner

from polyscene.cli.main import app
from polyscene.testing.service import live, tiny_workspace

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
RUNBOOK = ROOT / "docs" / "howto" / "operate.md"
METRIC = re.compile(r"\b(?:polyscene|process)_\w+")


@pytest.fixture(scope="module")
def shown(tmp_path_factory):
    """Names of all series that a service shows after it served a little."""
    with live(tiny_workspace(tmp_path_factory.mktemp("shown")).root) as url:
        ask = {"scenario": "home", "user": "u1", "request_id": "r1"}
        httpx.post(f"{url}/v1/recommend", json=ask).raise_for_status()
        event = {"id": "e", "user": "u1", "item": "i1"}
        httpx.post(f"{url}/v1/events", json={"events": [event]}).raise_for_status()
        text = httpx.get(f"{url}/metrics").raise_for_status().text
    helped = set(re.findall(r"^# HELP (\w+)", text, re.MULTILINE))
    return set(re.findall(r"^(\w+)", text, re.MULTILINE)) | helped


def alerts():
    return yaml.safe_load((DEPLOY / "alerts.yml").read_text())["groups"][0]["rules"]


def anchors(page):
    heads = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


def test_every_metric_of_alerts_and_dashboard_is_one_that_the_service_shows(shown):
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    expressions = [target["expr"] for panel in panels for target in panel["targets"]]
    expressions += [alert["expr"] for alert in alerts()]
    named = {name for text in expressions for name in METRIC.findall(text)}
    assert len(named) > 12
    assert not named - shown


def test_every_alert_has_an_entry_in_the_runbook_and_every_entry_an_alert():
    links = [alert["annotations"]["runbook"] for alert in alerts()]
    for alert, link in zip(alerts(), links, strict=True):
        assert link == f"docs/howto/operate.md#{alert['alert'].lower()}"
        assert link.partition("#")[2] in anchors(RUNBOOK)
    entries = {anchor for anchor in anchors(RUNBOOK) if anchor.startswith("polyscene")}
    assert entries == {link.partition("#")[2] for link in links}


@pytest.mark.skipif(not shutil.which("promtool"), reason="promtool is not installed")
def test_the_rules_are_what_prometheus_reads():
    done = subprocess.run(
        ["promtool", "check", "rules", str(DEPLOY / "alerts.yml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_panels_neither_overlap_nor_share_a_number():
    panels = json.loads((DEPLOY / "grafana.json").read_text())["panels"]
    assert len({panel["id"] for panel in panels}) == len(panels)
    cells = [
        (x, y)
        for grid in (panel["gridPos"] for panel in panels)
        for x in range(grid["x"], grid["x"] + grid["w"])
        for y in range(grid["y"], grid["y"] + grid["h"])
    ]
    assert len(cells) == len(set(cells))
    assert max(x for x, _ in cells) < 24


def takes(words):
    """Whether the command line knows the command and every option of these words."""
    known = CliRunner().invoke(app, [*[word for word in words if not word.startswith("-")][:1], "--help"])
    options = [word for word in words if word.startswith("--")]
    return known.exit_code == 0 and all(option in known.output for option in options)


def test_the_unit_and_the_image_start_commands_that_exist():
    unit = configparser.ConfigParser(strict=False, interpolation=None)
    unit.optionxform = str
    unit.read(DEPLOY / "polyscene.service")
    assert takes(shlex.split(unit["Service"]["ExecStart"])[1:])
    text = (DEPLOY / "Dockerfile").read_text()
    assert takes(json.loads(re.search(r"^CMD (\[\"serve.*\])$", text, re.MULTILINE)[1]))
    for line in re.findall(r"^COPY (?!--from)(.+) \S+$", text, re.MULTILINE):
        assert all((ROOT / name).exists() for name in line.split())


def test_the_compose_file_mounts_files_that_are_there():
    compose = yaml.safe_load((DEPLOY / "compose.yaml").read_text())
    assert set(compose["services"]) == {"polyscene", "prometheus", "grafana"}
    made_by_the_reader = {"./polyscene.key"}
    for service in compose["services"].values():
        for volume in service["volumes"]:
            source = volume.split(":")[0]
            if source.startswith("./") and source not in made_by_the_reader:
                assert (DEPLOY / source).exists()


def test_commands_of_the_page_exist():
    commands = re.findall(r"^polyscene (.+?)(?:\s+#.*)?$", RUNBOOK.read_text(), re.MULTILINE)
    commands += re.findall(r"`polyscene ([^`]+)`", RUNBOOK.read_text())
    assert len(commands) > 12
    for command in commands:
        words = [word for word in shlex.split(command) if word != "…"]
        path = [word for word in words if re.fullmatch(r"[a-z]+", word)][:2]
        whole = CliRunner().invoke(app, [*path, "--help"])
        if whole.exit_code != 0:
            whole = CliRunner().invoke(app, [path[0], "--help"])
        assert whole.exit_code == 0, command
        assert all(word in whole.output for word in words if word.startswith("--")), command
