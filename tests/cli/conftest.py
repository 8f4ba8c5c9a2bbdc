import subprocess
import sys

import polars as pl
import pytest


@pytest.fixture(scope="session")
def polyscene():
    """Runs the command as a person would: a process of its own; gives exit code, stdout, stderr."""

    def run(*words: object) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-m", "polyscene", *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)

    return run


@pytest.fixture(scope="session")
def circle(tmp_path_factory):
    """60 users walk round a circle of 12 items, five steps each; columns have names of their own."""
    folder = tmp_path_factory.mktemp("circle")
    rows = [
        {"who": f"u{user}", "what": f"i{(user + step) % 12}", "when": 1_700_000_000 + user * 100 + step}
        for user in range(60)
        for step in range(6)
    ]
    pl.DataFrame(rows).write_csv(folder / "interactions.csv")
    return folder


MAP = ("--map", "user=who", "--map", "item=what", "--map", "time=when")
