"""Who is one person: guests merged into users, as of any log position."""

from collections.abc import Sequence

import numpy as np

from polyscene.core.arrays import Codes

ALWAYS = int(np.iinfo(np.int64).max)
"""A position behind every merge."""
_NEVER = (ALWAYS + 1, -1)


class Guests:
    """The merges of a log, absorbed in its order; one thread writes, any may ask.

    Of two merges of one guest the first counts, and none that would close a circle. Merges only add to what
    is known, each under its position, so a reader who asks as of an earlier position is not disturbed.
    """

    def __init__(self) -> None:
        self._into: dict[int, tuple[int, int]] = {}
        self._guests: dict[int, list[int]] = {}

    def merge(self, guest: int, target: int, position: int) -> bool:
        """Absorbs a merge; whether it counts. One that names an unknown (-1), so erased, user does not."""
        if min(guest, target) < 0 or guest in self._into or self.person(target) == guest:
            return False
        self._guests.setdefault(target, []).append(guest)
        self._into[guest] = (position, target)
        return True

    def person(self, user: int, position: int = ALWAYS) -> int:
        """The code that `user` answers as; its own while it is merged into nobody."""
        while (step := self._into.get(user)) is not None and step[0] <= position:
            user = step[1]
        return user

    def group(self, user: int, position: int = ALWAYS) -> list[int]:
        """All codes that are one person with `user`; the one they answer as comes first."""
        found = [self.person(user, position)]
        for each in found:  # grows while it is walked
            found += [guest for guest in self._guests.get(each, ()) if self._since(guest) <= position]
        return found

    def settled(self, group: Sequence[int]) -> int:
        """Position of the newest merge within a group; 0 for a user without guests."""
        return max(map(self._since, group[1:]), default=0)

    def people(self, users: Codes) -> Codes:
        """(n,) codes that `users` (n,) answer as."""
        if not self._into or not len(users):
            return users
        answers = np.arange(int(users.max()) + 1, dtype=users.dtype)
        for guest in list(self._into):
            if guest < len(answers):
                answers[guest] = self.person(guest)
        return answers[users]

    def forget(self, user: int) -> None:
        """Drops an erased user from all groups; the log erases its guests too."""
        _, target = self._into.pop(user, (0, -1))
        if target in self._guests:
            self._guests[target] = [guest for guest in self._guests[target] if guest != user]
        for guest in self._guests.pop(user, ()):
            self._into.pop(guest, None)

    def _since(self, guest: int) -> int:
        return self._into.get(guest, _NEVER)[0]
