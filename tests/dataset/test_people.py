"""What users say of themselves: held to a reading of the whole log by hand."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from polyscene.core.errors import InputError
from polyscene.dataset.world import World
from polyscene.events.event import Event, Merge, UserPut
from polyscene.events.memory import MemoryLog
from polyscene.events.sqlite import SqliteLog

BASE = 1_700_000_000_000
USERS = "uvgh"


def event(number: int, user: str) -> Event:
    return Event(id=f"e{number}", user=user, item="a", time=BASE + number)


def put(user: str, time: int = 0, *, patch: bool = False, **attributes) -> UserPut:
    return UserPut(id=user, time=BASE + time, attributes=attributes, patch=patch)


@pytest.fixture(params=["memory", "sqlite"])
def log(request, tmp_path):
    found = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.sqlite")
    yield found
    found.close()


def said(sight, user: str, name: str = "town"):
    """One attribute as parts read it: by the code that a query has."""
    people, code = sight.people, sight.user(user)
    if name not in people.columns or not 0 <= code < people.size:
        return None
    column = people.columns[name]
    if column.type == "category":
        return column.vocabulary[column.values[code]] if column.values[code] >= 0 else None
    return None if column.values[code] != column.values[code] else column.values[code]


def test_what_users_say_is_seen_at_once_and_as_of_any_position(log):
    world = World.open(log)
    for record in (put("u", town="Bonn", age=30), event(0, "v"), put("u", town="Rome", patch=True)):
        log.append([record])
        world.refresh()
    assert (said(world, "u"), said(world, "u", "age"), said(world, "v")) == ("Rome", 30.0, None)
    assert [said(world.as_of(position), "u") for position in (1, 2, 3)] == ["Bonn", "Bonn", "Rome"]
    log.append([put("u", age=31)])
    world.refresh()
    assert (said(world, "u"), said(world, "u", "age")) == (None, 31.0)


def test_a_fit_knows_what_was_said_before_its_time(log):
    log.append([event(0, "u"), put("u", 1, town="Bonn"), put("u", 5, town="Rome")])
    world = World.open(log)
    assert world.data().people.columns["town"].vocabulary == ("Bonn", "Rome")
    assert world.data(BASE + 3).people.columns["town"].vocabulary == ("Bonn",)
    assert world.data(BASE + 1).people.size == 0


def test_a_guest_speaks_for_the_user_it_was_merged_into(log):
    log.append([event(0, "u"), event(1, "g"), put("g", town="Bonn", age=20), put("u", age=30)])
    world = World.open(log)
    log.append([Merge(source="g", target="u", time=BASE + 9)])
    world.refresh()
    assert (said(world, "u"), said(world, "u", "age"), said(world, "g")) == ("Bonn", 30.0, "Bonn")
    assert said(world.as_of(4), "u") is None
    assert said(World.open(log), "u") == "Bonn"
    log.append([put("g", town="Rome")])
    world.refresh()
    assert said(world, "u") == "Rome"


def test_of_an_erased_user_no_word_stays(log):
    log.append([event(0, "u"), event(1, "v"), put("u", town="Bonn"), put("v", town="Rome")])
    world = World.open(log)
    world.refresh()
    log.append([event(2, "v")])
    world.refresh()
    assert said(world.as_of(4), "u") == "Bonn"
    log.erase_user("u", BASE)
    world.refresh()
    for sight in (world, world.as_of(4), World.open(log)):
        assert said(sight, "u") is None
        assert said(sight, "v") == "Rome"
        assert "Bonn" not in sight.people.columns["town"].vocabulary


def test_of_an_erased_user_no_word_stays_where_a_world_starts_afresh(log, monkeypatch):
    log.append([event(0, "u"), event(1, "v"), put("u", town="Bonn"), put("v", town="Rome")])
    world = World.open(log)
    log.append([put("v", town="Oslo")])
    world.refresh()
    assert said(world.as_of(4), "u") == "Bonn"
    log.erase_user("u", BASE)
    log.append([event(number, "v") for number in range(2, 8)])
    monkeypatch.setattr("polyscene.dataset.world.FAR_BEHIND", 2)
    world.refresh()
    for sight in (world, world.as_of(4)):
        assert "Bonn" not in sight.people.columns["town"].vocabulary


def test_an_attribute_of_another_type_is_left_out_and_told(log):
    log.append([event(0, "u"), event(1, "v"), put("u", age=30)])
    world = World.open(log)
    with pytest.raises(InputError, match="user 'v': attribute 'age' is 'old'"):
        world.check([put("v", age="old")])
    log.append([put("v", age="old")])
    world.refresh()
    assert said(world, "v", "age") is None
    assert "user 'v': attribute 'age' is 'old' (category), but earlier users" in world.problems[-1]


@given(
    st.lists(
        st.one_of(
            st.builds(
                put,
                st.sampled_from(USERS),
                st.just(0),
                patch=st.booleans(),
                town=st.sampled_from(["Bonn", "Rome", None]),
                age=st.sampled_from([1.0, 2.0, None]),
            ),
            st.builds(
                lambda pair: Merge(source=pair[0], target=pair[1], time=BASE), st.permutations(USERS)
            ),
        ),
        max_size=12,
    ),
    st.integers(1, 4),
)
def test_pieces_and_the_whole_tell_the_same(records, size):
    log = MemoryLog()
    log.append([event(number, user) for number, user in enumerate(USERS)])
    world = World.open(log)
    for start in range(0, len(records), size):
        log.append(records[start : start + size])
        world.refresh()
    fresh = World.open(log)
    for user in USERS:
        for name in ("town", "age"):
            assert said(world, user, name) == said(fresh, user, name)
            assert said(world.as_of(world.position), user, name) == said(fresh, user, name)
