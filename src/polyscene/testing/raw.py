"""Requests as bytes, so that none is too odd to be sent, and whatever comes back."""

import socket
from collections.abc import Iterable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer; header names in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class _Reading:
    def __init__(self) -> None:
        self.headers: dict[str, str] = {}
        self.body = bytearray()
        self.done: list[Reply] = []
        self.parser = httptools.HttpResponseParser(self)

    def on_message_begin(self) -> None:
        self.headers, self.body = {}, bytearray()

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers[name.decode("latin-1").lower()] = value.decode("latin-1")

    def on_body(self, body: bytes) -> None:
        self.body += body

    def on_message_complete(self) -> None:
        self.done.append(Reply(self.parser.get_status_code(), self.headers, bytes(self.body)))


def send(url: str, parts: Iterable[bytes], patience_s: float = 5.0) -> list[Reply]:
    """The answers to bytes on a line of their own, until the service hangs up or is silent for so long.

    A service that hangs up while it is still being sent to has refused; its answer counts when it came.
    """
    where = urlsplit(url)
    reading = _Reading()
    with socket.create_connection((where.hostname, where.port), timeout=patience_s) as line:
        try:
            for part in parts:
                line.sendall(part)
        except (OSError, TimeoutError):
            pass
        try:
            while data := line.recv(65536):
                reading.parser.feed_data(data)
        except (OSError, TimeoutError):
            pass
    return reading.done


def request(
    method: str, path: str, body: bytes = b"", headers: Iterable[str] = (), media: str = "application/json"
) -> bytes:
    """A request after which the line is closed; `path` and `headers` go out as they are."""
    head = [f"{method} {path} HTTP/1.1", "Host: 127.0.0.1", "Connection: close", *headers]
    if body or method in ("POST", "PUT", "PATCH"):
        head += [f"Content-Type: {media}", f"Content-Length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode("utf-8", "surrogateescape") + body
