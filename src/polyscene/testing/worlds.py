"""Tiny worlds whose right answers are known, and one noisy world whose answers are not."""

from dataclasses import dataclass, replace

import numpy as np

from polyscene.core.arrays import Array, Codes, Ragged, RaggedTable, offsets_of
from polyscene.core.catalogue import Catalogue
from polyscene.core.clock import DAY_MS
from polyscene.core.contracts import Data
from polyscene.core.queries import Queries, history_of

START_MS = 1_767_225_600_000
"""2026-01-01T00:00:00Z: the worlds begin here."""


@dataclass(frozen=True, slots=True)
class TinyWorld:
    """A world, what to ask of it, and the answer.

    `answers`: for each of the B queries, the items that must stand first, in this order.
    """

    data: Data
    queries: Queries
    answers: Ragged


def checkerboard(size: int = 20) -> TinyWorld:
    """Even users like even items, odd users odd ones; each user's own number is withheld and is the answer.

    Histories run once round the circle of the user's parity, so that the withheld item also comes next.
    """
    lists = [[(user + step) % size for step in range(2, size, 2)] for user in range(size)]
    return _world(lists, None, size, Ragged.of([[user] for user in range(size)]))


def chain(size: int = 12, steps: int = 5) -> TinyWorld:
    """Everybody walks the same circle of items; only a model that sees order tells next from previous."""
    lists = [[(start + step) % size for step in range(steps)] for start in range(size)]
    return _world(lists * 4, None, size, Ragged.of([[(start + steps) % size] for start in range(size)] * 4))


def popularity(size: int = 8) -> TinyWorld:
    """Item 0 was touched most, the last item least, all on one day; everyone gets this order."""
    lists = [[item] for item in range(size) for _ in range(size - item)]
    world = _world(lists, None, size, Ragged.of([list(range(size))] * len(lists)))
    return _anonymous(world, np.full(len(lists), world.data.at))


def recency() -> TinyWorld:
    """Many touched item 0 100 days ago, fewer item 1 20 days ago, few item 2 today.

    Asked today the order is 2, 1, 0; asked at a past time, what came later is not known yet.
    """
    days = np.repeat([0, 80, 100], [40, 20, 10])
    lists = [[item] for item in np.repeat([0, 1, 2], [40, 20, 10]).tolist()]
    times = [[START_MS + day * DAY_MS + place] for place, day in enumerate(days.tolist())]
    world = _world(lists, times, 3, Ragged.empty(len(lists)))
    asked = START_MS + np.array([101, 81, 1], np.int64) * DAY_MS
    return replace(
        _anonymous(replace(world, queries=world.queries.take(np.arange(3))), asked),
        answers=Ragged.of([[2, 1, 0], [1, 0], [0]]),
    )


def scenes(steps: tuple[int, int] = (1, 5), size: int = 12, users: int = 48, seed: int = 0) -> Data:
    """Walks round a circle of items, each step in one of two scenarios by chance.

    A step in home leads `steps[0]` items ahead, one in cart `steps[1]`: only who knows where the next
    event will come knows which it is.
    """
    rng = np.random.default_rng(seed)
    scenario = rng.integers(0, 2, (users, 8))
    ahead = np.take(steps, scenario)
    ahead[:, 0] = rng.integers(0, size, users)
    world = _world((np.cumsum(ahead, 1) % size).tolist(), None, size, Ragged.empty(users))
    table = world.data.histories
    columns = {**table.columns, "scenario": scenario.ravel().astype(np.int16)}
    return replace(world.data, histories=RaggedTable(table.offsets, columns), scenarios=("home", "cart"))


def noise(users: int = 40, items: int = 30, seed: int = 0) -> Data:
    """Random histories with all that real ones have.

    Skewed popularity, ties in time, repeats, several actions, ratings and scenarios, a user with one event;
    the last item was put but never touched, and the one before it is deleted.
    """
    rng = np.random.default_rng(seed)
    lengths = np.append(rng.integers(2, 12, max(users - 1, 0)), 1)[:users]
    offsets, count = offsets_of(lengths), int(lengths.sum())
    share = 1.0 / np.arange(1, items - 1)
    rows = np.repeat(np.arange(users), lengths)
    times = START_MS + rng.integers(0, 400, count) * (DAY_MS // 4)
    columns: dict[str, Array] = {
        "item": rng.choice(items - 2, count, p=share / share.sum()).astype(np.int32),
        "action": rng.integers(0, 2, count).astype(np.int16),
        "value": rng.integers(1, 6, count).astype(np.float32),
        "time": times[np.lexsort((times, rows))],
        "scenario": rng.integers(0, 2, count).astype(np.int16),
    }
    catalogue = Catalogue.bare(items)
    catalogue.active[items - 2] = False
    return Data(
        users=np.arange(users, dtype=np.int32),
        histories=RaggedTable(offsets, columns),
        catalogue=replace(catalogue, put_at=np.full(items, START_MS)),
        at=START_MS + 101 * DAY_MS,
        actions=("view", "buy"),
        scenarios=("home", "cart"),
    )


def ask(data: Data, *, wanted: int = 10) -> Queries:
    """One query per user at the end of `data`: their history, seen items and deleted ones barred."""
    count = len(data.users)
    plain = Queries.of_histories(data.histories, data.size, wanted=wanted)
    return replace(
        plain,
        at=np.full(count, data.at, np.int64),
        users=data.users,
        exclude=data.histories.ragged("item"),
        allowed=replace(plain.allowed, masks=data.catalogue.active[None].copy()),
    )


def nothing(items: int = 0) -> Data:
    """No user, no event; `items` items."""
    users: Codes = np.zeros(0, np.int32)
    return Data(users, history_of([]), Catalogue.bare(items), at=START_MS)


def _world(lists: list[list[int]], times: list[list[int]] | None, size: int, answers: Ragged) -> TinyWorld:
    when = times or [[START_MS + place for place, _ in enumerate(items)] for items in lists]
    data = Data(
        users=np.arange(len(lists), dtype=np.int32),
        histories=history_of(lists, when),
        catalogue=replace(Catalogue.bare(size), put_at=np.full(size, START_MS)),
        at=max(max(moments) for moments in when) + 1,
    )
    return TinyWorld(data, ask(data), answers)


def _anonymous(world: TinyWorld, at: Array) -> TinyWorld:
    count = len(at)
    queries = Queries.of_histories(history_of([[]] * count), world.data.size)
    return replace(world, queries=replace(queries, at=at))
