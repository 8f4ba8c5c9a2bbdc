"""One suite over all logs, and a property that holds them to each other."""

from dataclasses import replace
from functools import partial
from itertools import count
from threading import Barrier, Thread

import msgspec
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from polyscene.core.clock import DAY_MS, FixedClock
from polyscene.core.errors import ConflictError, InputError
from polyscene.events.event import EdgePut, Erasure, Event, Exposure, ItemPut, Merge, UserPut
from polyscene.events.log import KEEP_KEYS_MS, Bulk, Once, nobody
from polyscene.events.memory import MemoryLog
from polyscene.events.postgres import PostgresLog
from polyscene.events.sqlite import SqliteLog


@pytest.fixture
def clock():
    return FixedClock(1_000 * DAY_MS)


def places(request, kind):
    """At each call, how to open a log in a place of its own; again and again, if it is durable."""
    numbers = count()
    if kind == "memory":
        return lambda: MemoryLog
    if kind == "sqlite":
        folder = request.getfixturevalue("tmp_path")
        return lambda: partial(SqliteLog, folder / f"log{next(numbers)}.db")
    dsn, schema = request.getfixturevalue("postgres")
    return lambda: partial(PostgresLog, dsn, f"{schema}_{next(numbers)}")


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def log(request, clock):
    log = places(request, request.param)()(clock=clock)
    yield log
    log.close()


@pytest.fixture(params=["sqlite", "postgres"])
def durable_places(request):
    return places(request, request.param)


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
    assert log.user_puts("u") == log.edge_puts() == log.merges() == []
    assert log.edges() == log.item_days("i") == log.newest() == []
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


def edge(source, relation, target, time=1, **fields):
    return EdgePut(source=source, relation=relation, target=target, time=time, **fields)


def merge(source, target, time=1):
    return Merge(source=source, target=target, time=time)


def test_edges_are_their_last_puts_in_the_order_of_their_ends(log):
    puts = [
        edge("b", "likes", "x", weight=2.5),
        edge("a", "knows", "b"),
        edge("a", "knows", "é"),
        edge("a", "likes", "x", time=9),
        edge("a", "likes", "x", time=3, weight=0.5),
        edge("b", "likes", "x", time=4, delete=True),
    ]
    assert log.append(puts).accepted == 6
    assert log.append([puts[0], edge("b", "likes", "x", weight=2.5)]).duplicates == 2
    assert log.edges() == [puts[1], puts[2], puts[4]]
    assert log.edges(n=1) == log.edges(target="b") == [puts[1]]
    assert log.edges(after=("a", "knows", "b"), n=1) == [puts[2]]
    assert log.edges(relation="knows", after=("a", "knows", "b")) == [puts[2]]
    assert log.edges("a", "likes", "x") == log.edges(target="x") == [puts[4]]
    assert log.edges(source="b") == log.edges(source="nobody") == []
    assert log.edge_puts() == log.read() == list(enumerate(puts, start=1))
    assert log.edge_puts(until=2) == log.read(limit=2)
    assert log.append([edge("b", "likes", "x", time=5)]).accepted == 1
    assert log.edges(source="b") == [edge("b", "likes", "x", time=5)]
    assert log.user_ids() == log.item_ids() == []


def test_merges_come_by_position_and_give_codes_to_both(log):
    log.append([event(1, "g"), merge("g", "u"), merge("h", "u", time=2)])
    assert log.append([merge("g", "u")]).duplicates == 1
    assert log.merges() == [(2, merge("g", "u")), (3, merge("h", "u", time=2))]
    assert log.merges(until=2) == [(2, merge("g", "u"))]
    assert log.user_ids() == ["g", "u", "h"]
    assert [record for _, record in log.read(since=1)] == [merge("g", "u"), merge("h", "u", time=2)]
    assert log.user_tail("u", 5) == []


def test_user_puts_are_those_of_one_id_and_the_newest_records_come_backwards(log):
    puts = [UserPut(id="u", time=9), UserPut(id="v", time=1), UserPut(id="u", time=3, patch=True)]
    log.append([*puts, event(1, "u"), edge("u", "r", "v"), ItemPut(id="u", time=1)])
    assert log.user_puts("u") == [(1, puts[0]), (3, puts[2])]
    assert log.newest() == log.read()[::-1]
    assert log.newest(4) == log.read()[:1:-1]


def test_an_items_days_count_events_by_action_and_slates_that_showed_it(log):
    day = 20_000 * DAY_MS
    log.append(
        [
            event(1, item="i", time=day, action="view"),
            event(2, "v", item="i", time=day + DAY_MS - 1, action="view"),
            event(3, item="i", time=day + 5, action="buy"),
            event(4, item="i", time=day + DAY_MS, action="view"),
            event(5, item="j", time=day, action="view"),
            event(6, item="i", time=-1, action="view"),
        ]
    )
    fields = {"scores": [0.0, 0.0], "propensities": [1.0, 1.0]}
    for name, user, time in (("a", "u", day + 7), ("b", None, day + 8), ("c", "u", day + DAY_MS)):
        log.append_exposure(exposure(name, user, time, items=["i", "only shown"], **fields))
    log.flush()
    log.append_exposure(exposure("a", "u", day, items=["i", "i"], **fields))
    log.flush()
    assert log.item_days("i") == [
        (-DAY_MS, "view", 1),
        (day, "buy", 1),
        (day, "exposure", 2),
        (day, "view", 2),
        (day + DAY_MS, "exposure", 1),
        (day + DAY_MS, "view", 1),
    ]
    assert log.item_days("only shown") == [(day, "exposure", 2), (day + DAY_MS, "exposure", 1)]
    log.erase_user("u", at=1)
    assert log.item_days("i") == [(day, "exposure", 1), (day, "view", 1)]
    assert log.item_days("only shown") == [(day, "exposure", 1)]


KEY = Once("key-1", b"a" * 16)


def test_a_key_is_done_once_and_tells_the_first_receipt_again(log):
    first = log.append([event(1), event(1, value=7.0)], once=KEY)
    assert (first.accepted, first.conflicts, first.repeated) == (1, ("e1",), False)
    log.append([event(2)])
    again = log.append([event(3)], once=KEY)
    assert again == replace(first, repeated=True)
    assert log.position == 2
    assert log.append([event(3)], once=Once("key-2", KEY.digest)).accepted == 1


def test_a_key_for_another_request_is_refused_and_nothing_is_kept(log):
    log.append([event(1)], once=KEY)
    with pytest.raises(ConflictError, match="idempotency key 'key-1': it was used for another request"):
        log.append([event(2)], once=replace(KEY, digest=b"b" * 16))
    assert log.position == 1
    assert log.append([event(2)]).position == 2


def test_a_key_of_a_refused_batch_is_free_and_an_old_one_is_forgotten(log, clock):
    with pytest.raises(InputError, match=r"records\[0\]\.user"):
        log.append([event(1, user="")], once=KEY)
    assert log.append([event(1)], once=KEY).accepted == 1
    clock.at += KEEP_KEYS_MS - 1
    assert log.append([event(2)], once=KEY).repeated
    clock.at += 1
    receipt = log.append([event(2)], once=Once("key-1", b"b" * 16))
    assert (receipt.accepted, receipt.repeated) == (1, False)


@pytest.mark.parametrize(
    ("once", "text"),
    [
        (Once("", b"a" * 16), r"once\.key: expected 1 to 255 printable ASCII characters, got ''"),
        (Once("x" * 256, b"a" * 16), r"once\.key"),
        (Once("ü", b"a" * 16), r"once\.key"),
        (Once("a\n", b"a" * 16), r"once\.key"),
        (Once("a", b"a" * 15), r"once\.digest: expected 16 bytes"),
    ],
)
def test_a_bad_key_is_refused_by_field(log, once, text):
    with pytest.raises(InputError, match=text):
        log.append([event(1)], once=once)
    assert log.position == 0


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


def test_with_a_user_go_its_guests_its_edges_its_merges_and_keys_that_tell_of_ids(log):
    log.append([event(1, "u"), event(2, "g"), event(3, "h"), event(4, "v"), UserPut(id="h", time=1)])
    log.append([merge("h", "g"), merge("g", "u"), merge("v", "w"), merge("u", "h", time=3)])
    log.append([edge("g", "knows", "v"), edge("v", "knows", "u"), edge("v", "knows", "w")])
    log.append([event(4, "v", value=7.0)], once=KEY)
    log.append([event(5, "v")], once=Once("kept", KEY.digest))
    log.append_exposure(exposure("r", "h"))
    erased = log.erase_user("u", at=99)
    assert (erased.events, erased.puts, erased.exposures, erased.position) == (3, 6, 1, 16)
    assert [record for _, record in log.read()] == [
        event(4, "v"),
        merge("v", "w"),
        edge("v", "knows", "w"),
        event(5, "v"),
        *(Erasure(user_code=code, time=99) for code in range(3)),
    ]
    assert log.user_ids() == [nobody(0), nobody(1), nobody(2), "v", "w"]
    assert log.edges() == [edge("v", "knows", "w")]
    assert [each for _, each in log.merges()] == [merge("v", "w")]
    assert not log.append([event(4, "v", value=7.0)], once=KEY).repeated
    assert log.append([event(5, "v")], once=Once("kept", KEY.digest)).repeated


def test_a_user_known_from_edges_alone_is_erased_too(log):
    log.append([edge("v", "knows", "u"), edge("u", "knows", "u")])
    assert log.erase_user("nobody", at=1).position == 2
    assert log.read(since=2) == []
    erased = log.erase_user("u", at=1)
    assert (erased.events, erased.puts, erased.position) == (0, 2, 3)
    assert log.read() == [(3, Erasure(user_code=0, time=1))]
    assert log.user_ids() == [nobody(0)]


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


def test_the_newest_events_come_backwards_page_by_page_and_by_user_or_item(log):
    log.append([event(1), event(2, "v"), ItemPut(id="i", time=1), event(3, "v", "j", time=5), event(4)])
    events = [pair for pair in log.read() if isinstance(pair[1], Event)][::-1]
    assert log.newest_events() == events
    assert log.newest_events(2) == events[:2]
    assert log.newest_events(2, before=events[1][0]) == events[2:]
    assert log.newest_events(user="v") == events[1:3]
    assert log.newest_events(user="v", item="i") == events[2:3]
    assert log.newest_events(item="i", before=2) == events[3:]
    assert log.newest_events(user="nobody") == log.newest_events(item="nothing") == []


def test_a_submitted_batch_is_acknowledged_through_its_future(log):
    once = Once("k", b"d" * 16)
    first = log.submit([event(1)], once=once).result(10)
    assert (first.accepted, log.position) == (1, 1)
    assert log.submit([event(1)], once=once).result(10) == replace(first, repeated=True)
    other = log.submit([event(2)], once=Once("k", b"e" * 16))
    assert log.submit([event(3)]).result(10).accepted == 1
    with pytest.raises(ConflictError):
        other.result(10)
    assert [each.id for _, each in log.read()] == ["e1", "e3"]
    with pytest.raises(InputError):
        log.submit([event(4, "")])


def test_exposures_come_newest_first_and_by_user(log):
    for number, user in enumerate(["u", "v", None, "u"]):
        log.append_exposure(exposure(f"r{number}", user, time=number // 2))
    log.flush()
    assert [each.request_id for each in log.exposures()] == ["r2", "r3", "r0", "r1"]
    assert [each.request_id for each in log.exposures("u")] == ["r3", "r0"]
    assert [each.request_id for each in log.exposures(n=1)] == ["r2"]
    assert [each.request_id for each in log.exposures(after=(1, "r2"))] == ["r3", "r0", "r1"]
    assert [each.request_id for each in log.exposures(n=1, after=(0, "r0"))] == ["r1"]
    assert [each.request_id for each in log.exposures("u", after=(1, "r2"))] == ["r3", "r0"]
    assert log.exposures(after=(0, "r1")) == []


def test_many_threads_share_the_log_and_every_event_is_there_once(durable_places):
    log = durable_places()()
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
    st.builds(edge, SMALL, st.sampled_from("rs"), SMALL, st.integers(0, 1), delete=st.booleans()),
    st.sampled_from([merge(*pair) for pair in ("ab", "ba", "bc", "ca")]),
)
KEYS = st.none() | st.builds(Once, st.sampled_from("kl"), st.sampled_from([b"1" * 16, b"2" * 16]))
SLATES = st.builds(
    lambda name, user, time, items: exposure(
        name, user, time, items=items, scores=[0.0] * len(items), propensities=[1.0] * len(items)
    ),
    SMALL,
    st.none() | SMALL,
    st.integers(0, 2),
    st.lists(SMALL, max_size=3),
)
STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("append"), st.tuples(st.lists(RECORDS, max_size=5), KEYS)),
        st.tuples(st.just("erase"), SMALL),
        st.tuples(st.just("expose"), SLATES),
    ),
    max_size=8,
)


QUICK = settings(deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.mark.parametrize("durable_places", ["sqlite"], indirect=True)
@settings(QUICK, max_examples=60)
@given(steps=STEPS)
def test_the_file_and_the_lists_always_agree(steps, durable_places):
    agree(durable_places(), steps)


@pytest.mark.parametrize("durable_places", ["postgres"], indirect=True)
@settings(QUICK, max_examples=20)
@given(steps=STEPS)
def test_the_server_and_the_lists_always_agree(steps, durable_places):
    agree(durable_places(), steps)


def agree(opened, steps):
    plain, durable = MemoryLog(), opened()
    for step, fact in steps:
        if step == "append":
            assert outcome(durable, *fact) == outcome(plain, *fact)
        elif step == "erase":
            assert durable.erase_user(fact, 5) == plain.erase_user(fact, 5)
        else:
            plain.append_exposure(fact)
            durable.append_exposure(fact)
    durable.close()
    with opened() as durable:
        assert everything(durable) == everything(plain)


def outcome(log, records, once):
    try:
        return log.append(records, once=once)
    except ConflictError as problem:
        return str(problem)


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
        "user puts": [log.user_puts(user) for user in "abc"],
        "edges": [
            log.edges(),
            log.edges("a", n=2),
            log.edges(relation="r", target="b"),
            log.edges(after=("b", "r", "a")),
        ],
        "relations": [log.edge_puts(), log.edge_puts(4), log.merges(), log.merges(4)],
        "days": [log.item_days(item) for item in "abc"],
        "newest": [log.newest_time(), log.newest(), log.newest(3)],
        "exposures": [log.exposures(), log.exposures("a"), log.exposure("b")],
    }
