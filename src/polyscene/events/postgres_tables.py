"""The tables of a log in PostgreSQL, their format, and the lock that one writer holds."""

from hashlib import blake2b

from polyscene.core.errors import NotFoundError, StoreError
from polyscene.events.postgres_server import Address, Connection

LOCK_WAIT = "2s"
"""How long to wait for the lock: the server takes a moment to notice that a killed writer is gone."""

# Text sorts by its bytes, as everywhere in Polyscene; other collations change with the system's library.
_FIRST = """
CREATE TABLE names (
    family smallint NOT NULL, code integer NOT NULL, name text COLLATE "C", PRIMARY KEY (family, code)
);
CREATE UNIQUE INDEX names_by_name ON names (family, name);
CREATE TABLE events (
    position bigint PRIMARY KEY, id text COLLATE "C" NOT NULL UNIQUE, user_code integer NOT NULL,
    item_code integer NOT NULL, action_code integer NOT NULL, scenario_code integer NOT NULL,
    time bigint NOT NULL, value double precision NOT NULL, extra bytea
);
CREATE INDEX events_by_user ON events (user_code, time);
CREATE INDEX events_by_item ON events (item_code, time, action_code);
CREATE TABLE puts (
    position bigint PRIMARY KEY, type smallint NOT NULL, code integer NOT NULL,
    key bytea NOT NULL UNIQUE, payload bytea NOT NULL
);
CREATE INDEX puts_by_code ON puts (type, code);
CREATE TABLE exposures (
    request_id text COLLATE "C" PRIMARY KEY, user_id text COLLATE "C", time bigint NOT NULL,
    payload bytea NOT NULL
);
CREATE INDEX exposures_by_user ON exposures (user_id, time);
CREATE INDEX exposures_by_time ON exposures (time);
CREATE TABLE edges (
    position bigint PRIMARY KEY, source text COLLATE "C" NOT NULL, relation text COLLATE "C" NOT NULL,
    target text COLLATE "C" NOT NULL, gone boolean NOT NULL
);
CREATE INDEX edges_by_source ON edges (source, relation);
CREATE INDEX edges_by_target ON edges (target);
CREATE TABLE merges (
    position bigint PRIMARY KEY, source_code integer NOT NULL, target_code integer NOT NULL
);
CREATE INDEX merges_by_target ON merges (target_code);
CREATE INDEX merges_by_source ON merges (source_code);
CREATE TABLE shown (
    item text COLLATE "C" NOT NULL, day bigint NOT NULL, count bigint NOT NULL, PRIMARY KEY (item, day)
);
CREATE TABLE once (
    key bytea PRIMARY KEY, digest bytea NOT NULL, time bigint NOT NULL,
    accepted bigint NOT NULL, duplicates bigint NOT NULL, position bigint NOT NULL, conflicts text
);
CREATE INDEX once_by_time ON once (time);
"""
STEPS = {0: _FIRST}
"""SQL from each format to the next; 0 is an empty schema. The table `formats` has a row for each step."""
FORMAT = len(STEPS)
ALL = "names, events, puts, exposures, edges, merges, shown, once"

_LAST_POSITION = """
SELECT greatest(
    coalesce((SELECT max(position) FROM events), 0), coalesce((SELECT max(position) FROM puts), 0)
)
"""


def lock(connection: Connection, address: Address) -> None:
    """Holds the log's lock until the connection ends, however it ends; raises the driver's error otherwise.

    A commit and the lock go through one connection, so who lost the lock can't commit any more.
    """
    key = int.from_bytes(
        blake2b(f"polyscene {address.schema}".encode(), digest_size=8).digest(), signed=True
    )
    with connection.transaction():
        connection.execute(f"SET LOCAL lock_timeout = '{LOCK_WAIT}'")
        connection.execute("SELECT pg_advisory_lock(%s)", (key,))


def prepare(connection: Connection, address: Address) -> None:
    """Makes the schema and its tables, or takes those of an older format to the present one.

    Raises:
        StoreError: A standby, an encoding other than UTF-8, a foreign schema or a newer format.
    """
    _check_server(connection, address)
    start = _format(connection, address)
    with connection.transaction():
        if start is None:
            if not _has_schema(connection, address):
                connection.execute(f"CREATE SCHEMA {address.schema}")
            connection.execute(
                "CREATE TABLE formats (number integer PRIMARY KEY, since timestamptz DEFAULT now())"
            )
        for number in range(start or 0, FORMAT):
            connection.execute(STEPS[number])
            connection.execute("INSERT INTO formats (number) VALUES (%s)", (number + 1,))


def check_format(connection: Connection, address: Address) -> None:
    """Nothing, if there is a log of a format that can be read.

    Raises:
        NotFoundError: There is none.
        StoreError: A foreign schema, or an older or newer format.
    """
    number = _format(connection, address)
    if number is None:
        raise NotFoundError(f"{address}: there is no event log; append to it first, or mend the address")
    if number < FORMAT:
        raise StoreError(
            f"{address}: format {number} is older than {FORMAT}; open the log for writing once"
        )


def _format(connection: Connection, address: Address) -> int | None:
    query = "SELECT table_name FROM information_schema.tables WHERE table_schema = %s"
    tables = [name for (name,) in connection.execute(query, (address.schema,))]
    if not tables:
        return None
    if "formats" not in tables:
        raise StoreError(
            f"{address}: expected an event log, found a schema with other tables, such as {tables[0]!r}; "
            "give another schema"
        )
    (number,) = connection.execute("SELECT max(number) FROM formats").fetchone() or (0,)
    if number > FORMAT:
        raise StoreError(
            f"{address}: format {number} is newer than {FORMAT}, the newest known here; upgrade polyscene"
        )
    return int(number)


def _check_server(connection: Connection, address: Address) -> None:
    query = "SELECT pg_is_in_recovery(), current_setting('server_encoding')"
    standby, encoding = connection.execute(query).fetchone() or (False, "")
    if standby:
        raise StoreError(
            f"{address}: this server is a standby and takes no writes; give the address of the primary; "
            "with several hosts add target_session_attrs=read-write"
        )
    if encoding != "UTF8":
        raise StoreError(f"{address}: expected a database in UTF8, found {encoding}; make another database")


def doubts(connection: Connection) -> list[str]:
    """What the server is set to that lets it lose what it acknowledged, with what to do."""
    names = ("fsync", "full_page_writes")
    query = "SELECT name FROM pg_settings WHERE name = ANY(%s) AND setting = 'off'"
    found = sorted(name for (name,) in connection.execute(query, (list(names),)))
    return [
        f"the server's {name} is off: a power cut may lose or damage the log; set it on" for name in found
    ]


def _has_schema(connection: Connection, address: Address) -> bool:
    query = "SELECT 1 FROM pg_namespace WHERE nspname = %s"
    return connection.execute(query, (address.schema,)).fetchone() is not None


def last_position(connection: Connection) -> int:
    """Position of the last record; an erasure stands behind all that it took away."""
    (position,) = connection.execute(_LAST_POSITION).fetchone() or (0,)
    return int(position)
