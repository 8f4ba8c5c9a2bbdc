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
class LineLimits:
    """What one connection may cost, in seconds, bytes and numbers.

    `head_s` for a request's line and headers to be complete, `write_s` for a reader that takes nothing,
    `idle_s` between requests (longer than clients keep lines, so that none closes under a request),
    `linger_s` for the rest of a body that nobody wants any more. `lines` is how many stay open.
    """

    head_s: float = 10.0
    write_s: float = 10.0
    idle_s: float = 75.0
    linger_s: float = 2.0
    lines: int = 1_000
    pipelined: int = 16
    max_url: int = 8_192
    max_headers: int = 64
    max_head: int = 32_768


@dataclass(frozen=True, slots=True)
class Settings:
    """What one server accepts.

    `hosts`: names a request may use in its Host and Origin headers; a page elsewhere that points its own
    name at this machine (DNS rebinding) is refused. `max_body` in bytes; of a body that comes line by line
    `max_lines` bytes in all and `max_line` a line, and `lines_timeout_s` for a batch of lines to come.
    `readers` score and `writers` wait for the disk, on so many threads; `waiting` and `writing` are how
    many calls of each may be in the house before new ones get 503.
    `rate` and `anonymous_rate` are requests a second of a key without its own limit and of all callers
    without a key together; 0 is no limit. `drain_s` is how long a server that was told to end still takes
    requests while it says that it is not ready; `finish_s` how long it then waits for answers.
    """

    hosts: tuple[str, ...] = LOOPBACK
    line: LineLimits = LineLimits()
    max_body: int = 2 * 1024 * 1024
    body_timeout_s: float = 10.0
    max_lines: int = 256 * 1024 * 1024
    max_line: int = 1024 * 1024
    lines_timeout_s: float = 60.0
    drain_s: float = 2.0
    finish_s: float = 10.0
    readers: int = 1
    writers: int = 8
    waiting: int = 10
    writing: int = 64
    rate: float = 0.0
    anonymous_rate: float = 0.0
