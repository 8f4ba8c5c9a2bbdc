"""The names behind the codes of a log, mirrored in memory."""

from collections.abc import Mapping, Sequence

from polyscene.dataset.codemap import CodeMap
from polyscene.events.event import Erasure, Event, ItemPut, Merge, Record, UserPut
from polyscene.events.log import LogReader


class Names:
    """Items, users, actions and scenarios under the codes that the log gave them."""

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self.items = CodeMap()
        self.users = CodeMap()
        self._actions: dict[str, int] = {}
        self._scenarios: dict[str, int] = {}

    @property
    def actions(self) -> tuple[str, ...]:
        """Actions by code."""
        return tuple(self._actions) or ("interaction",)

    @property
    def scenarios(self) -> tuple[str, ...]:
        """Scenarios by code."""
        return tuple(self._scenarios) or ("",)

    def learn(self, records: Sequence[Record]) -> None:
        """Knows every name in new records; drops those of erased users."""
        for record in records:
            if isinstance(record, Erasure) and record.user_code < len(self.users):
                self.users.forget(record.user_code)
        if not all(map(self.knows, records)):
            self.mirror()

    def mirror(self) -> None:
        """Learns all names that the log has by now."""
        self.items.codes(self._log.item_ids(len(self.items)), grow=True)
        users = self._log.user_ids(len(self.users))
        for old in self.users.codes(users).tolist():
            if old >= 0:  # erased and come again, and the erasure is yet to be read
                self.users.forget(old)
        self.users.codes(users, grow=True)
        self._actions = {name: code for code, name in enumerate(self._log.action_names())}
        self._scenarios = {name: code for code, name in enumerate(self._log.scenario_names())}

    def knows(self, record: Record) -> bool:
        """Whether every name in a record has its code here."""
        match record:
            case Event():
                return (
                    record.item in self.items
                    and record.user in self.users
                    and record.action in self._actions
                    and record.scenario in self._scenarios
                )
            case ItemPut():
                return record.id in self.items
            case UserPut():
                return record.id in self.users
            case Merge():
                return record.source in self.users and record.target in self.users
            case _:
                return True

    def action(self, name: str) -> int:
        """The code of an action; -1 where no event has it."""
        return self._actions.get(name, -1)

    def row(self, event: Event) -> Mapping[str, float]:
        """One event as a history row."""
        return {
            "item": self.items.code(event.item),
            "action": self._actions[event.action],
            "value": event.value,
            "time": event.time,
            "scenario": self._scenarios[event.scenario],
        }
