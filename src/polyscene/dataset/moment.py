"""The world as of one log position: what one request sees."""

from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Codes
from polyscene.core.catalogue import Catalogue
from polyscene.dataset.codemap import CodeMap
from polyscene.dataset.pasts import EVERYTHING, HistoryRows, Past, Pasts


@dataclass(frozen=True, slots=True)
class Moment:
    """The world as of a log position. It never changes, so one request sees one world.

    `codes` and `catalogue` know the same items; `people` has the users who said something of themselves. A
    user erased since is gone from every moment.
    """

    position: int
    codes: CodeMap
    users: CodeMap
    catalogue: Catalogue
    people: Catalogue
    actions: tuple[str, ...]
    scenarios: tuple[str, ...]
    pasts: Pasts

    def user(self, user: str) -> int:
        """The code that a user id answers as: a merged guest's is that of its target; -1 if unknown."""
        code = self.users.code(user)
        return self.pasts.guests.person(code, self.position) if code >= 0 else code

    def group(self, user: str) -> list[str]:
        """All ids that are one person with `user`, the one they answer as first; itself if unknown."""
        code = self.users.code(user)
        if code < 0:
            return [user]
        return self.users.ids_of(np.array(self.pasts.guests.group(code, self.position)))

    def past(self, user: str) -> Past:
        """All that a user did, by time then position."""
        return self.pasts.of(user, self.position, EVERYTHING)

    def history(self, user: str, last: int) -> HistoryRows:
        """The newest `last` events of a user, oldest first, ties as they came; empty if unknown."""
        rows = self.pasts.of(user, self.position, last).rows
        start = max(0, len(rows["item"]) - last)
        return {name: column[start:] for name, column in rows.items()}

    def seen(self, user: str) -> Codes:
        """(n,) codes of all items the user ever interacted with, rising; empty if unknown."""
        return self.pasts.of(user, self.position).seen
