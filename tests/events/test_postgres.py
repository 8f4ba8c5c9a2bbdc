"""What only the server can do: come and go, refuse, be shared."""

import subprocess
import sys
from threading import Thread

import psycopg
import pytest

from polyscene.core.errors import BusyError, ConfigError, FullError, InputError, NotFoundError, StoreError
from polyscene.events import pending, postgres_reading, postgres_tables, postgres_writing
from polyscene.events import postgres as module
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, UserPut
from polyscene.events.log import Bulk
from polyscene.events.postgres import PostgresLog
from polyscene.events.postgres_reading import PostgresReader
from polyscene.events.postgres_server import Address
from polyscene.testing.postgres import binaries, cluster


def event(number, **fields):
    return Event(id=f"e{number}", user=f"u{number % 3}", item="i", time=number, **fields)


def exposure(request_id, user="u"):
    return Exposure(
        request_id=request_id, scenario="s", bundle="b", user=user, time=1, seed=0, log_position=0
    )


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(postgres_tables, "LOCK_WAIT", "300ms")


def run(dsn, statement):
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statement)


def end_sessions(log):
    """As an administrator or a firewall would, to those of one log."""
    dsn, name = log
    which = f"application_name = '{name}' AND pid <> pg_backend_pid()"
    run(dsn, f"SELECT pg_terminate_backend(pid, 5000) FROM pg_stat_activity WHERE {which}")


def test_all_is_there_after_closing_and_opening(postgres):
    with PostgresLog(*postgres) as log:
        log.append([event(n) for n in range(5)])
        log.append_exposure(exposure("r"))
    with PostgresLog(*postgres) as log:
        assert log.append([event(4), event(5)]).position == 6
        assert log.exposure("r") == exposure("r")


def test_a_closed_log_says_so(postgres):
    log = PostgresLog(*postgres)
    log.close()
    log.close()
    with pytest.raises(StoreError, match="the log is closed; open it again"):
        log.append([event(1)])
    with pytest.raises(StoreError, match="the log is closed"):
        log.read()


def test_a_second_writer_is_refused_and_readers_and_other_schemas_are_not(postgres):
    dsn, schema = postgres
    with PostgresLog(dsn, schema) as log:
        log.append([event(1)])
        with pytest.raises(StoreError, match=r"open: .*55P03.*is another process writing to this log\?"):
            PostgresLog(dsn, schema)
        with PostgresReader(dsn, schema) as reader, PostgresLog(dsn, f"{schema}_2") as other:
            assert reader.position == 1
            log.append([event(2)])
            assert [record.id for _, record in reader.read()] == ["e1", "e2"]
            assert reader.user_ids() == ["u1", "u2"]
            assert other.append([event(3)]).position == 1
    with PostgresLog(dsn, schema) as log:
        assert log.position == 2


def test_a_reader_needs_a_log_and_does_not_make_one(postgres):
    for _ in range(2):
        with pytest.raises(NotFoundError, match=r"there is no event log; append to it first"):
            PostgresReader(*postgres)


@pytest.mark.parametrize("kind", [PostgresLog, PostgresReader])
def test_newer_and_foreign_schemas_are_refused_and_not_left_locked(postgres, kind):
    dsn, schema = postgres
    PostgresLog(dsn, schema).close()
    run(dsn, f"INSERT INTO {schema}.formats (number) VALUES (99)")
    with pytest.raises(StoreError, match=rf"{schema}: format 99 is newer than 1.*upgrade polyscene"):
        kind(dsn, schema)
    run(dsn, f"DELETE FROM {schema}.formats WHERE number = 99")
    PostgresLog(dsn, schema).close()
    run(dsn, f"CREATE SCHEMA {schema}_2; CREATE TABLE {schema}_2.t (a int)")
    with pytest.raises(StoreError, match=r"found a schema with other tables, such as 't'; give another"):
        kind(dsn, f"{schema}_2")


def test_a_database_that_is_not_utf8_is_refused(postgres):
    dsn, schema = postgres
    run(dsn, f"CREATE DATABASE {schema} ENCODING 'LATIN1' LOCALE 'C' TEMPLATE template0")
    try:
        with pytest.raises(StoreError, match=r"expected a database in UTF8, found LATIN1"):
            PostgresLog(psycopg.conninfo.make_conninfo(dsn, dbname=schema))
    finally:
        run(dsn, f"DROP DATABASE {schema} WITH (FORCE)")


@pytest.mark.parametrize(
    ("dsn", "text"),
    [
        ("postgresql://me:s3cret-word@127.0.0.1:1/db", "is the server up, and is the address right"),
        ("host=127.0.0.1 port=1 user=me password=s3cret-word", "database of the user"),
        ("host=127.0.0.1 port=s3cret-word password=s3cret-word", r"\*\*\*"),
    ],
)
def test_a_server_that_is_not_there_is_named_without_the_password(dsn, text):
    with pytest.raises(StoreError, match=text) as caught:
        PostgresReader(dsn)
    assert "PostgreSQL at 127.0.0.1" in str(caught.value)
    assert "s3cret" not in str(caught.value)
    assert "s3cret" not in repr(Address.of(dsn, "polyscene"))


@pytest.mark.parametrize("dsn", ["postgresql://me:s3cret@[host/db", "s3cret", "host=h pasword=s3cret"])
def test_an_address_that_cannot_be_read_is_not_repeated(dsn):
    with pytest.raises(ConfigError, match="the DSN can't be read; expected postgresql://") as caught:
        PostgresLog(dsn)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__suppress_context__


@pytest.mark.parametrize("schema", ["", "a b", "A", "pg_x", "1a", "a;drop", "x" * 64, 'a"'])
def test_a_schema_has_a_plain_name(schema):
    with pytest.raises(ConfigError, match="expected a schema of small letters"):
        PostgresLog("host=h", schema)


def test_a_role_needs_no_more_than_its_schema_and_a_reader_no_more_than_to_look(postgres):
    dsn, schema = postgres
    writer, reader = f"{schema}_w", f"{schema}_r"
    run(dsn, f"CREATE ROLE {writer} LOGIN; CREATE SCHEMA {schema} AUTHORIZATION {writer}")
    run(dsn, f"CREATE ROLE {reader} LOGIN; GRANT USAGE ON SCHEMA {schema} TO {reader}")
    as_writer, as_reader = (psycopg.conninfo.make_conninfo(dsn, user=role) for role in (writer, reader))
    run(as_writer, f"ALTER DEFAULT PRIVILEGES IN SCHEMA {schema} GRANT SELECT ON TABLES TO {reader}")
    try:
        with PostgresLog(as_writer, schema) as log:
            log.append([event(1), event(2)])
            log.erase_user("u1", at=1)
        with PostgresReader(as_reader, schema) as found:
            assert found.columns().position.tolist() == [2]
        refusal = r"permission denied.*42501.*docs/howto/postgres\.md says"
        with PostgresLog(as_reader, schema) as log, pytest.raises(StoreError, match=refusal):
            log.append([event(3)])
    finally:
        for role in (writer, reader):
            run(dsn, f"DROP OWNED BY {role} CASCADE; DROP ROLE {role}")


def test_a_dump_is_a_backup(postgres_server, postgres, tmp_path):
    dsn, schema = postgres_server.dsn, postgres[1]
    other = psycopg.conninfo.make_conninfo(dsn, dbname=schema)
    dump = str(tmp_path / "log.dump")
    with PostgresLog(dsn, schema) as log:
        log.append([event(1), event(2), ItemPut(id="i", time=1)])
        log.erase_user("u1", at=1)
        # also while it is written to
        command = [binaries() / "pg_dump", "--format=custom", f"--schema={schema}", "-f", dump, dsn]
        subprocess.run(command, check=True)
        run(dsn, f"CREATE DATABASE {schema} TEMPLATE template0")
        subprocess.run([binaries() / "pg_restore", f"--dbname={other}", dump], check=True)
        with PostgresLog(other, schema) as restored:
            assert restored.read() == log.read()
            assert restored.user_ids() == log.user_ids()
            assert restored.append([event(2), event(3)]).position == log.append([event(3)]).position == 5
    run(dsn, f"DROP DATABASE {schema} WITH (FORCE)")


def test_without_the_driver_the_command_to_install_it_is_told():
    program = "import sys; sys.modules['psycopg'] = None; import polyscene.events.postgres"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "ConfigError: a log in PostgreSQL needs the driver psycopg" in done.stderr
    assert "pip install 'polyscene[postgres]'" in done.stderr


def test_one_bad_batch_does_not_spoil_its_neighbours(postgres):
    with PostgresLog(*postgres) as log:
        with pytest.raises(InputError):
            log.append([event(1, value=float("nan"))])
        assert log.append([event(2)]).position == 1


def test_nobody_has_an_id_that_the_server_cannot_hold(postgres):
    with PostgresLog(*postgres) as log:
        log.append([event(1), EdgePut(source="a", relation="r", target="b", time=1)])
        log.append_exposure(exposure("r"))
        log.flush()
        for text in ("\0", "a\0b", "\ud800"):
            assert log.exposure(text) is None
            assert log.exposures(text) == log.user_puts(text) == log.user_tail(text, 5) == []
            assert log.item_days(text) == log.newest_events(user=text) == log.newest_events(item=text) == []
            assert log.edges(source=text) == []
            assert log.exposures(after=(0, text)) == log.edges(after=("a", "r", text)) == []
            assert len(log.columns(user=text)) == len(log.user_items(text)) == 0
            assert log.erase_user(text, at=1).position == 2
        assert log.append([event(2)]).position == 3


def test_the_longest_ids_fit(postgres):
    # 2,048 bytes that don't compress: an index entry may have 2,704
    letters = [chr(0x10000 + (number * 7919) % 60_000) for number in range(4 * 512)]
    a, b, c, d = ("".join(letters[start : start + 512]) for start in range(0, 2048, 512))
    records = [
        Event(id=a, user=b, item=c, action=d[:128], scenario=a[:128], time=1),
        EdgePut(source=a, relation=b[:128], target=c, time=1),
        UserPut(id=d, time=1),
    ]
    with PostgresLog(*postgres) as log:
        log.append_exposure(exposure(a, b))
        log.append(records)
        assert [record for _, record in log.read()] == records
        assert log.edges(source=a, relation=b[:128], target=c) == [records[1]]


def test_columns_come_in_parts_and_in_order(postgres, monkeypatch):
    with PostgresLog(*postgres) as log:
        log.append([event(n) if n % 3 else ItemPut(id="i", time=n) for n in range(20)])
        log.erase_user("u1", at=1)
        whole = log.columns()
        monkeypatch.setattr(postgres_reading, "CHUNK", 2)
        assert log.columns().position.tolist() == whole.position.tolist() == [3, 6, 9, 12, 15, 18]
        assert log.columns(until=9).time.tolist() == [2, 5, 8]
        assert log.columns(until=0).value.tolist() == []


def test_no_question_is_answered_by_reading_a_whole_table(postgres):
    """Of a new log the server knows no sizes, and it keeps the plans it made then."""
    asked = [
        (postgres_reading._TAIL, ("u", 9, 5)),
        (postgres_reading._USER_COLUMNS, ("u", 9)),
        (postgres_reading._COLUMNS, (0, 9)),
        (postgres_reading._PUTS_OF_USER, (9, "u")),
        (postgres_reading._ITEM_DAYS, ("i",)),
        (postgres_writing._GUESTS, (3,)),
        ("SELECT * FROM events WHERE id = ANY(%s)", (["a", "b"],)),
        ("SELECT * FROM exposures WHERE request_id = ANY(%s)", (["a", "b"],)),
    ]
    with PostgresLog(*postgres) as log:
        for query, facts in asked:
            rows = log._transactions._connection.execute(f"EXPLAIN {query}", facts).fetchall()
            plan = "\n".join(line for (line,) in rows)
            assert "Index" in plan
            assert "Seq Scan" not in plan


def test_a_bulk_in_several_transactions_is_one_bulk(postgres, monkeypatch):
    monkeypatch.setattr(module, "BULK_ROWS", 2)
    bulk = Bulk("s", range(5), list("uvuvu"), list("abcab"), ["a"] * 5, [""] * 5, range(5), [1.0] * 5)
    with PostgresLog(*postgres) as log:
        assert log.append_columns(bulk).position == 5
        assert log.append_columns(bulk).duplicates == 5
        assert [record.id for _, record in log.read()] == [f"s:{n}" for n in range(5)]


def test_readers_wait_their_turn_and_are_told_when_it_does_not_come(postgres, monkeypatch):
    monkeypatch.setattr(postgres_reading, "READ_WAIT_S", 0.01)
    monkeypatch.setattr(postgres_reading, "MOST_READERS", 1)
    with PostgresLog(*postgres) as log:
        with log._reading("test"), pytest.raises(BusyError, match="position: 1 threads read already"):
            _ = log.position
        assert log.position == 0


@pytest.mark.fault
def test_a_full_disk_acknowledges_nothing_and_the_log_goes_on_afterwards(postgres):
    dsn, schema = postgres
    with PostgresLog(dsn, schema) as log:
        log.append([event(1)])
        run(
            dsn,
            f"""
            CREATE FUNCTION {schema}.no_space() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN RAISE 'could not extend file: No space left on device' USING ERRCODE = '53100'; END$$;
            CREATE TRIGGER no_space BEFORE INSERT ON {schema}.events EXECUTE FUNCTION {schema}.no_space()
            """,
        )
        with pytest.raises(FullError, match=r"No space left.*nothing was kept.*make space there"):
            log.append([event(2), event(3)])
        assert log.position == 1
        assert log.user_ids() == ["u1"]
        run(dsn, f"DROP TRIGGER no_space ON {schema}.events")
        assert log.append([event(3), event(2)]).position == 3
        assert log.user_ids() == ["u1", "u0", "u2"]


@pytest.mark.fault
def test_a_server_that_takes_no_writes_keeps_exposures_waiting_until_it_does(postgres, monkeypatch):
    monkeypatch.setattr(pending, "MOST_PENDING", 3)
    with PostgresLog(*postgres) as log:
        log._transactions._connection.execute("SET default_transaction_read_only = on")
        for name in "abc":
            log.append_exposure(exposure(name))
        with pytest.raises(StoreError, match=r"25006.*nothing was kept.*takes no writes"):
            log.flush()
        with pytest.raises(BusyError, match="3 exposures wait for the disk"):
            log.append_exposure(exposure("d"))
        assert log.exposure("b") == exposure("b")
        assert log.exposures() == []
        log._transactions._connection.execute("SET default_transaction_read_only = off")
        log.flush()
        assert [each.request_id for each in log.exposures()] == ["a", "b", "c"]


@pytest.mark.fault
def test_cut_connections_are_made_anew_unnoticed(postgres):
    with PostgresLog(*postgres) as log:
        log.append([event(1)])
        assert log.position == 1
        end_sessions(postgres)
        assert log.append([event(2)]).position == 2
        end_sessions(postgres)
        assert len(log.read()) == 2


@pytest.mark.fault
def test_who_lost_the_log_to_another_writer_writes_nothing_until_that_one_is_gone(postgres):
    with PostgresLog(*postgres) as first:
        first.append([event(1)])
        end_sessions(postgres)
        with PostgresLog(*postgres) as second:
            second.append([event(2)])
            with pytest.raises(StoreError, match="is another process writing to this log"):
                first.append([event(3)])
            assert second.append([event(3)]).position == 3
        assert first.append([event(3), event(4)]).position == 4
        assert first.user_ids() == ["u1", "u2", "u0"]


@pytest.mark.fault
@pytest.mark.parametrize("kept", [True, False])
def test_a_commit_whose_answer_was_lost_is_claimed_neither_way_and_may_be_sent_again(postgres, kept):
    dsn, schema = postgres
    with PostgresLog(dsn, schema) as log:
        log.append([event(1)])
        # ends the session in the middle of the commit
        run(
            dsn,
            f"""
            CREATE FUNCTION {schema}.gone() RETURNS trigger LANGUAGE plpgsql AS
            $$BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END$$;
            CREATE CONSTRAINT TRIGGER gone AFTER INSERT ON {schema}.events DEFERRABLE INITIALLY DEFERRED
            FOR EACH ROW EXECUTE FUNCTION {schema}.gone()
            """,
        )
        with pytest.raises(StoreError, match=r"whether it was kept is not known: send it again"):
            log.append([event(2)])
        run(dsn, f"DROP TRIGGER gone ON {schema}.events")
        if kept:  # as if the answer alone had been lost
            end_sessions(postgres)
            with PostgresLog(dsn, schema) as other:
                other.append([event(2)])
        assert log.append([event(2)]).duplicates == kept
        assert [(at, record.id) for at, record in log.read()] == [(1, "e1"), (2, "e2")]
        assert log.user_ids() == ["u1", "u2"]


@pytest.mark.fault
def test_what_was_acknowledged_is_there_once_after_the_server_was_killed_under_load(postgres_server):
    log = PostgresLog(postgres_server.dsn, "killed")
    acknowledged, refusals, done = set(), [], []

    def send(lane):
        number = 0
        while not done or number < 20:
            record = Event(id=f"e{lane}-{number}", user=f"u{lane}{number % 5}", item="i", time=number)
            try:
                log.append([record, ItemPut(id="i", time=lane * 1_000_000 + number)])
            except StoreError as problem:
                refusals.append(str(problem))
            else:
                acknowledged.add(record.id)
                number += 1

    threads = [Thread(target=send, args=(lane,)) for lane in range(6)]
    for thread in threads:
        thread.start()
    for _ in range(3):
        before = len(acknowledged)
        while len(acknowledged) < before + 30:
            assert any(thread.is_alive() for thread in threads)
        postgres_server.stop("immediate")
        postgres_server.start()
    done.append(True)
    for thread in threads:
        thread.join()
    log.close()
    with PostgresReader(postgres_server.dsn, "killed") as reader:
        records = reader.read(limit=1_000_000)
        users = reader.user_ids()
    events = [record.id for _, record in records if isinstance(record, Event)]
    puts = [record.time for _, record in records if isinstance(record, ItemPut)]
    assert sorted(events) == sorted(acknowledged)
    assert len(set(puts)) == len(puts) == len(events)
    assert [at for at, _ in records] == list(range(1, len(records) + 1))
    assert len(users) == len(set(users)) == 30
    assert refusals
    assert all("send it again" in refusal for refusal in refusals)


@pytest.mark.fault
def test_a_standby_can_be_read_and_takes_over(postgres_server, postgres):
    _, schema = postgres
    with PostgresLog(postgres_server.dsn, schema) as log, postgres_server.standby() as second:
        log.append([event(1)])
        hosts = f"{postgres_server.folder},{second.folder}"
        both = f"host={hosts} user=postgres dbname=postgres target_session_attrs=read-write"
        with PostgresReader(second.dsn, schema) as reader:
            while not reader.position:
                pass
            assert reader.columns().user.tolist() == [0]
            with pytest.raises(StoreError, match="is a standby and takes no writes"):
                PostgresLog(second.dsn, schema)
        log.close()
        with PostgresLog(both, schema) as following:
            postgres_server.stop("immediate")
            second.promote()
            assert following.append([event(2)]).position == 2
    postgres_server.start()


def test_a_server_that_may_lose_what_it_acknowledged_is_told_of():
    with (
        cluster("listen_addresses='' fsync=off full_page_writes=off") as server,
        PostgresLog(server.dsn) as log,
    ):
        assert [doubt.split(":")[0] for doubt in log.doubts()] == [
            "the server's fsync is off",
            "the server's full_page_writes is off",
        ]


def test_an_erased_user_is_in_no_table_once_they_are_rewritten():
    secret = "Xq7-very-rare-name"
    with cluster() as server, PostgresLog(server.dsn) as log:
        log.append([Event(id=f"{secret}{n}", user=secret, item="i", time=n) for n in range(50)])
        log.append([event(n) for n in range(500)])
        log.append_exposure(exposure("r", secret))
        log.erase_user(secret, at=1)
        for table in ("names", "events", "puts", "exposures"):
            run(server.dsn, f"VACUUM FULL polyscene.{table}")
        run(server.dsn, "CHECKPOINT")
        files = [file for file in (server.folder / "data" / "base").rglob("*") if file.is_file()]
        assert any(b"e499" in file.read_bytes() for file in files)
        assert not [file.name for file in files if secret.encode() in file.read_bytes()]
