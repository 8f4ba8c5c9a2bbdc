"""The intake without HTTP: futures, limits, merges, what lines are told."""

from concurrent.futures import ThreadPoolExecutor

import pytest

from polyscene.core.clock import FixedClock
from polyscene.core.errors import BusyError, ConflictError, InputError, NotFoundError, StoreError
from polyscene.dataset.world import World
from polyscene.events.event import EdgePut, Event, Exposure, ItemPut, UserPut
from polyscene.events.log import Once
from polyscene.events.sqlite import SqliteLog
from polyscene.jobs import attribution, intake
from polyscene.jobs.intake import Intake

NOW = 1_790_000_000_000


@pytest.fixture
def log(tmp_path):
    log = SqliteLog(tmp_path / "log.sqlite")
    yield log
    log.close()


@pytest.fixture
def world(log):
    return World.open(log)


@pytest.fixture
def taking(log, world):
    return Intake(log, world, FixedClock(NOW))


def event(number, user="u", item="a", **more):
    return Event(id=f"e{number}", user=user, item=item, **{"time": NOW + number, **more})


def items_of(world, user):
    return world.codes.ids_of(world.history(user, 10_000)["item"])


def test_an_event_is_absorbed_before_its_receipt_comes(taking, world):
    for number in range(20):
        receipt = taking.event(event(number, item=f"i{number}")).result(10)
        assert world.position >= receipt.position
        assert items_of(world, "u")[-1] == f"i{number}"


def test_many_at_once_are_all_acknowledged_once_and_absorbed(taking, world):
    with ThreadPoolExecutor(4) as threads:
        futures = list(threads.map(lambda n: taking.event(event(n % 150, item=f"i{n % 150}")), range(300)))
    receipts = [future.result(10) for future in futures]
    assert sum(receipt.accepted for receipt in receipts) == 150
    assert sum(receipt.duplicates for receipt in receipts) == 150
    assert items_of(world, "u") == [f"i{number}" for number in range(150)]


def test_who_went_away_can_not_undo_an_event(taking, world):
    future = taking.event(event(1))
    assert not future.cancel()
    assert future.result(10).accepted == 1


def test_a_full_queue_refuses_and_takes_the_next_when_it_is_empty_again(taking, monkeypatch):
    monkeypatch.setattr(intake, "MOST_WAITING", 0)
    with pytest.raises(BusyError, match="wait for the disk"):
        taking.event(event(1))
    monkeypatch.setattr(intake, "MOST_WAITING", 1)
    for number in range(3):
        taking.event(event(number)).result(10)


def test_what_is_refused_takes_no_place(taking, log, monkeypatch):
    monkeypatch.setattr(intake, "MOST_WAITING", 1)
    for _ in range(3):
        with pytest.raises(InputError, match=r"records\[0\].time"):
            taking.event(event(1, time=5))
    assert taking.event(event(1), Once("k", b"a" * 16)).result(10).accepted == 1
    for _ in range(3):
        with pytest.raises(ConflictError):
            taking.event(event(2), Once("k", b"b" * 16)).result(10)
    assert taking.event(event(1), Once("k", b"a" * 16)).result(10).repeated
    log.close()
    for _ in range(3):
        with pytest.raises(StoreError):
            taking.event(event(3))


def test_everything_goes_once_under_a_key(taking):
    calls = (
        (taking.events, [event(1)]),
        (taking.items, [ItemPut(id="i", time=NOW)]),
        (taking.users, [UserPut(id="u", time=NOW)]),
        (taking.edges, [EdgePut(source="a", relation="r", target="b", time=NOW)]),
    )
    for number, (keep, records) in enumerate(calls):
        once = Once(f"key-{number}", b"d" * 16)
        first, again = keep(records, once), keep(records, once)
        assert (first.accepted, again.accepted, again.repeated) == (1, 1, True)
        with pytest.raises(ConflictError, match=f"key-{number}"):
            keep(records, Once(once.key, b"x" * 16))


def test_faults_name_every_bad_record_and_clashes_among_the_good(taking):
    taking.items([ItemPut(id="old", time=NOW, attributes={"year": 1})])
    found = taking.faults(
        [
            ItemPut(id="a", time=NOW, attributes={"year": "text"}),
            ItemPut(id="b", time=5),
            ItemPut(id="c", time=NOW, attributes={"new": 1, "year": "x"}),
            ItemPut(id="d", time=NOW, attributes={"new": "text"}),
            ItemPut(id="e", time=NOW, attributes={"new": 1}),
        ]
    )
    assert sorted(found) == [0, 1, 2, 4]
    assert "'year'" in found[0]
    assert found[1].startswith("time: ")
    taking.users([UserPut(id="u", time=NOW, attributes={"year": "a word, as items have a number"})])
    (clash,) = taking.faults([UserPut(id="v", time=NOW, attributes={"year": 7})]).values()
    assert clash.startswith("user 'v': attribute 'year' is '7' (number), but earlier users have a category")
    assert taking.faults([event(1), event(2, user="")]) == {1: "user: expected 1 to 512 characters, got 0"}


def test_a_person_has_a_bounded_number_of_ids(taking, monkeypatch):
    monkeypatch.setattr(intake, "MOST_GUESTS", 3)
    taking.merge("g1", "u", NOW)
    taking.merge("g2", "u", NOW)
    with pytest.raises(InputError, match="at most 3"):
        taking.merge("g3", "u", NOW)


def test_merges_at_the_same_moment_do_not_contradict_each_other(taking, world):
    def merge(user):
        try:
            return taking.merge("guest", user, NOW).accepted
        except ConflictError:
            return None

    with ThreadPoolExecutor(4) as threads:
        told = list(threads.map(merge, [f"u{number}" for number in range(8)]))
    assert sorted(told, key=str) == [1] + [None] * 7
    assert world.now.group("guest")[0] == f"u{told.index(1)}"


def test_nobody_can_not_be_forgotten(taking, log):
    with pytest.raises(NotFoundError, match="'never'"):
        taking.erase("never")
    log.append_exposure(
        Exposure(request_id="r", scenario="s", bundle="b", user="asked", time=1, seed=1, log_position=0)
    )
    assert taking.erase("asked").exposures == 1
    taking.users([UserPut(id="put", time=NOW)])
    assert taking.erase("put").puts == 1


def test_slates_are_remembered_within_bounds(taking, log, monkeypatch):
    monkeypatch.setattr(attribution, "REMEMBERED", 2)
    for number in range(4):
        log.append_exposure(
            Exposure(
                request_id=f"r{number}",
                scenario="s",
                bundle="b",
                time=1,
                seed=1,
                log_position=0,
                items=["a", "b"],
                scores=[1.0, 1.0],
                propensities=[1.0, 1.0],
            )
        )
    held = taking.attribution
    for number in (0, 1, 2, 3, 0):
        odd = event(number, item="c", request_id=f"r{number}")
        assert not held.remembers(odd)
        assert len(held.notes([odd, event(9, item="b", request_id=f"r{number}", position=1)])) == 1
        assert held.remembers(odd)
    assert held.notes([event(1), event(2, request_id="unknown")]) == []
    assert len(held.notes([event(number, item="c", request_id="r0") for number in range(500)])) == 100
