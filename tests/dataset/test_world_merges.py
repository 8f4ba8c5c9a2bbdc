"""Guests that become users, impressions and edges: held to a model that folds a list of records."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.errors import DataError
from polyscene.dataset.world import World
from polyscene.events.event import IMPRESSION, EdgePut, Event, Merge
from polyscene.events.memory import MemoryLog
from polyscene.events.sqlite import SqliteLog

BASE = 1_700_000_000_000
USERS = "uvgh"


def event(number: int, user: str = "u", item: str = "a", time: int = 0, **more) -> Event:
    return Event(id=f"e{number}", user=user, item=item, time=BASE + time, **more)


def merge(source: str, target: str, time: int = 0) -> Merge:
    return Merge(source=source, target=target, time=BASE + time)


@pytest.fixture(params=["memory", "sqlite"])
def log(request, tmp_path):
    found = MemoryLog() if request.param == "memory" else SqliteLog(tmp_path / "log.sqlite")
    yield found
    found.close()


def items_of(sight, user: str, last: int = 99) -> list[str]:
    return sight.codes.ids_of(sight.history(user, last)["item"])


class Naive:
    """What a list of records says of every user as of a position, in the plainest way."""

    def __init__(self, records, until: int) -> None:
        self.into: dict[str, str] = {}
        self.events = []
        for at, record in records:
            if at > until:
                break
            if isinstance(record, Merge):
                if record.source not in self.into and self.person(record.target) != record.source:
                    self.into[record.source] = record.target
            elif isinstance(record, Event) and record.action != IMPRESSION:
                self.events.append((record.time, at, record))
        self.events.sort(key=lambda each: each[:2])

    def person(self, user: str) -> str:
        while user in self.into:
            user = self.into[user]
        return user

    def history(self, user: str) -> list[str]:
        person = self.person(user)
        return [each.item for _, _, each in self.events if self.person(each.user) == person]

    def data(self) -> dict[str, list[str]]:
        people = {self.person(each.user) for _, _, each in self.events}
        return {person: self.history(person) for person in people}


def told(sight) -> dict:
    found = {}
    for user in USERS:
        items = items_of(sight, user)
        assert sorted(set(items)) == sorted(sight.codes.ids_of(sight.seen(user)))
        assert items_of(sight, user, 2) == items[-2:]
        found[user] = items
    return found


def agree(live: World, log, positions) -> None:
    records = log.read()
    for position in positions:
        model, sight = Naive(records, position), live.as_of(position)
        assert told(sight) == {user: model.history(user) for user in USERS}
        for user in USERS:
            code = live.users.code(model.person(user))
            assert sight.user(user) == (code if user in live.users else -1)
    model = Naive(records, live.position)
    if not model.events:
        with pytest.raises(DataError):
            live.data()
        return
    data = live.data()
    histories = data.histories.ragged("item")
    grouped = {
        live.users.id(code): live.codes.ids_of(histories[row])
        for row, code in enumerate(data.users.tolist())
    }
    assert grouped == model.data()


ACTS = st.one_of(
    st.tuples(
        st.just("event"),
        st.sampled_from(USERS),
        st.sampled_from("abcd"),
        st.integers(0, 9),
        st.sampled_from(["like", "hide", IMPRESSION]),
    ),
    st.tuples(st.just("merge"), st.sampled_from(USERS), st.sampled_from(USERS), st.integers(0, 9)),
    st.tuples(st.just("erase"), st.sampled_from(USERS)),
    st.tuples(st.just("ask"), st.sampled_from(USERS)),
)


@settings(deadline=None)
@given(st.lists(st.tuples(ACTS, st.booleans()), max_size=25))
def test_merges_impressions_and_erasures_are_what_a_plain_fold_says(acts):
    log = MemoryLog()
    live = World.open(log)
    for number, (act, refresh) in enumerate(acts):
        match act:
            case ("event", user, item, time, action):
                log.append([event(number, user, item, time, action=action)])
            case ("merge", source, target, time) if source != target:
                log.append([merge(source, target, time)])
            case ("erase", user):
                log.erase_user(user, BASE)
            case ("ask", user):
                live.history(user, 3)
        if refresh:
            live.refresh()
    live.refresh()
    positions = range(live.position + 1)
    agree(live, log, positions)
    agree(live, log, reversed(positions))
    agree(World.open(log), log, positions)


def test_a_guest_counts_as_the_user_from_the_merge_on_and_not_before(log):
    log.append([event(1, "g", "a", 1), event(2, "u", "b", 2), event(3, "g", "c", 3)])
    live = World.open(log)
    assert (items_of(live, "g"), items_of(live, "u")) == (["a", "c"], ["b"])
    before = live.now
    log.append([merge("g", "u")])
    live.refresh()
    assert items_of(live, "g") == items_of(live, "u") == ["a", "b", "c"]
    assert live.seen("g").tolist() == live.seen("u").tolist() == [0, 1, 2]
    assert live.user("g") == live.user("u") == live.users.code("u")
    for sight in (before, live.as_of(3), World.open(log).as_of(3)):
        assert (items_of(sight, "g"), items_of(sight, "u")) == (["a", "c"], ["b"])
        assert sight.user("g") == live.users.code("g")
    log.append([event(4, "g", "d", 4), event(5, "u", "e", 0)])
    live.refresh()
    assert items_of(live, "g") == items_of(live, "u") == ["e", "a", "b", "c", "d"]
    assert items_of(live, "u", 2) == ["c", "d"]


def test_chains_end_at_the_last_user_and_circles_never_close(log):
    log.append([event(1, "g", "a", 1), event(2, "h", "b", 2), event(3, "u", "c", 3)])
    log.append([merge("g", "h"), merge("h", "u"), merge("u", "g"), merge("g", "v")])
    live = World.open(log)
    for user in "ghu":
        assert items_of(live, user) == ["a", "b", "c"]
    assert items_of(live, "v") == []
    assert items_of(live.as_of(4), "g") == items_of(live.as_of(4), "h") == ["a", "b"]
    assert items_of(live.as_of(4), "u") == ["c"]


def test_erasing_a_user_takes_its_guests_along_and_leaves_others(log):
    log.append([event(1, "g", "a", 1), event(2, "u", "b", 2), event(3, "v", "c", 3), merge("g", "u")])
    live = World.open(log)
    assert items_of(live, "g") == ["a", "b"]
    log.erase_user("u", BASE)
    live.refresh()
    for sight in (live, live.as_of(3), World.open(log)):
        assert (items_of(sight, "g"), items_of(sight, "u"), items_of(sight, "v")) == ([], [], ["c"])
    log.append([event(4, "g", "d", 4)])
    live.refresh()
    assert (items_of(live, "g"), items_of(live, "u")) == (["d"], [])


def test_a_user_who_was_erased_and_came_again_before_anybody_looked(log):
    log.append([event(1, "u", "a"), event(2, "v", "b")])
    live = World.open(log)
    log.erase_user("u", BASE)
    log.append([event(3, "u", "c"), event(4, "new", "d")])
    live.refresh()
    assert (items_of(live, "u"), items_of(live, "v"), items_of(live, "new")) == (["c"], ["b"], ["d"])
    assert live.users.ids == World.open(log).users.ids


def test_a_user_who_came_and_was_erased_before_anybody_looked(log):
    live = World.open(log)
    log.append([event(1, "u", "a")])
    log.erase_user("u", BASE)
    log.append([event(2, "v", "b")])
    live.refresh()
    assert (items_of(live, "u"), items_of(live, "v")) == ([], ["b"])


def test_an_impression_makes_an_item_known_and_is_no_act_of_a_user(log):
    live = World.open(log)
    log.append([event(1, "u", "a", action=IMPRESSION)])
    live.refresh()
    assert items_of(live, "u") == []
    assert bool(live.catalogue.active[live.codes.code("a")])
    with pytest.raises(DataError, match="no events"):
        live.data()
    log.append([event(2, "u", "b", 1)])
    live.refresh()
    assert items_of(live, "u") == items_of(World.open(log), "u") == ["b"]
    data = live.data()
    assert live.codes.ids_of(data.histories["item"]) == ["b"]
    assert (data.at, data.size) == (BASE + 2, 2)


def test_training_as_of_a_time_knows_only_merges_and_edges_of_before(log):
    def edge(target: str, time: int, **more) -> EdgePut:
        return EdgePut(source="u", relation="friend", target=target, time=BASE + time, **more)

    log.append([event(1, "g", "a", 1), event(2, "u", "b", 2), merge("g", "u", 5)])
    log.append([edge("v", 1), edge("w", 2), edge("w", 4, delete=True), edge("v", 6, weight=0.5)])
    live = World.open(log)
    assert live.users.ids_of(live.data().users) == ["u"]
    early = live.data(at=BASE + 4)
    assert live.users.ids_of(early.users) == ["g", "u"]
    assert list(zip(early.edges.target, early.edges.weight, strict=True)) == [("v", 1.0), ("w", 1.0)]
    late = live.data()
    assert list(zip(late.edges.target, late.edges.weight, strict=True)) == [("v", 0.5)]
    assert late.edges.users.tolist() == [[live.users.code("u"), -1]]
    assert live.data(at=BASE + 3).edges is not None
    assert World.open(log).data(at=BASE + 2).edges.relation.tolist() == ["friend"]


def test_an_absorbed_position_needs_no_reading(log):
    live = World.open(log)
    log.append([event(1)])
    assert live.refresh(upto=1) == 1
    log.append([event(2, item="b")])
    assert live.refresh(upto=1) == 0
    assert live.position == 1
    assert live.refresh(upto=2) == 1
