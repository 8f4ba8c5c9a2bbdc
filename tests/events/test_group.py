from concurrent.futures import ThreadPoolExecutor, wait
from threading import Event as Signal

import pytest

from polyscene.core.errors import StoreError
from polyscene.events.event import Event
from polyscene.events.sqlite import SqliteLog


def event(number):
    return Event(id=f"e{number}", user="u", item="i", time=number)


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


def test_who_comes_while_the_disk_is_busy_shares_the_next_commit(log):
    statements, busy, go = [], Signal(), Signal()
    log._connection.set_trace_callback(statements.append)
    log._group.submit(lambda connection: (busy.set(), go.wait(30)))
    busy.wait(30)
    with ThreadPoolExecutor(20) as pool:
        receipts = [pool.submit(log.append, [event(number)]) for number in range(20)]
        while log._group._queue.qsize() < 20:
            assert not any(receipt.done() for receipt in receipts)
        go.set()
        wait(receipts)
    assert sum(receipt.result().accepted for receipt in receipts) == 20
    assert statements.count("COMMIT") == 2


def test_a_failing_group_keeps_nothing_and_tells_everybody_in_it(log):
    busy, go = Signal(), Signal()
    log._group.submit(lambda connection: (busy.set(), go.wait(30)))
    busy.wait(30)
    with ThreadPoolExecutor(2) as pool:
        good = pool.submit(log.append, [event(1)])
        while not log._group._queue.qsize():
            assert not good.done()
        bad = log._group.submit(lambda connection: connection.execute("SELECT * FROM missing"))
        go.set()
        for future in (good, bad):
            assert "nothing was kept: no such table: missing (SQLITE_ERROR)" in str(future.exception())
    assert log.position == 0
    assert log.append([event(1)]).position == 1


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_fault_of_the_program_leaves_nobody_waiting(log):
    future = log._group.submit(lambda connection: 1 / 0)
    with pytest.raises(StoreError, match="the writer failed"):
        future.result()
    log._group._thread.join()
    with pytest.raises(StoreError, match="the log is closed"):
        log.append([event(1)])
