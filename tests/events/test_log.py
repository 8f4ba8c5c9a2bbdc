"""One suite over both logs, and a property that holds them to each other."""

from threading import Barrier, Thread

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyscene.core.errors import InputError
from polyscene.events.event import Erasure, Event, Exposure, ItemPut, UserPut
from polyscene.events.log import Bulk, nobody
from polyscene.events.memory import MemoryLog
from polyscene.events.sqlite import SqliteLog


@pytest.fixture(params=["memory", "sqlite"])
def log(request, tmp_path):
    log = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.db")
    yield log
    log.close()


def event(number, user="u", item="i", **fields):
    return Event(id=f"e{number}", user=user, item=item, **{"time": 1_000 + number, **fields})


def exposure(request_id, user="u", time=1, **fields):
    return Exposure(
        request_id=request_id,
        scenario="home",
        bundle="b",
        user=user,
        time=time,
        seed=7,
        log_position=3,
        **fields,
    )


FULL = event(
    9,
    action="buy",
    value=2.5,
    scenario="home",
    request_id="r",
    position=3,
    attributes={"price": 9.5, "tags": ["a"], "new": True, "note": "ü"},
)


def test_an_empty_log_answers_everything(log):
    assert log.position == 0
    assert log.read() == []
    assert len(log.columns()) == 0
    assert log.user_tail("u", 5) == []
    assert log.user_items("u").tolist() == []
    assert log.item_ids() == log.user_ids() == log.kind_names() == []
    assert log.item_puts() == []
    assert log.newest_time() is None
    assert log.exposure("r") is None
    assert log.exposures() == []
    log.flush()


def test_records_come_back_as_they_were_sent_in_their_order(log):
    records = [
        event(1),
        ItemPut(id="i", kind="film", time=5, attributes={"year": 1999, "gone": None}),
        UserPut(id="w", time=6, attributes={"age": 30}, patch=True),
        FULL,
        ItemPut(id="j", time=7, delete=True),
    ]
    receipt = log.append(records)
    assert (receipt.accepted, receipt.duplicates, receipt.conflicts) == (5, 0, ())
    assert receipt.position == log.position == 5
    assert log.read() == list(enumerate(records, start=1))
    assert log.read(since=2, limit=2) == [(3, records[2]), (4, FULL)]
    assert log.item_ids() == ["i", "j"]
    assert log.item_ids(since=1) == ["j"]
    assert log.user_ids() == ["u", "w"]
    assert log.action_names() == ["interaction", "buy"]
    assert log.scenario_names() == ["", "home"]
    assert log.kind_names() == ["film", "item"]


def test_a_resend_is_acknowledged_and_kept_once(log):
    log.append([event(1), event(2)])
    receipt = log.append([event(2), event(3), event(3)])
    assert (receipt.accepted, receipt.duplicates, receipt.conflicts, receipt.position) == (1, 2, (), 3)
    assert [record.id for _, record in log.read()] == ["e1", "e2", "e3"]


@pytest.mark.parametrize(
    "fields", [{"user": "v"}, {"value": 4.0}, {"attributes": {"a": 1}}, {"time": 2}, {"position": 1}]
)
def test_an_id_with_other_content_is_a_conflict_and_the_first_stays(log, fields):
    log.append([event(1)])
    other = msgspec.structs.replace(event(1), **fields)
    receipt = log.append([event(2), other])
    assert (receipt.accepted, receipt.duplicates, receipt.conflicts) == (1, 1, ("e1",))
    assert log.read() == [(1, event(1)), (2, event(2))]
    assert log.append([event(5), msgspec.structs.replace(event(5), **fields)]).conflicts == ("e5",)
    assert log.user_ids() == ["u"]


def test_a_put_counts_once_and_another_time_makes_it_another_put(log):
    put = ItemPut(id="i", time=5, attributes={"a": 1, "b": 2})
    same = ItemPut(id="i", time=5, attributes={"b": 2, "a": 1})
    assert log.append([put, same]).duplicates == 1
    assert log.append([put]).duplicates == 1
    assert log.append([ItemPut(id="i", time=6, attributes={"a": 1, "b": 2})]).accepted == 1
    assert log.append([UserPut(id="i", time=5, attributes={"a": 1, "b": 2})]).accepted == 1


def test_a_batch_with_one_bad_record_leaves_no_trace(log):
    with pytest.raises(InputError, match=r"records\[1\]\.user"):
        log.append([event(1), event(2, user="")])
    assert log.position == 0
    assert log.user_ids() == []
    assert log.append([event(1)]).position == 1


def test_columns_are_the_interactions_up_to_a_position(log):
    log.append(
        [event(1, "u", "i"), ItemPut(id="k", time=1), event(2, "v", "j", action="buy", value=0.5), FULL]
    )
    columns = log.columns()
    assert columns.position.tolist() == [1, 3, 4]
    assert columns.user.tolist() == [0, 1, 0]
    assert columns.item.tolist() == [0, 2, 0]
    assert columns.action.tolist() == [0, 1, 1]
    assert columns.scenario.tolist() == [0, 0, 1]
    assert columns.time.tolist() == [1_001, 1_002, 1_009]
    assert columns.value.tolist() == [1.0, 0.5, 2.5]
    assert log.columns(until=3).position.tolist() == [1, 3]
    assert [each.dtype.name for each in (columns.user, columns.time, columns.value)] == [
        "int32",
        "int64",
        "float32",
    ]


def test_item_puts_come_alone_and_the_newest_time_is_that_of_events(log):
    put, patch = ItemPut(id="i", time=9_000), ItemPut(id="i", time=1, patch=True, attributes={"a": None})
    log.append([put, event(7), UserPut(id="u", time=9_000), patch, event(2)])
    assert log.item_puts() == [(1, put), (4, patch)]
    assert log.item_puts(until=3) == [(1, put)]
    assert log.newest_time() == 1_007


def test_a_tail_is_by_time_then_arrival_and_sees_only_what_was_there(log):
    log.append([event(1, time=50), event(2, time=40), event(3, "v"), event(4, time=50), event(5, time=45)])
    assert [at for at, _ in log.user_tail("u", 10)] == [2, 5, 1, 4]
    assert [at for at, _ in log.user_tail("u", 2)] == [1, 4]
    assert [at for at, _ in log.user_tail("u", 2, until=2)] == [2, 1]
    assert log.user_tail("u", 0) == []
    assert log.columns(user="u").position.tolist() == [2, 5, 1, 4]
    assert log.columns(2, "u").position.tolist() == [2, 1]
    assert log.columns(user="u").item.tolist() == [
        log.item_ids().index(e.item) for _, e in log.user_tail("u", 10)
    ]
    assert len(log.columns(user="nobody")) == 0
    assert log.user_tail("v", 5) == [(3, event(3, "v"))]


def test_user_items_are_codes_without_repeats(log):
    log.append([event(1, "v", "a"), event(2, "u", "c"), event(3, "u", "b"), event(4, "u", "c")])
    assert log.user_items("u").tolist() == [1, 2]
    assert log.user_items("u").dtype == np.int32


def bulk(source="s", count=3):
    return Bulk(
        source,
        range(count),
        [f"u{n % 2}" for n in range(count)],
        [f"i{n}" for n in range(count)],
        ["rating"] * count,
        [""] * count,
        np.arange(count) + 10,
        np.arange(count, dtype=np.float32),
    )


def test_a_bulk_is_events_named_by_source_and_row(log):
    log.append([event(1)])
    receipt = log.append_columns(bulk())
    assert (receipt.accepted, receipt.duplicates, receipt.position) == (3, 0, 4)
    assert log.read(since=3) == [
        (4, Event(id="s:2", user="u0", item="i2", action="rating", time=12, value=2.0))
    ]
    again = log.append_columns(bulk(count=5))
    assert (again.accepted, again.duplicates) == (2, 3)
    assert len(log.columns()) == 6


def test_an_erased_user_is_gone_but_keeps_a_nameless_code(log):
    log.append(
        [event(1, "u"), event(2, "v"), UserPut(id="u", time=1), ItemPut(id="u", time=1), event(3, "u")]
    )
    log.append_exposure(exposure("r1", "u"))
    log.append_exposure(exposure("r2", "v"))
    erased = log.erase_user("u", at=99)
    assert (erased.events, erased.puts, erased.exposures, erased.position) == (2, 1, 1, 6)
    assert log.read() == [
        (2, event(2, "v")),
        (4, ItemPut(id="u", time=1)),
        (6, Erasure(user_code=0, time=99)),
    ]
    assert log.user_ids() == [nobody(0), "v"]
    assert log.user_tail("u", 5) == []
    assert log.columns().position.tolist() == [2]
    assert (log.exposure("r1"), log.exposure("r2")) == (None, exposure("r2", "v"))
    assert log.erase_user("u", at=100).position == 6
    assert log.append([event(1, "u")]).position == 7
    assert log.user_ids() == [nobody(0), "v", "u"]
    assert log.columns().user.tolist() == [1, 2]


def test_an_exposure_can_be_read_at_once_and_the_first_stays(log):
    first = exposure(
        "r", items=["i"], scores=[0.5], propensities=[1.0], ask={"k": 3}, trace={"a": [1, None]}
    )
    log.append_exposure(first)
    assert log.exposure("r") == first
    log.flush()
    log.append_exposure(exposure("r", time=2))
    log.flush()
    assert log.exposure("r") == first


def test_exposures_come_newest_first_and_by_user(log):
    for number, user in enumerate(["u", "v", None, "u"]):
        log.append_exposure(exposure(f"r{number}", user, time=number // 2))
    log.flush()
    assert [each.request_id for each in log.exposures()] == ["r2", "r3", "r0", "r1"]
    assert [each.request_id for each in log.exposures("u")] == ["r3", "r0"]
    assert [each.request_id for each in log.exposures(n=1)] == ["r2"]


def test_many_threads_share_the_log_and_every_event_is_there_once(tmp_path):
    log = SqliteLog(tmp_path / "log.db")
    start, receipts = Barrier(8), []

    def work(worker):
        start.wait()
        for number in range(40):
            # neighbours send the same events, so resends race each other
            shared = event(1_000 * (worker // 2) + number, f"u{number % 5}", f"i{worker}"[:1])
            receipts.append(log.append([shared]))

    threads = [Thread(target=work, args=(worker,)) for worker in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sum(receipt.accepted for receipt in receipts) == 160
    assert sum(receipt.duplicates for receipt in receipts) == 160
    assert [at for at, _ in log.read()] == list(range(1, 161))
    assert len({record.id for _, record in log.read()}) == 160
    log.close()


SMALL = st.sampled_from(["a", "b", "c"])
ATTRIBUTES = st.dictionaries(SMALL, st.sampled_from([None, True, 2, 0.5, "x", ["y", "z"]]), max_size=2)
RECORDS = st.one_of(
    st.builds(
        Event,
        id=st.sampled_from("123456"),
        user=SMALL,
        item=SMALL,
        time=st.integers(0, 3),
        action=SMALL,
        value=st.sampled_from([1.0, 0.1, -2.5]),
        scenario=st.sampled_from(["", "home"]),
        request_id=st.none() | SMALL,
        position=st.none() | st.integers(0, 2),
        attributes=ATTRIBUTES,
    ),
    st.builds(
        ItemPut, id=SMALL, kind=SMALL, time=st.integers(0, 2), attributes=ATTRIBUTES, delete=st.booleans()
    ),
    st.builds(UserPut, id=SMALL, time=st.integers(0, 2), attributes=ATTRIBUTES),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.lists(RECORDS, max_size=5)),
        st.tuples(st.just("erase"), SMALL),
        st.tuples(st.just("expose"), st.builds(exposure, SMALL, st.none() | SMALL, st.integers(0, 2))),
    ),
    max_size=8,
)


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_the_file_and_the_lists_always_agree(steps, tmp_path_factory):
    folder = tmp_path_factory.mktemp("twin")
    plain, durable = MemoryLog(), SqliteLog(folder / "log.db")
    for step, fact in steps:
        if step == "append":
            assert durable.append(fact) == plain.append(fact)
        elif step == "erase":
            assert durable.erase_user(fact, 5) == plain.erase_user(fact, 5)
        else:
            plain.append_exposure(fact)
            durable.append_exposure(fact)
    durable.close()
    with SqliteLog(folder / "log.db") as durable:
        assert everything(durable) == everything(plain)


def everything(log):
    columns = log.columns()
    return {
        "position": log.position,
        "records": log.read(),
        "some": log.read(since=2, limit=3),
        "columns": {name: getattr(columns, name).tolist() for name in columns.__slots__},
        "names": [
            log.user_ids(),
            log.item_ids(),
            log.action_names(),
            log.scenario_names(),
            log.kind_names(),
        ],
        "tails": [log.user_tail(user, 2, until=6) for user in "abc"],
        "items": [log.user_items(user).tolist() for user in "abc"],
        "puts": [log.item_puts(), log.item_puts(until=3)],
        "newest": log.newest_time(),
        "exposures": [log.exposures(), log.exposures("a"), log.exposure("b")],
    }
