"""Fixtures that several folders share: real data where it is at hand, tiny worlds everywhere."""

import os
from pathlib import Path

import pytest

from polyscene.dataset.load import load_tables
from polyscene.dataset.tables import Tables

ROOT = Path(__file__).parents[1]
# Before torch loads: tests run side by side, and torch threads that wait for a busy core slow all of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")


def _known(name: str) -> Tables:
    from polyscene.dataset.known import is_cached

    if not is_cached(name):
        pytest.skip(f"{name} is not in the data cache; run `polyscene data fetch {name}`")
    return load_tables(name)


@pytest.fixture(scope="session")
def ml_1m_tables() -> Tables:
    """MovieLens 1M as `make setup` fetched it."""
    return _known("ml-1m")


@pytest.fixture(scope="session")
def ml_100k_tables() -> Tables:
    """MovieLens 100K as `make setup` fetched it."""
    return _known("ml-100k")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real research data sets, where this checkout has one beside it."""
    folder = Path(os.environ.get("POLYSCENE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no research data at {folder}; set POLYSCENE_SHARED_DATA")
    return folder
