"""Fixtures that several folders share: real data where it is at hand, tiny worlds everywhere."""

import os
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import msgspec
import psycopg
import pytest
from hypothesis import settings

from polyscene.core.errors import NotFoundError
from polyscene.dataset.clean import EVALUATION, CleaningRules
from polyscene.dataset.load import DEFAULT_RULES, load_tables
from polyscene.dataset.tables import Tables
from polyscene.testing.postgres import Cluster, binaries, cluster

ROOT = Path(__file__).parents[1]
# Before torch loads: tests run side by side, and torch threads that wait for a busy core slow all of them.
os.environ.setdefault("OMP_NUM_THREADS", "1")
# No test asserts a time: a busy machine is no fault.
settings.register_profile("untimed", deadline=None)
settings.load_profile("untimed")


def _known(name: str, rules: CleaningRules = DEFAULT_RULES) -> Tables:
    from polyscene.dataset.known import is_cached

    if not is_cached(name):
        pytest.skip(f"{name} is not in the data cache; run `polyscene data fetch {name}`")
    return load_tables(name, rules=rules)


@pytest.fixture(scope="session")
def ml_1m_liked_tables() -> Tables:
    """What was rated 4 or 5 in MovieLens 1M by users and of items that have ten such ratings."""
    return _known("ml-1m", msgspec.structs.replace(EVALUATION, min_value=4.0, min_user=10, min_item=10))


@pytest.fixture(scope="session")
def ml_1m_tables() -> Tables:
    """MovieLens 1M as `make setup` fetched it."""
    return _known("ml-1m")


@pytest.fixture(scope="session")
def ml_100k_tables() -> Tables:
    """MovieLens 100K as `make setup` fetched it."""
    return _known("ml-100k")


@pytest.fixture(scope="session")
def postgres_server() -> Iterator[Cluster]:
    """A private PostgreSQL server that tests may stop and start."""
    try:
        binaries()
    except NotFoundError as problem:
        pytest.skip(str(problem))
    with cluster() as server:
        yield server


@pytest.fixture(scope="session")
def postgres_dsn(request: pytest.FixtureRequest) -> str:
    """Where a PostgreSQL server listens: the one of POLYSCENE_POSTGRES, or a private one."""
    given = os.environ.get("POLYSCENE_POSTGRES")
    return given or request.getfixturevalue("postgres_server").dsn


@pytest.fixture
def postgres(postgres_dsn: str) -> Iterator[tuple[str, str]]:
    """DSN and an unused schema; it and all whose names begin with it are dropped afterwards."""
    schema = f"test_{uuid4().hex}"
    yield psycopg.conninfo.make_conninfo(postgres_dsn, application_name=schema), schema
    with psycopg.connect(postgres_dsn, autocommit=True) as connection:
        connection.execute("SET client_min_messages = warning")
        query = "SELECT nspname FROM pg_namespace WHERE starts_with(nspname, %s)"
        for (name,) in connection.execute(query, (schema,)).fetchall():
            connection.execute(f"DROP SCHEMA {name} CASCADE")


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real research data sets, where this checkout has one beside it."""
    folder = Path(os.environ.get("POLYSCENE_SHARED_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"no research data at {folder}; set POLYSCENE_SHARED_DATA")
    return folder
