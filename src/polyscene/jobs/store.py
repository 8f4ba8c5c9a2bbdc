"""Where a workspace keeps its event log: the table `[store]` of its settings."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import msgspec

from polyscene.core.config import Config
from polyscene.core.errors import ConfigError, NotFoundError
from polyscene.events.log import EventLog, LogReader
from polyscene.events.reading import SqliteReader
from polyscene.events.sqlite import SqliteLog

if TYPE_CHECKING:
    from polyscene.events.postgres_reading import PostgresReader


class SqliteStore(Config, frozen=True, kw_only=True, tag="sqlite"):
    """The log is a file of the workspace."""

    def path(self, root: Path) -> Path:
        """The log's file in the workspace at `root`."""
        return root / "events.db"

    def log(self, root: Path) -> EventLog:
        """The log of the workspace at `root`, open for writing."""
        return SqliteLog(self.path(root))

    def reader(self, root: Path) -> LogReader:
        """The log, open for reading. Raises NotFoundError when there is none yet."""
        path = self.path(root)
        if not path.is_file():
            raise _empty(root)
        return SqliteReader(path)

    def doubts(self, root: Path) -> list[str]:
        """Why what the log acknowledged may not be durable; nothing, for a file."""
        return []


class PostgresStore(Config, frozen=True, kw_only=True, tag="postgres"):
    """The log is a schema of a PostgreSQL server; one schema belongs to one workspace.

    `dsn_env`: the environment variable that holds the server's address, since that may hold a password.
    """

    dsn_env: str = "POLYSCENE_DSN"
    schema: Annotated[str, msgspec.Meta(pattern=r"^(?!pg_)[a-z_][a-z0-9_]{0,62}$")] = "polyscene"

    def __post_init__(self) -> None:
        if not self.dsn_env.isidentifier():
            # what came is not repeated: it is an address, most likely, with a password in it
            raise ValueError(
                "dsn_env: expected the name of an environment variable, such as POLYSCENE_DSN; "
                "the address itself goes there, not into this file"
            )

    def log(self, root: Path) -> EventLog:
        """The log, open for writing; its schema is made if need be."""
        from polyscene.events.postgres import PostgresLog

        return PostgresLog(self._dsn(root), self.schema)

    def reader(self, root: Path) -> LogReader:
        """The log, open for reading. Raises NotFoundError when there is none yet."""
        return self._reader(root)

    def _reader(self, root: Path) -> "PostgresReader":
        from polyscene.events.postgres_reading import PostgresReader

        try:
            return PostgresReader(self._dsn(root), self.schema)
        except NotFoundError as problem:
            raise _empty(root) from problem

    def doubts(self, root: Path) -> list[str]:
        """Why what the log acknowledged may not be durable, with what to do."""
        with self._reader(root) as reader:
            return reader.doubts()

    def _dsn(self, root: Path) -> str:
        dsn = os.environ.get(self.dsn_env)
        if not dsn:
            raise ConfigError(
                f"{root / 'polyscene.toml'} [store]: the environment variable {self.dsn_env} is not set; "
                "give it the address of the server, such as postgresql://user:password@host:5432/database"
            )
        return dsn


Store = SqliteStore | PostgresStore
KINDS = {
    "sqlite": "polyscene.jobs.store:SqliteStore",
    "postgres": "polyscene.jobs.store:PostgresStore",
}


def _empty(root: Path) -> NotFoundError:
    return NotFoundError(
        f"workspace {root}: its log is empty; fill it with `polyscene ingest SOURCE --workspace {root}`"
    )
