from concurrent.futures import ThreadPoolExecutor
from threading import Event as Flag

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.errors import DataError, InputError, NotFoundError
from polyscene.core.queries import HISTORY_COLUMNS
from polyscene.dataset import pasts, world
from polyscene.dataset.world import World
from polyscene.events.event import Event, ItemPut, UserPut
from polyscene.events.memory import MemoryLog
from polyscene.events.postgres import PostgresLog
from polyscene.events.sqlite import SqliteLog

BASE = 1_700_000_000_000


def event(number: int, user: str = "u", item: str = "a", time: int = 0, **more) -> Event:
    return Event(id=f"e{number}", user=user, item=item, time=BASE + time, **more)


def put(item: str, time: int = 0, **more) -> ItemPut:
    return ItemPut(id=item, time=BASE + time, **more)


@pytest.fixture(params=["memory", "sqlite", "postgres"])
def log(request, tmp_path):
    if request.param == "memory":
        found = MemoryLog()
    elif request.param == "sqlite":
        found = SqliteLog(tmp_path / "log.sqlite")
    else:
        found = PostgresLog(*request.getfixturevalue("postgres"))
    yield found
    found.close()


def items_of(sight, user: str, last: int = 99) -> list[str]:
    return sight.codes.ids_of(sight.history(user, last)["item"])


def catalogue_of(sight) -> dict:
    """All that is told of every item, by id."""
    catalogue = sight.catalogue
    found = {}
    for code in range(catalogue.size):
        facts = {}
        for name, column in catalogue.columns.items():
            values = column.values
            if isinstance(values, Ragged):
                facts[name] = [column.vocabulary[tag] for tag in values[code]]
            elif column.type == "category":
                facts[name] = column.vocabulary[values[code]] if values[code] >= 0 else None
            elif column.type == "text" or not np.isnan(values[code]):
                facts[name] = str(values[code]) if column.type == "text" else float(values[code])
        facts = {name: value for name, value in facts.items() if value not in (None, "", [])}
        kind = catalogue.kind_names[catalogue.kinds[code]]
        found[sight.codes.id(code)] = (
            facts,
            bool(catalogue.active[code]),
            kind,
            int(catalogue.put_at[code]),
        )
    return found


def told(sight, users=("u", "v", "w")) -> dict:
    """Everything a request could see."""
    return {
        "catalogue": catalogue_of(sight),
        "histories": {
            user: {name: column.tolist() for name, column in sight.history(user, 99).items()}
            for user in users
        },
        "seen": {user: sight.seen(user).tolist() for user in users},
    }


def test_an_event_counts_and_a_put_is_eligible_after_one_refresh(log):
    live = World.open(log)
    assert live.refresh() == 0
    log.append([event(1, item="a"), put("b", kind="song", attributes={"year": 1999})])
    assert items_of(live, "u") == []
    assert live.refresh() == 2
    assert items_of(live, "u") == ["a"]
    assert catalogue_of(live) == {
        "a": ({}, True, "item", BASE),
        "b": ({"year": 1999.0}, True, "song", BASE),
    }
    assert live.view.catalogue is live.catalogue
    assert live.position == log.position == 2


def test_histories_stand_by_time_with_ties_as_they_came(log):
    log.append([event(1, item="a", time=5), event(2, item="b", time=5)])
    live = World.open(log)
    assert items_of(live, "u") == ["a", "b"]
    log.append(
        [event(3, item="c", time=5), event(4, item="d", time=1, action="like", value=3.0, scenario="home")]
    )
    live.refresh()
    assert items_of(live, "u") == ["d", "a", "b", "c"]
    assert items_of(live, "u", last=2) == ["b", "c"]
    assert items_of(live, "u", last=0) == []
    rows = live.history("u", 99)
    assert {name: rows[name].dtype for name in rows} == {
        name: np.dtype(t) for name, t in HISTORY_COLUMNS.items()
    }
    assert live.actions[rows["action"][0]] == "like"
    assert live.scenarios[rows["scenario"][0]] == "home"
    assert rows["value"].tolist() == [3, 1, 1, 1]
    assert live.codes.ids_of(live.seen("u")) == ["a", "b", "c", "d"]


def test_an_unknown_user_has_an_empty_history(log):
    live = World.open(log)
    assert {name: column.tolist() for name, column in live.history("nobody", 5).items()} == {
        name: [] for name in HISTORY_COLUMNS
    }
    assert live.seen("nobody").tolist() == []


def test_a_moment_stays_as_it_was_while_the_world_moves_on(log):
    log.append([event(1, item="a"), put("a", attributes={"year": 1})])
    live = World.open(log)
    items_of(live, "u")
    moment = live.now
    before = told(moment)
    log.append(
        [event(2, item="b"), put("a", 1, attributes={"year": 2}), put("c", delete=True), event(3, user="v")]
    )
    live.refresh()
    assert told(moment) == before
    assert moment.codes.codes(["b"]).tolist() == [-1]
    assert live.codes.codes(["b"]).tolist() == [1]
    assert live.seen("v").tolist() == [0]


def test_an_erased_user_is_gone_from_every_moment(log):
    log.append([event(1, user="u", item="a"), event(2, user="v", item="b"), event(3, user="u", item="c")])
    live = World.open(log)
    moment = live.now
    assert items_of(live, "u") == ["a", "c"]
    log.erase_user("u", BASE)
    live.refresh()
    for sight in (live, moment, live.as_of(2), World.open(log)):
        assert items_of(sight, "u") == []
        assert sight.seen("u").tolist() == []
        assert sight.users.code("u") == -1
        assert items_of(sight, "v") == ["b"]
    log.append([event(9, user="u", item="b")])
    live.refresh()
    assert items_of(live, "u") == ["b"]
    assert live.users.code("u") == World.open(log).users.code("u") == 2


def test_rows_beyond_those_in_memory_come_from_the_log(log, monkeypatch):
    monkeypatch.setattr(pasts, "ROWS", 3)
    monkeypatch.setattr(pasts, "USERS", 1)
    log.append([event(number, item=f"i{number}", time=number) for number in range(6)])
    live = World.open(log)
    assert items_of(live, "u", 2) == ["i4", "i5"]
    early = live.now
    log.append([event(number, item=f"i{number}", time=number) for number in range(6, 10)])
    log.append([event(99, user="v", item="i0", time=-1)])
    live.refresh()
    for _ in range(2):
        assert items_of(live, "u", 2) == ["i8", "i9"]
        assert items_of(live, "u", 99) == [f"i{number}" for number in range(10)]
        assert len(live.seen("u")) == 10
        assert items_of(early, "u", 4) == ["i2", "i3", "i4", "i5"]
        assert len(early.seen("u")) == 6
        assert items_of(live, "v") == ["i0"]


def test_a_type_clash_is_found_before_the_append_and_left_out_after_it(log):
    log.append([put("a", attributes={"year": 1990, "genre": "x"})])
    live = World.open(log)
    clash = put("b", attributes={"year": "old", "genre": "y"})
    with pytest.raises(InputError, match="item 'b': attribute 'year'"):
        live.check([clash])
    log.append([clash])
    live.refresh()
    assert catalogue_of(live)["b"][0] == {"genre": "y"}
    assert "year" in live.problems[0]
    assert told(World.open(log)) == told(live)


def test_user_puts_make_a_user_known(log):
    live = World.open(log)
    log.append([UserPut(id="u", time=BASE, attributes={"age": 3})])
    live.refresh()
    assert live.users.code("u") == 0
    assert items_of(live, "u") == []


def test_a_position_that_is_not_there_yet_is_refused(log):
    log.append([event(1)])
    live = World.open(log)
    with pytest.raises(NotFoundError, match="ends at 1"):
        live.as_of(2)
    log.append([event(2)])
    assert live.as_of(2).position == 2


def test_a_log_that_ran_far_ahead_is_read_anew(log, monkeypatch):
    monkeypatch.setattr(world, "FAR_BEHIND", 2)
    live = World.open(log)
    log.append(
        [event(1), put("b", attributes={"year": 1}), event(2, item="b"), event(3, user="v", item="c")]
    )
    assert live.refresh() == 4
    assert told(live) == told(World.open(log))


class TestTrainingData:
    def test_it_holds_all_events_under_the_codes_of_the_log(self, log):
        log.append([put("x"), event(1, "v", "b", 3), event(2, "u", "a", 2), event(3, "v", "a", 3)])
        live = World.open(log)
        log.append([event(4, "v", "late", 9)])
        data = live.data()
        assert data.users.tolist() == [0, 1]
        assert [live.codes.ids_of(data.histories.ragged("item")[row]) for row in range(2)] == [
            ["b", "a"],
            ["a"],
        ]
        assert data.catalogue is live.catalogue
        assert (data.at, data.clock, data.size) == (BASE + 4, True, 3)
        assert {name: data.histories[name].dtype for name in HISTORY_COLUMNS} == {
            name: np.dtype(dtype) for name, dtype in HISTORY_COLUMNS.items()
        }
        assert data.actions == ("interaction",)

    def test_as_of_a_time_nothing_later_is_told(self, log):
        log.append(
            [
                put("a", 1, attributes={"year": 1}),
                put("b", 8, attributes={"year": 2}),
                put("a", 7, attributes={"year": 3}),
                event(1, "u", "c", 2),
                event(2, "u", "d", 9),
                put("c", 8, delete=True),
            ]
        )
        live = World.open(log)
        data = live.data(at=BASE + 5)
        assert data.at == BASE + 5
        assert live.codes.ids_of(data.histories["item"]) == ["c"]
        assert catalogue_of(_Seen(live, data.catalogue)) == {
            "a": ({"year": 1.0}, True, "item", BASE + 1),
            "b": ({}, False, "item", 0),
            "c": ({}, True, "item", BASE + 2),
            "d": ({}, False, "item", 0),
        }

    def test_positions_are_no_clock(self, log):
        log.append([Event(id=str(place), user="u", item="a", time=place) for place in range(3)])
        assert World.open(log).data().clock is False

    def test_a_log_without_events_has_no_data(self, log):
        log.append([put("a"), event(1, time=5)])
        live = World.open(log)
        with pytest.raises(DataError, match="no events before"):
            live.data(at=BASE)
        with pytest.raises(DataError, match="ingest"):
            World.open(MemoryLog()).data()


class _Seen:
    """A catalogue beside the codes it speaks of."""

    def __init__(self, live: World, catalogue) -> None:
        self.codes, self.catalogue = live.codes, catalogue


RECORDS = st.one_of(
    st.builds(
        lambda user, item, time, action: ("event", user, item, time, action),
        st.sampled_from("uvw"),
        st.sampled_from("abcdef"),
        st.integers(0, 20),
        st.sampled_from(["interaction", "like"]),
    ),
    st.builds(
        lambda item, time, flag, year, tags: ("put", item, time, flag, year, tags),
        st.sampled_from("abcdef"),
        st.integers(0, 20),
        st.sampled_from(["put", "patch", "delete"]),
        st.none() | st.integers(0, 3),
        st.lists(st.sampled_from("xyz"), max_size=2),
    ),
)


def record_of(number: int, raw: tuple):
    if raw[0] == "event":
        return event(number, raw[1], raw[2], raw[3], action=raw[4])
    _, item, time, flag, year, tags = raw
    attributes = {} if flag == "delete" else {"year": year, "tags": tags, "number": number}
    return put(item, time, attributes=attributes, delete=flag == "delete", patch=flag == "patch")


@given(st.lists(st.lists(RECORDS, min_size=1, max_size=4), max_size=6), st.booleans())
def test_live_equals_a_fresh_reading_and_every_past_position(batches, asks_between):
    log = MemoryLog()
    live = World.open(log)
    number, kept = 0, {}
    for batch in batches:
        records = []
        for raw in batch:
            number += 1
            records.append(record_of(number, raw))
        log.append(records)
        live.refresh()
        kept[live.position] = told(live)
        if asks_between:
            assert told(World.open(log)) == kept[live.position]
    late = World.open(log)
    for position, before in kept.items():
        assert told(live.as_of(position)) == before
        assert told(late.as_of(position)) == before


def test_many_readers_see_whole_moments_while_one_writes(tmp_path):
    """Event n of user u is item i<n>, and it is put in the same append: a moment has both or neither."""
    log = SqliteLog(tmp_path / "log.sqlite")
    live, done = World.open(log), Flag()

    def read() -> int:
        looked = 0
        while not done.is_set() or not looked:
            moment = live.now
            items = items_of(moment, "u", 10_000)
            assert items == [f"i{number}" for number in range(len(items))]
            assert moment.catalogue.size == len(moment.codes) == len(items)
            assert moment.seen("u").tolist() == list(range(len(items)))
            years = moment.catalogue.columns["year"].values if items else np.zeros(0)
            assert years.tolist() == list(range(len(items)))
            looked += 1
        return looked

    with ThreadPoolExecutor(4) as readers:
        tasks = [readers.submit(read) for _ in range(4)]
        try:
            for number in range(60):
                item = f"i{number}"
                log.append(
                    [put(item, number, attributes={"year": number}), event(number, item=item, time=number)]
                )
                live.refresh()
        finally:
            done.set()
        assert min(task.result() for task in tasks) > 0
    log.close()
