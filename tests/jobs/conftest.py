"""A tiny fitted workspace to copy."""

import shutil

import pytest

from polyscene.core.clock import FixedClock
from polyscene.jobs.engine import Engine
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import tiny_workspace

NOW = 1_790_000_000_000


@pytest.fixture(scope="session")
def fitted_root(tmp_path_factory):
    return tiny_workspace(tmp_path_factory.mktemp("fitted")).root


@pytest.fixture
def copied(fitted_root, tmp_path):
    """A workspace of the test's own."""
    return Workspace.open(shutil.copytree(fitted_root, tmp_path / "workspace"))


@pytest.fixture
def running(copied):
    with Engine.open(copied.root, clock=FixedClock(NOW)) as engine:
        yield engine
