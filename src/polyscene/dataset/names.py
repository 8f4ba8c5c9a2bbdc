"""The names behind the codes of a log, mirrored in memory."""

from collections.abc import Mapping

from polyscene.dataset.codemap import CodeMap
from polyscene.events.event import Event, ItemPut, Record, UserPut
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

    def mirror(self) -> None:
        """Learns all names that the log has by now."""
        self.items.codes(self._log.item_ids(len(self.items)), grow=True)
        self.users.codes(self._log.user_ids(len(self.users)), grow=True)
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
            case _:
                return True

    def row(self, event: Event) -> Mapping[str, float]:
        """One event as a history row."""
        return {
            "item": self.items.code(event.item),
            "action": self._actions[event.action],
            "value": event.value,
            "time": event.time,
            "scenario": self._scenarios[event.scenario],
        }
