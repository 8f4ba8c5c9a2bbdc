"""The limits of the service and the headers of its replies, in one place."""

from dataclasses import dataclass

LOOPBACK = ("127.0.0.1", "localhost", "::1")

HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Permissions-Policy": "camera=(), geolocation=(), microphone=()",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}
"""What keeps a browser from running, framing or sniffing anything but the service's own files."""


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
