"""The PostgreSQL server under a log: how it is reached, and what its refusals mean."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from select import POLLIN, poll
from typing import Any, Self

from polyscene.core.errors import ConfigError, FullError, StoreError

try:
    import psycopg
    from psycopg.conninfo import conninfo_to_dict, make_conninfo
    from psycopg.pq import TransactionStatus
except ImportError as problem:
    raise ConfigError(
        "a log in PostgreSQL needs the driver psycopg; run `pip install 'polyscene[postgres]'`"
    ) from problem

Connection = psycopg.Connection[tuple[Any, ...]]
Fault = psycopg.Error
Lost = psycopg.OperationalError
_DEFAULTS: dict[str, int | str] = {
    "connect_timeout": 5,
    "tcp_user_timeout": 25_000,
    "application_name": "polyscene",
}
# both ends notice soon that the other is gone: a lost writer must not hold its lock for hours
_ALIVE = {"keepalives_idle": 10, "keepalives_interval": 5, "keepalives_count": 3}
# A new log grows faster than the server counts its rows, and a plan made for ten is kept for a million.
# Every question here has its index, so none may be answered by reading a whole table.
_SESSION = {"search_path": "", "client_encoding": "UTF8", "enable_seqscan": "off"} | {
    f"tcp_{name}": n for name, n in _ALIVE.items()
}
_HINTS = {
    "53100": "the server's disk is full: make space there, it goes on by itself then",
    "53300": "the server has no connection left: raise its max_connections, or stop other clients",
    "25006": "this server takes no writes (a standby, or set to read-only): "
    "give the address of the primary; with several hosts add target_session_attrs=read-write",
    "42501": "the role lacks a right: docs/howto/postgres.md says which to grant",
    "55P03": "is another process writing to this log? Stop that one, send your events to it, "
    "or read the log with PostgresReader",
    "57014": "the server's statement_timeout is too short for this: raise it for this role",
    "57P": "the server is stopping or starting",
    "XX": "the server found damaged data: restore a backup",
}
_SCHEMA = re.compile(r"(?!pg_)[a-z_][a-z0-9_]{0,62}")
_LOST = "is the server up, and is the address right?"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a log lives: a server and database, and the schema in it.

    The DSN may hold a password, so neither it nor an error of the driver is ever shown unmasked.
    """

    dsn: str = field(repr=False)
    schema: str
    _secrets: tuple[str, ...] = field(repr=False)
    _parts: Mapping[str, Any] = field(repr=False)

    @classmethod
    def of(cls, dsn: str, schema: str) -> Self:
        """The address in a DSN, as a URL or as ``host=... dbname=...``.

        Raises:
            ConfigError: It can't be read (the text does not repeat it), or the schema has no plain name.
        """
        if not _SCHEMA.fullmatch(schema):
            raise ConfigError(
                f"PostgreSQL: expected a schema of small letters, digits and _, not beginning with pg_, "
                f"got {schema!r}"
            )
        try:
            parts = conninfo_to_dict(dsn)
        except psycopg.Error:
            raise ConfigError(
                "PostgreSQL: the DSN can't be read; expected postgresql://user@host:5432/database "
                "or host=... dbname=... (special characters of a password as %XX in the first form)"
            ) from None
        missing = {name: fact for name, fact in (_DEFAULTS | _ALIVE).items() if name not in parts}
        secrets = tuple(str(parts[name]) for name in ("password", "sslpassword") if parts.get(name))
        return cls(make_conninfo(dsn, **missing), schema, secrets, parts)

    def __str__(self) -> str:
        host = self._parts.get("host") or self._parts.get("hostaddr") or "the default host"
        return f"PostgreSQL at {host}, database {self._parts.get('dbname', 'of the user')}, {self.schema}"

    def mask(self, problem: Exception) -> str:
        """What a driver's error says, on one line and without the password."""
        text = " ".join(str(problem).split())
        for secret in self._secrets:
            text = text.replace(secret, "***")
        return text

    def connect(self, *, readonly: bool) -> Connection:
        """A connection in autocommit mode whose unqualified names are those of the schema."""
        connection = psycopg.connect(self.dsn, autocommit=True)
        try:
            session = {**_SESSION, "search_path": self.schema}
            settings = ", ".join(["set_config(%s, %s, false)"] * len(session))
            facts = [str(fact) for pair in session.items() for fact in pair]
            connection.execute(f"SELECT {settings}", facts)
            if readonly:
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
        except BaseException:
            connection.close()
            raise
        return connection

    def explain(self, problem: Exception, doing: str, outcome: str = "") -> StoreError:
        """The error to raise for one of the driver: where, what, and what to do."""
        code = getattr(problem, "sqlstate", None) or ""
        hint = next((hint for start, hint in _HINTS.items() if code.startswith(start)), "")
        lost = isinstance(problem, psycopg.OperationalError) and code[:2] in ("", "57")
        if lost:
            hint = f"{hint or _LOST} Once it is back, work goes on by itself"
        said = f"{self}: {doing}: {self.mask(problem)} ({code or 'no connection'})"
        kind = FullError if code == "53100" else StoreError
        return kind("; ".join(filter(None, [said, outcome, hint])))


def is_idle(connection: Connection) -> bool:
    """Whether a connection is whole and outside any transaction."""
    return connection.info.transaction_status == TransactionStatus.IDLE


def has_news(connection: Connection) -> bool:
    """Whether the server spoke while nothing was asked: it says good-bye, or is gone already."""
    door = poll()
    door.register(connection.fileno(), POLLIN)
    return bool(door.poll(0))


@contextmanager
def guard(address: Address, doing: str) -> Iterator[None]:
    """Turns errors of the server or the connection into a StoreError that names both."""
    try:
        yield
    except psycopg.Error as problem:
        raise address.explain(problem, doing) from None
