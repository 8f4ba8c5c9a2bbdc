"""Whether what was acted on had been shown: events held to the slate of the request they name."""

from collections import OrderedDict
from collections.abc import Sequence
from itertools import islice
from threading import Lock

from polyscene.events.event import Event
from polyscene.events.log import LogReader

REMEMBERED = 4_096
"""Slates that stay in memory; events mostly come soon after the answer."""
NOTES = 100
"""How many odd events of one batch are named."""


class Attribution:
    """Finds events that name a logged request but not an item of its slate; safe for several threads.

    Such an event is kept all the same: it happened, only not where it says.
    """

    def __init__(self, log: LogReader) -> None:
        self._log = log
        self._slates: OrderedDict[str, tuple[str, ...]] = OrderedDict()
        self._lock = Lock()

    def remembers(self, event: Event) -> bool:
        """Whether `notes` needs no disk for this event."""
        return event.request_id is None or event.request_id in self._slates

    def notes(self, events: Sequence[Event]) -> list[str]:
        """What is odd about events, for the first hundred; nothing of requests that are not known here."""
        return list(islice(filter(None, map(self._note, events)), NOTES))

    def _note(self, event: Event) -> str:
        slate = None if event.request_id is None else self._slate(event.request_id)
        if slate is None:
            return ""
        shown = f"event {event.id!r}: request {event.request_id!r}"
        if event.item not in slate:
            return f"{shown} did not show {event.item!r}; kept, and credited to no slate"
        place = slate.index(event.item)
        if event.position not in (None, place):
            return f"{shown} showed {event.item!r} at position {place}, not {event.position}"
        return ""

    def _slate(self, request_id: str) -> tuple[str, ...] | None:
        slate = self._slates.get(request_id)
        if slate is not None:
            return slate
        exposure = self._log.exposure(request_id)
        if exposure is None:
            return None
        with self._lock:
            slate = self._slates[request_id] = tuple(exposure.items)
            if len(self._slates) > REMEMBERED:
                self._slates.popitem(last=False)
        return slate
