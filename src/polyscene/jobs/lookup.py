"""What a person wants to see of items and users: titles, attributes, histories, a search."""

from typing import Any

import numpy as np

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import NotFoundError
from polyscene.dataset.moment import Moment
from polyscene.dataset.people import together
from polyscene.dataset.world import World
from polyscene.events.event import EdgePut, Event
from polyscene.events.log import LogReader

TITLES = ("title", "name")
"""Attributes that are taken for the title, the first one that an item has."""


class Lookup:
    """Answers from the newest moment of a live world; safe to call from several threads."""

    def __init__(self, log: LogReader, world: World) -> None:
        self._log = log
        self._world = world
        self._folded: tuple[Catalogue | None, list[str]] = (None, [])

    def item(self, item_id: str) -> dict[str, Any]:
        """Id, kind, title, attributes, put time (UTC ms) and whether it may be shown.

        Raises:
            NotFoundError: The id was never put or seen.
        """
        moment = self._world.now
        code = moment.codes.code(item_id)
        if code < 0:
            raise NotFoundError(
                f"items: no item {item_id!r} was ever put or seen; put it with PUT /v1/items/ID"
            )
        return _item(moment, code)

    def title(self, item_id: str) -> str:
        """The title of an item; its id where it has none."""
        moment = self._world.now
        code = moment.codes.code(item_id)
        return _title(moment.catalogue, code) or item_id if code >= 0 else item_id

    def search(self, text: str, n: int) -> list[dict[str, Any]]:
        """Up to `n` active items whose title or id holds every word; titles that start so come first."""
        moment = self._world.now
        words, titles = text.casefold().split(), self._titles(moment)
        active = moment.catalogue.active
        hits = [
            code for code, title in enumerate(titles) if active[code] and all(w in title for w in words)
        ]
        start = text.casefold().strip()
        hits.sort(key=lambda code: (not titles[code].startswith(start), code))
        return [_item(moment, code) for code in hits[:n]]

    def items(self, after: int, n: int, *, deleted: bool) -> tuple[list[dict[str, Any]], int | None]:
        """Up to `n` items with codes above `after`, and the code to go on after; None at the end.

        Those that may be shown; with `deleted` the others too.
        """
        moment = self._world.now
        active = moment.catalogue.active[after + 1 :]
        codes = after + 1 + (np.arange(len(active)) if deleted else np.flatnonzero(active))[: n + 1]
        found = [_item(moment, code) for code in codes[:n].tolist()]
        return found, int(codes[n - 1]) if len(codes) > n else None

    def history(self, user: str, n: int) -> list[dict[str, Any]]:
        """The newest `n` events of a user and its guests, newest first; none for an unknown one."""
        moment = self._world.now
        rows = moment.history(user, n)
        found = []
        for place in reversed(range(len(rows["item"]))):
            code = int(rows["item"][place])
            item_id = moment.codes.id(code)
            found.append(
                {
                    "item": item_id,
                    "title": _title(moment.catalogue, code) or item_id,
                    "action": moment.actions[int(rows["action"][place])],
                    "value": float(rows["value"][place]),
                    "time": int(rows["time"][place]),
                }
            )
        return found

    def user(self, user: str) -> dict[str, Any]:
        """Attributes, guests, and how many events there are from when to when (UTC ms).

        A guest tells of the user that it was merged into. Of an attribute that several ids have, the
        user's own counts, then that of the newest guest.

        Raises:
            NotFoundError: The id was never put or seen, or was erased.
        """
        moment = self._world.now
        if moment.users.code(user) < 0:
            raise NotFoundError(
                f"users: no user {user!r} was ever put or seen; post its events, or PUT /v1/users/ID"
            )
        group, times = moment.group(user), moment.past(user).rows["time"]
        puts = [[put for _, put in self._log.user_puts(each)] for each in group]
        return {
            "id": user,
            "answers_as": group[0],
            "guests": group[1:],
            "attributes": together(user, puts).attributes,
            "events": len(times),
            "first": int(times[0]) if len(times) else None,
            "last": int(times[-1]) if len(times) else None,
        }

    def person(self, user: str) -> str:
        """The id that a user id answers as; its own for most."""
        return self._world.now.group(user)[0]

    def edges(
        self,
        source: str | None = None,
        relation: str | None = None,
        target: str | None = None,
        *,
        after: tuple[str, str, str] | None = None,
        n: int,
    ) -> list[EdgePut]:
        """Up to `n` edges that hold, by (source, relation, target), those behind `after`."""
        return self._log.edges(source, relation, target, after=after, n=n)

    def events(
        self, n: int, *, before: int | None, user: str | None, item: str | None
    ) -> list[tuple[int, Event]]:
        """The last `n` events with a log position below `before`, newest first; of a user, of an item."""
        return self._log.newest_events(n, before=before, user=user, item=item)

    def users(self, after: int, n: int) -> tuple[list[str], int | None]:
        """Up to `n` user ids with codes above `after`, and the code to go on after; None at the end."""
        ids = self._world.users.ids
        found: list[str] = []
        for code in range(after + 1, len(ids)):
            if len(found) == n:
                return found, code - 1
            if not _erased(ids[code]):
                found.append(ids[code])
        return found, None

    def sample(self, n: int) -> list[str]:
        """`n` user ids spread evenly over the codes; erased users are passed over."""
        ids = self._world.users.ids
        places = np.unique(np.linspace(0, len(ids) - 1, n).astype(int)).tolist() if ids else []
        return [ids[place] for place in places if not _erased(ids[place])]

    def _titles(self, moment: Moment) -> list[str]:
        """(I,) what a search looks through; kept for the newest catalogue."""
        catalogue = moment.catalogue
        if self._folded[0] is not catalogue:
            names = moment.codes.ids_of(np.arange(catalogue.size))
            titles = [(_title(catalogue, code) or name).casefold() for code, name in enumerate(names)]
            self._folded = (catalogue, titles)
        return self._folded[1]


def _erased(name: str) -> bool:
    return name.startswith("\x00")


def _item(moment: Moment, code: int) -> dict[str, Any]:
    catalogue, item_id = moment.catalogue, moment.codes.id(code)
    values = {name: cell(column, code) for name, column in catalogue.columns.items()}
    return {
        "id": item_id,
        "kind": catalogue.kind_names[int(catalogue.kinds[code])],
        "title": _title(catalogue, code) or item_id,
        "attributes": {name: value for name, value in values.items() if value is not None},
        "put_at": int(catalogue.put_at[code]),
        "active": bool(catalogue.active[code]),
    }


def cell(column: Column, code: int) -> Any:
    """One attribute of one item as JSON data; None where it is missing."""
    values = column.values
    if isinstance(values, Ragged):
        return [column.vocabulary[word] for word in values[code]] or None
    if column.type == "number":
        number = float(values[code])
        return None if np.isnan(number) else int(number) if number.is_integer() else number
    if column.type == "category":
        return column.vocabulary[int(values[code])] if values[code] >= 0 else None
    return values[code] or None


def _title(catalogue: Catalogue, code: int) -> str | None:
    for name in TITLES:
        if name in catalogue.columns:
            found = cell(catalogue.columns[name], code)
            if isinstance(found, str):
                return found
    return None
