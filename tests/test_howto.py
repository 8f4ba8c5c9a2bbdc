"""The page on own data, run exactly as it stands, over a made-up shop with names of its own."""

import json
import os
import random
import re
import shlex
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.reading import read_reading

PAGE = (Path(__file__).parents[1] / "docs" / "howto" / "own-data.md").read_text(encoding="utf-8")
COLOURS = ("red", "blue", "green", "black")
THINGS = ("lamp", "chair", "table", "shelf", "vase", "mirror")


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def shop(tmp_path):
    """Receipts of 60 customers, who each stay with one colour, and what is sold."""
    rng = random.Random(2)
    folder = tmp_path / "shop"
    folder.mkdir()
    lines = ["Bon;KundenNr;ArtikelNr;Datum;Menge"]
    for bon in range(600):
        customer = rng.randrange(60)
        article = rng.randrange(6) * 4 + customer % 4
        day = f"{1 + bon % 28:02}.{1 + bon // 60:02}.2024 {9 + bon % 9}:{bon % 60:02}"
        lines.append(f"{bon};K-{customer};A-{article};{day};{rng.choice((1, 1, 2))}")
    (folder / "kasse.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    stock = [f"A-{n},A {COLOURS[n % 4]} {THINGS[n // 4]} für zu Hause,{9.5 + n}" for n in range(24)]
    (folder / "sortiment.csv").write_text(
        "\n".join(["Nummer,Bezeichnung,Preis", *stock]), encoding="latin-1"
    )
    (tmp_path / "more.jsonl").write_text(
        json.dumps({"user": "K-1", "item": "A-1", "time": 1_735_000_000}) + "\n", encoding="utf-8"
    )
    return tmp_path


def run(command, folder):
    """A line of a shell block, as a person types it."""
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    return subprocess.run(
        ["sh", "-c", command],
        cwd=folder,
        env={**os.environ, "PATH": path, "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=280,
        check=False,
    )


def test_the_page_runs_as_written_and_needs_four_commands(shop):
    four, *others = blocks("sh")
    commands = four.strip().splitlines()
    assert len(commands) == 4
    for command in commands:
        # short fits, for the suite's sake; everything else is as written
        done = run(command.replace("--budget 60", "--budget 2"), shop)
        assert done.returncode == 0, (command, done.stderr)
    mapping = tomllib.loads((shop / "mapping.toml").read_text(encoding="utf-8"))
    assert mapping["events"] == {"user": "KundenNr", "item": "ArtikelNr", "time": "Datum", "value": "Menge"}
    assert mapping["items"] == {"item": "Nummer", "title": "Bezeichnung"}
    assert "für zu Hause" in done.stdout
    for command in "".join(others).strip().splitlines():
        done = run(command, shop)
        assert done.returncode == 0, (command, done.stderr)
    assert (shop / "report.html").stat().st_size > 10_000
    (program,) = blocks("python")
    assert run(f"{shlex.quote(sys.executable)} -c {shlex.quote(program)}", shop).returncode == 0


def test_its_mapping_and_its_table_of_rules_are_true(tmp_path):
    (text,) = blocks("toml")
    (tmp_path / "m.toml").write_text(text, encoding="utf-8")
    reading = read_reading(tmp_path / "m.toml")
    assert reading.mapping["events"] == "orders.csv,returns.csv"
    assert reading.cleaning().mend_items == ("case", "zeros")
    told = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE))))
    assert told == set(CleaningRules.__struct_fields__)
