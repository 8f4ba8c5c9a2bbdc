"""What the README says runs, exactly as written, in both languages."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from polyscene.cli.main import app
from polyscene.jobs import keys
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.file import read_scenario
from polyscene.testing.service import live, tiny_workspace

ROOT = Path(__file__).parents[1]
READMES = ("README.md", "README.zh-CN.md")


def blocks(name: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("name", READMES)
def test_the_python_runs_and_prints_what_it_says(name, tmp_path):
    (program,) = blocks(name, "python")
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == "[('y', 'x')]"
    assert (tmp_path / "cinema" / "polyscene.toml").is_file()


@pytest.mark.parametrize("name", READMES)
def test_the_client_talks_to_a_service_as_written(name, tmp_path):
    (program,) = blocks(name, "python client")
    root = tiny_workspace(tmp_path).root
    key = keys.add(root, "shop", role="write")
    with live(root) as url:
        program = f"api_key = {key!r}\n" + program.replace("http://127.0.0.1:8000", url)
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    with Workspace.open(root).reader() as log:
        (event,) = [record for _, record in log.newest(1)]
    assert (event.user, event.position) == ("42", 0)


@pytest.mark.parametrize("name", READMES)
def test_every_command_it_names_exists(name):
    known = {command.name for command in app.registered_commands} | {
        group.name for group in app.registered_groups
    }
    named = {
        line.split()[1]
        for block in blocks(name, "sh")
        for line in block.splitlines()
        if line.startswith("polyscene")
    }
    assert named
    assert named <= known


def test_make_targets_it_names_exist():
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE))
    named = {
        line.split()[1]
        for block in blocks("README.md", "sh")
        for line in block.splitlines()
        if line.startswith("make")
    }
    assert named == {"demo", "test"}
    assert {"setup", "demo", "test", "check", "bench", "serve"} <= targets


def test_its_scenario_is_a_scenario():
    (text,) = blocks("README.md", "toml")
    assert read_scenario(tomllib.loads(text), "README.md").slate == 20


def test_the_walk_names_what_is_there():
    """Every `path.py: name` of docs/walk.md stands in the tree."""
    text = (ROOT / "docs" / "walk.md").read_text(encoding="utf-8")
    stops = re.findall(r"`([\w/]+\.py)(?:: ([\w.]+))?`", text)
    assert len(stops) > 20
    for path, name in stops:
        file = ROOT / "src" / "polyscene" / path
        if path.startswith("tests/"):
            file = ROOT / path
        source = file.read_text(encoding="utf-8")
        for part in filter(None, name.split(".")):
            assert re.search(rf"(def|class) {part}\b", source), f"{path} has no {name}"
