"""Ctrl-C in a training: once ends it early, twice ends the program."""

import signal
from collections.abc import Iterator
from contextlib import contextmanager
from threading import current_thread, main_thread
from types import FrameType


class Interrupt:
    """Whether somebody wants the training to end."""

    asked = False


@contextmanager
def interruptible() -> Iterator[Interrupt]:
    """While open, the first SIGINT is only noted, and the next does what SIGINT did before.

    Nothing changes outside the main thread, or where the program handles SIGINT in its own way.
    """
    told, before = Interrupt(), signal.getsignal(signal.SIGINT)
    if current_thread() is not main_thread() or before is not signal.default_int_handler:
        yield told
        return

    def note(number: int, frame: FrameType | None) -> None:
        told.asked = True
        signal.signal(signal.SIGINT, before)

    signal.signal(signal.SIGINT, note)
    try:
        yield told
    finally:
        signal.signal(signal.SIGINT, before)
