"""What comes in while the service runs: events and puts, checked, on disk, and in the next answer."""

from collections.abc import Sequence

from polyscene.core.clock import Clock
from polyscene.dataset.world import World
from polyscene.events.check import check_records
from polyscene.events.event import Event, ItemPut
from polyscene.events.log import EventLog, Receipt


class Intake:
    """The way into a live log; safe to call from several threads.

    Once a call returns, what it took is on disk and in the next answer. All raise InputError for a
    malformed record or a time out of range, naming index and field; nothing of that batch is kept then.
    """

    def __init__(self, log: EventLog, world: World, clock: Clock) -> None:
        self._log = log
        self._world = world
        self._clock = clock

    def events(self, events: Sequence[Event]) -> Receipt:
        """Keeps events."""
        check_records(events, self._clock.now())
        receipt = self._log.append(events)
        self._world.refresh()
        return receipt

    def items(self, items: Sequence[ItemPut]) -> Receipt:
        """Keeps item puts; the items may be shown at once.

        Raises:
            InputError: Also when an attribute has another type than earlier items have there.
        """
        check_records(items, self._clock.now())
        self._world.check(items)
        receipt = self._log.append(items)
        self._world.refresh()
        return receipt
