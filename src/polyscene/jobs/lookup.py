"""What a person wants to see of items and users: titles, attributes, histories, a search."""

from typing import Any

import numpy as np

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import NotFoundError
from polyscene.dataset.moment import Moment

TITLES = ("title", "name")
"""Attributes that are taken for the title, the first one that an item has."""


class Lookup:
    """Answers from a moment; keeps the folded titles of the newest catalogue for searching."""

    def __init__(self) -> None:
        self._folded: tuple[Catalogue | None, list[str]] = (None, [])

    def item(self, moment: Moment, item_id: str) -> dict[str, Any]:
        """Id, kind, title, attributes, put time (UTC ms) and whether it may be shown."""
        code = moment.codes.code(item_id)
        if code < 0:
            raise NotFoundError(
                f"items: no item {item_id!r} was ever put or seen; put it with PUT /v1/items"
            )
        return self._item(moment, code)

    def title(self, moment: Moment, item_id: str) -> str:
        """The title of an item; its id where it has none."""
        code = moment.codes.code(item_id)
        return _title(moment.catalogue, code) or item_id if code >= 0 else item_id

    def search(self, moment: Moment, text: str, n: int) -> list[dict[str, Any]]:
        """Up to `n` active items whose title or id holds every word; titles that start so come first."""
        words, titles = text.casefold().split(), self._titles(moment)
        active = moment.catalogue.active
        hits = [
            code for code, title in enumerate(titles) if active[code] and all(w in title for w in words)
        ]
        start = text.casefold().strip()
        hits.sort(key=lambda code: (not titles[code].startswith(start), code))
        return [self._item(moment, code) for code in hits[:n]]

    def history(self, moment: Moment, user: str, n: int) -> list[dict[str, Any]]:
        """The newest `n` events, newest first."""
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

    def users(self, moment: Moment, n: int) -> list[str]:
        """`n` user ids spread evenly over the codes; erased users are passed over."""
        ids = moment.users.ids
        places = np.unique(np.linspace(0, len(ids) - 1, n).astype(int)).tolist() if ids else []
        return [ids[place] for place in places if not ids[place].startswith("\x00")]

    def _item(self, moment: Moment, code: int) -> dict[str, Any]:
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

    def _titles(self, moment: Moment) -> list[str]:
        """(I,) what a search looks through."""
        catalogue = moment.catalogue
        if self._folded[0] is not catalogue:
            names = moment.codes.ids_of(np.arange(catalogue.size))
            titles = [(_title(catalogue, code) or name).casefold() for code, name in enumerate(names)]
            self._folded = (catalogue, titles)
        return self._folded[1]


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
