"""The limits of the service, in one place."""

from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "::1")


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server accepts.

    `hosts`: names a request may use in its Host and Origin headers; a page elsewhere that points its own
    name at this machine (DNS rebinding) is refused. `max_body` in bytes. `readers` and `writers` are
    threads; `waiting` is how many calls may be in the house per kind of thread before new ones get 503.
    """

    hosts: tuple[str, ...] = LOOPBACK
    max_body: int = 2 * 1024 * 1024
    body_timeout_s: float = 10.0
    drain_s: float = 10.0
    readers: int = 2
    writers: int = 8
    waiting: int = 64
