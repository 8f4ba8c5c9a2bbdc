"""What comes in while the service runs: checked, on disk, and in the next answer."""

from collections.abc import Sequence
from concurrent.futures import Future
from threading import Lock

from polyscene.core.clock import Clock
from polyscene.core.errors import BusyError, ConflictError, InputError, NotFoundError, PolysceneError
from polyscene.dataset.world import World
from polyscene.events.check import check_records, fault_of
from polyscene.events.event import EdgePut, Event, ItemPut, Merge, Posted, UserPut
from polyscene.events.log import Erased, EventLog, Once, Receipt
from polyscene.jobs.attribution import Attribution
from polyscene.observe.counters import DUPLICATES, LAST_RECORD, RECORDS

MOST_WAITING = 2_000
"""Single events that may wait for the disk."""
MOST_GUESTS = 1_000
"""Ids that may be one person; each costs a query when the history is read."""


class Intake:
    """The way into a live log; safe to call from several threads.

    Once a call returns, what it took is on disk and in the next answer. All that take records raise
    InputError for a malformed one or a time out of range, naming index and field; nothing of that batch is
    kept then. Under the same `once` a call is done once; ConflictError: it stands for something else.
    """

    def __init__(self, log: EventLog, world: World, clock: Clock) -> None:
        self._log = log
        self._world = world
        self._clock = clock
        self._waiting = 0
        self._door = Lock()
        self._merging = Lock()
        self.attribution = Attribution(log)

    @property
    def position(self) -> int:
        """Log position up to which answers see everything."""
        return self._world.position

    def event(self, event: Event, once: Once | None = None) -> "Future[Receipt]":
        """Keeps one event without holding a thread: the receipt comes when it is in the next answer.

        Raises:
            InputError: The event is malformed.
            BusyError: Too many wait for the disk.
        """
        check_records((event,), self._clock.now())
        with self._door:
            if self._waiting >= MOST_WAITING:
                raise BusyError(f"intake: {MOST_WAITING} events wait for the disk; try again in a second")
            self._waiting += 1
        kept: Future[Receipt] = Future()
        kept.set_running_or_notify_cancel()  # a client that went away does not undo what is on its way
        try:
            self._log.submit((event,), once=once).add_done_callback(lambda done: self._absorb(done, kept))
        except PolysceneError:
            self._leave()
            raise
        return kept

    def _absorb(self, done: "Future[Receipt]", kept: "Future[Receipt]") -> None:
        """On the writer's thread: of all that one commit kept, the first absorbs everything."""
        try:
            receipt = done.result()
            self._world.refresh(receipt.position)
        except PolysceneError as error:
            kept.set_exception(error)
        else:
            _count("events", receipt)
            kept.set_result(receipt)
        finally:
            self._leave()

    def _leave(self) -> None:
        with self._door:
            self._waiting -= 1

    def events(self, events: Sequence[Event], once: Once | None = None) -> Receipt:
        """Keeps events."""
        return self._keep("events", events, once)

    def items(self, items: Sequence[ItemPut], once: Once | None = None) -> Receipt:
        """Keeps item puts; the items may be shown at once.

        Raises:
            InputError: Also when an attribute has another type than earlier items have there.
        """
        check_records(items, self._clock.now())
        self._world.check(items)
        return self._keep("items", items, once)

    def users(self, users: Sequence[UserPut], once: Once | None = None) -> Receipt:
        """Keeps user puts.

        Raises:
            InputError: Also when an attribute has another type than earlier users have there.
        """
        check_records(users, self._clock.now())
        self._world.check(users)
        return self._keep("users", users, once)

    def edges(self, edges: Sequence[EdgePut], once: Once | None = None) -> Receipt:
        """Keeps edge puts; training sees them."""
        return self._keep("edges", edges, once)

    def _keep(self, what: str, records: Sequence[Posted], once: Once | None) -> Receipt:
        check_records(records, self._clock.now())
        receipt = self._log.append(records, once=once)
        self._world.refresh(receipt.position)
        _count(what, receipt)
        return receipt

    def faults(self, records: Sequence[Posted]) -> dict[int, str]:
        """What is wrong with records that would be kept together, by index; empty if nothing is."""
        now = self._clock.now()
        found = {index: fault for index, record in enumerate(records) if (fault := fault_of(record, now))}
        puts = {
            index: put
            for index, put in enumerate(records)
            if isinstance(put, ItemPut | UserPut) and index not in found
        }
        return found | self._world.clashes(puts)

    def merge(self, guest: str, user: str, time: int, once: Once | None = None) -> Receipt:
        """From now on, what `guest` did and does counts as done by `user`; again is no error.

        Raises:
            ConflictError: The guest is another user's, or the user is the guest's own guest.
        """
        with self._merging:
            mine, theirs = self._world.now.group(guest), self._world.now.group(user)
            if guest in (user, theirs[0]):
                raise ConflictError(
                    f"merge: {user!r} is {guest!r} itself or a guest of it already: "
                    "what either does counts for both, so leave it at that"
                )
            if mine[0] == theirs[0] and once is None:
                return Receipt(0, 1, self.position)
            if mine[0] not in (guest, theirs[0]):
                raise ConflictError(
                    f"merge: {guest!r} was merged into {mine[0]!r} before and can't become {user!r} too; "
                    f"if both are one person, merge {mine[0]!r} into {user!r}"
                )
            if len(mine) + len(theirs) > MOST_GUESTS:
                raise InputError(
                    f"merge: {user!r} has {len(theirs)} ids; at most {MOST_GUESTS} are one person"
                )
            return self._keep("merges", [Merge(source=guest, target=user, time=time)], once)

    def erase(self, user: str) -> Erased:
        """Forgets a user and the guests merged into it.

        Raises:
            NotFoundError: Nothing is known of this id.
        """
        known = self._world.users.code(user) >= 0
        erased = self._log.erase_user(user, self._clock.now())
        self._world.refresh()
        if not known and not erased.events + erased.puts + erased.exposures:
            raise NotFoundError(f"users: nothing is known of a user {user!r}; it may be erased already")
        return erased


def _count(what: str, receipt: Receipt) -> None:
    if not receipt.repeated:
        RECORDS.labels(what).inc(receipt.accepted)
        DUPLICATES.labels(what).inc(receipt.duplicates)
        LAST_RECORD.set_to_current_time()
