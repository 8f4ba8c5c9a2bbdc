"""Which column of a table of events is the user, the item, the time, the value and the action."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

from polyscene.dataset.infer.profile import Profile
from polyscene.dataset.infer.vocabulary import AMOUNTS, VERBS, bare, named, tokens
from polyscene.dataset.schema import TableName, fold

_BY_PLACE = {
    "user": "it comes first of two columns of ids, as users mostly do",
    "item": "the other column of ids",
}
Columns = Mapping[str, Profile]
FEW = 20
"""Fewer distinct ids than this in a long table are groups of people or things, not ids."""


@dataclass(frozen=True, slots=True)
class Entity:
    """A table with one row per thing: its key, and how much it looks like items and like users (0 to 1)."""

    key: Profile
    items: float
    users: float


@dataclass(frozen=True, slots=True)
class Guess:
    """One field and the column that is taken for it; `confidence` 0 to 1."""

    table: TableName
    field: str
    column: str
    confidence: float
    reasons: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Pick:
    """The user and the item of a table, how well they fit, and which of the two nobody could be."""

    score: float
    guesses: tuple[Guess, ...]
    missing: tuple[str, ...] = ()


def pair_of(columns: Columns, entities: Sequence[Entity]) -> Pick | None:
    """The user and item columns that fit best together; None where no column could be an id.

    Where nothing tells the two apart, the user is the first, as it mostly is, and the confidence is low.
    """
    users = {name: _user(column, entities) for name, column in columns.items() if _able(column)}
    items = {name: _item(column, entities) for name, column in columns.items() if _able(column)}
    places = {name: place for place, name in enumerate(columns)}
    pairs = [
        (users[u][0] + items[i][0] + 0.1 * (places[u] < places[i]), u, i)
        for u in users
        for i in items
        if u != i
    ]
    if not pairs:
        return None
    score, user, item = max(pairs)
    sure = {"user": users[user], "item": items[item]}
    chosen = {"user": user, "item": item}
    guesses, missing = [], []
    for field, (worth, reasons) in sure.items():
        if worth < 0.1:
            missing.append(f"events: no column looks like {field}s")
            continue
        told = reasons or (_BY_PLACE[field],)
        guesses.append(Guess("events", field, chosen[field], min(0.99, 0.25 + 0.6 * worth), told))
    return Pick(score, tuple(guesses), tuple(missing))


def _able(column: Profile) -> bool:
    if not column.ids or column.constant:
        return False
    return column.distinct >= min(FEW, column.rows / 50)


def _user(column: Profile, entities: Sequence[Entity]) -> tuple[float, tuple[str, ...]]:
    """How much a column looks like the user, with reasons."""
    name, group = named(column.name, "user"), 0.7 * named(column.name, "group")
    score, reasons = 0.2, []
    if name or group:
        reasons.append(f"its name says {'user' if name >= group else 'a group such as a session'}")
        score += 0.7 * max(name, group)
    joined = max((each.users * _join(column, each.key) for each in entities), default=0.0)
    if joined > 0.15:
        reasons.append("its values are the key of a table of people")
        score += 0.6 * joined
    if column.runs < 0.5:
        reasons.append("the file is sorted by it, as by users")
        score += 0.1
    return score - _against(column, "item", entities), tuple(reasons)


def _item(column: Profile, entities: Sequence[Entity]) -> tuple[float, tuple[str, ...]]:
    """How much a column looks like the item, with reasons."""
    name = named(column.name, "item")
    score, reasons = 0.2, []
    if name:
        reasons.append("its name says item")
        score += 0.7 * name
    joined = max((each.items * _join(column, each.key) for each in entities), default=0.0)
    if joined > 0.15:
        reasons.append("its values are the key of a table of things")
        score += 0.6 * joined
    return score - _against(column, "user", entities), tuple(reasons)


def _against(column: Profile, other: str, entities: Sequence[Entity]) -> float:
    """What speaks against a column being an id of this role."""
    score = 0.5 * named(column.name, other)
    score += 0.6 * column.unique + 0.3 * (column.missing > 0.5) + 0.2 * column.climbs
    score += 0.4 * max(named(column.name, role) for role in ("value", "time", "order"))
    score += 0.3 * bool(AMOUNTS & set(tokens(column.name)))
    rival = max(
        ((e.users if other == "user" else e.items) * _join(column, e.key) for e in entities), default=0.0
    )
    return score + 0.3 * rival


def _join(column: Profile, key: Profile) -> float:
    """How surely a column holds ids of a key: by the same name, or by values that can't agree by chance.

    Whole numbers from 1 up lie in each other by chance; there the key's ids must mostly be used, too.
    """
    inside = column.within(key)
    if inside < 0.05:
        return 0.0
    if fold(column.name) == fold(key.name) and not bare(key.name):
        return 0.5 + 0.5 * inside
    if column.kind == "text":
        return inside
    return inside * min(1.0, column.distinct / max(1, key.distinct)) if inside > 0.9 else 0.0


def order_of(columns: Columns, taken: Collection[str]) -> list[Guess]:
    """The column of times, else of places in a sequence; none where neither is there."""
    open_ = [column for name, column in columns.items() if name not in taken]
    clocks = [column for column in open_ if column.clock and not column.constant]
    if clocks:
        best = max(clocks, key=lambda column: (named(column.name, "time"), column.distinct))
        why = f"its values are times ({best.time})"
        return [Guess("events", "time", best.name, 0.75 + 0.24 * named(best.name, "time"), (why,))]
    places = [c for c in open_ if c.kind == "whole" and c.low >= 0 and not c.constant]
    best_place = max(places, key=_placed, default=None)
    if best_place is None or _placed(best_place) < 0.5:
        return []
    why = "its numbers climb and begin again" if best_place.climbs else "its name says a place in an order"
    sure = min(0.95, 0.3 + 0.5 * _placed(best_place))
    return [Guess("events", "time", best_place.name, sure, (f"no clock, but an order: {why}",))]


def _placed(column: Profile) -> float:
    return named(column.name, "order") + 0.5 * column.climbs


def rest_of(columns: Columns, taken: Collection[str]) -> list[Guess]:
    """Value, action and scenario among the columns that are left."""
    used = set(taken)
    found: list[Guess] = []
    for field, score, least in (
        ("action", _action, 0.5),
        ("value", _value, 0.4),
        ("scenario", _scenario, 0.5),
    ):
        scored = [(score(c), c.name) for name, c in columns.items() if name not in used and not c.constant]
        (worth, why), name = max(scored, default=((0.0, ""), ""))
        if worth >= least:
            found.append(Guess("events", field, name, min(0.99, 0.2 + 0.7 * worth), (why,)))
            used.add(name)
    return found


def _action(column: Profile) -> tuple[float, str]:
    """Few words, and the right ones; or a code of few numbers under a name that says action."""
    name = named(column.name, "action")
    if column.kind == "text" and column.distinct <= 30:
        verbs = sum(_verb(text) for text in column.texts) / column.distinct
        why = "its values are actions" if verbs else "its name says action, its values are few words"
        return 0.6 * name + 0.7 * verbs, why
    if column.kind == "whole" and column.distinct <= 10 and name >= 0.7:
        return 0.6 * name, "its name says action, its values are few codes"
    return 0.0, ""


def _verb(text: str) -> bool:
    words = {fold(part) for part in tokens(text)} | {text.lower(), fold(text)}
    return bool(words & VERBS)


def _value(column: Profile) -> tuple[float, str]:
    """A number that says how much: by its name, or a scale of few steps under a name that says nothing."""
    if column.kind not in ("whole", "number", "truth") or column.clock or column.unique:
        return 0.0, ""
    name = named(column.name, "value")
    if AMOUNTS & set(tokens(column.name)) and name < 1:
        return 0.0, ""
    scale = (
        column.kind != "truth" and 2 < column.distinct <= 21 and column.low >= -10 and column.high <= 100
    )
    known = any(named(column.name, role) for role in ("user", "item", "group", "order", "person", "action"))
    if scale and not name and not known and bare(column.name):
        return 0.5, "its values look like a rating, its name says nothing"
    return (0.75 * name + 0.25 * scale if name else 0.0), "its name says how much or how good"


def _scenario(column: Profile) -> tuple[float, str]:
    few = 2 <= column.distinct <= 200 and column.kind in ("text", "whole")
    return (0.8 * (named(column.name, "scenario") >= 0.9) * few), "its name says where it happened"
