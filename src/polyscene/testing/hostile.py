"""Hostile requests, made from the route table with a seed: whoever adds a route has it attacked."""

import gzip
import json
import random
import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from polyscene.serve.operations import Operation
from polyscene.testing.odd import LINES, PATHS, QUERIES, VALUES
from polyscene.testing.raw import request

_HOLE = re.compile(r"\{.*?\}")


@dataclass(frozen=True, slots=True)
class Hostile:
    """A request as bytes, in parts so that a large one is never in memory, and what it is."""

    what: str
    parts: Sequence[bytes]


def hostile(operations: Iterable[Operation], count: int, seed: int = 0) -> list[Hostile]:
    """At least `count` hostile requests in random order: `large` ones, all of `LINES`, and drawn ones."""
    draw = random.Random(seed)
    table = list(operations)
    found = [*large(table), *(Hostile(f"line: {what}", [_bytes(text)]) for what, text in LINES.items())]
    makers = [_path, _query, _value, _raw_body, _media, _method]
    while len(found) < count:
        for operation in draw.sample(table, len(table)):
            made = draw.choice(makers)(operation, draw)
            if made is not None:
                found.append(made)
    draw.shuffle(found)
    return found


def large(operations: Iterable[Operation]) -> Iterator[Hostile]:
    """Bodies of 100 MB, a million brackets, a million lines, and a bomb, for what takes bodies."""
    for each in operations:
        if each.body is None:
            continue
        media, path = each.body_media, _HOLE.sub("x", each.path)
        head = f"{each.method} {path} HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: {media}\r\n"
        chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
        name = f"{each.method} {each.path}"
        yield Hostile(f"1M deep {name}", [request(each.method, path, b"[" * 10**6, media=media)])
        yield Hostile(f"1M deep object {name}", [request(each.method, path, b'{"a":' * 10**5, media=media)])
        bomb = gzip.compress(b"0" * 10**7)
        yield Hostile(
            f"bomb {name}", [request(each.method, path, bomb, ["Content-Encoding: gzip"], media=media)]
        )
        yield Hostile(
            f"says 100 MB {name}", [f"{head}Content-Length: 104857600\r\n\r\n".encode(), b"x" * 1000]
        )
        if each.path in ("/v1/events", "/v1/events/stream"):
            start = f"{head}Transfer-Encoding: chunked\r\n\r\n".encode()
            yield Hostile(f"100 MB {name}", [start + chunk, *[chunk] * 99, b"0\r\n\r\n"])


def _path(operation: Operation, draw: random.Random) -> Hostile | None:
    if "{" not in operation.path:
        return None
    path = _HOLE.sub(lambda _: draw.choice(PATHS), operation.path)
    return Hostile(f"path {operation.method} {path[:80]}", [_sent(operation, path, _example(operation))])


def _query(operation: Operation, draw: random.Random) -> Hostile:
    query = draw.choice(QUERIES)
    path = f"{_HOLE.sub('i1', operation.path)}?{query}"
    return Hostile(f"query {operation.method} {path[:80]}", [_sent(operation, path, _example(operation))])


def _value(operation: Operation, draw: random.Random) -> Hostile | None:
    """The example with one value, at any depth, in place of another."""
    if operation.body is None:
        return None
    body = json.loads(_example(operation))
    places = list(_places(body))
    if not places:
        return None
    holder, key = draw.choice(places)
    holder[key] = draw.choice(VALUES)
    if draw.random() < 0.2 and isinstance(holder, dict):
        holder[draw.choice(["odd", "__proto__", "", "id", "constructor"])] = draw.choice(VALUES)
    text = json.dumps(body, ensure_ascii=draw.random() < 0.5).encode("utf-8", "surrogatepass")
    what = f"value {operation.method} {operation.path} {key}"
    return Hostile(what, [_sent(operation, _HOLE.sub("h1", operation.path), text)])


def _raw_body(operation: Operation, draw: random.Random) -> Hostile | None:
    if operation.body is None:
        return None
    good = _example(operation)
    kinds = {
        "empty": b"",
        "cut": good[: len(good) // 2],
        "bom": b"\xef\xbb\xbf" + good,
        "utf-16": good.decode().encode("utf-16"),
        "list": b"[]",
        "text": b'"x"',
        "null": b"null",
        "twice": good + good,
        "nul": good + b"\x00",
        "nan": b'{"k":NaN}',
        "huge number": b'{"k":1e999}',
        "long number": b'{"k":' + b"9" * 20_000 + b"}",
        "surrogate": b'{"user":"\\ud800"}',
        "bad utf-8": b'{"user":"\xff\xfe\xc0\xaf"}',
        "duplicate": b'{"user":"a","user":"b","user":' + good + b"}",
        "comment": b"/* */" + good,
        "xml": b'<!DOCTYPE x [<!ENTITY a SYSTEM "file:///etc/passwd">]><x>&a;</x>',
        "pickle": b"\x80\x04\x95cos\nsystem\n(S'id'\ntR.",
        "form": b"user=a&item=b",
        "commas": b"[" + b"," * 10_000 + b"]",
        "many keys": json.dumps({f"k{each}": 1 for each in range(20_000)}).encode(),
        "quotes": b'"' * 10_000,
        "many events": b'{"events":[' + b",".join([b'{"id":"m","user":"m","item":"m"}'] * 10_000) + b"]}",
        "lines": b"\n" * 50_000,
        "bad lines": b"{}\n[\nnull\n\xff\n" * 500,
        "one long line": b'{"id":"' + b"x" * 10**6 + b'"}',
    }
    name = draw.choice(list(kinds))
    path = _HOLE.sub("h1", operation.path)
    return Hostile(f"{name} {operation.method} {operation.path}", [_sent(operation, path, kinds[name])])


def _media(operation: Operation, draw: random.Random) -> Hostile | None:
    if operation.body is None:
        return None
    media = draw.choice(
        [
            "",
            "text/plain",
            "application/xml",
            "multipart/form-data; boundary=x",
            "application/json; charset=utf-16",
            "application/x-ndjson",
            "application/json, text/html",
            "*/*",
            "a" * 4_000,
            "application/x-python-pickle",
        ]
    )
    encoding = draw.choice(
        [[], ["Content-Encoding: br"], ["Content-Encoding: gzip, gzip"], ["Content-Encoding: x"]]
    )
    path = _HOLE.sub("h1", operation.path)
    raw = request(operation.method, path, _example(operation), encoding, media=media)
    return Hostile(f"media {operation.method} {operation.path} {media[:40]}", [raw])


def _method(operation: Operation, draw: random.Random) -> Hostile:
    method = draw.choice(
        ["TRACE", "OPTIONS", "CONNECT", "PUT", "PATCH", "DELETE", "HEAD", "PROPFIND", "get", "LINK"]
    )
    override = [f"X-HTTP-Method-Override: {draw.choice(['DELETE', 'PUT'])}", "X-Original-URL: /v1/jobs"]
    path = _HOLE.sub("nobody", operation.path)
    return Hostile(f"method {method} {path}", [request(method, path, headers=override)])


def _example(operation: Operation) -> bytes:
    example = operation.body_example
    return example.encode() if isinstance(example, str) else msgspec.json.encode(example)


def _sent(operation: Operation, path: str, body: bytes) -> bytes:
    if operation.body is None:
        return request(operation.method, path)
    return request(operation.method, path, body, media=operation.body_media)


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else text.encode("latin-1")


def _places(value: Any) -> Iterator[tuple[Any, Any]]:
    """Every (holder, key) below a JSON value."""
    for key in (
        list(value) if isinstance(value, dict) else range(len(value)) if isinstance(value, list) else ()
    ):
        yield value, key
        yield from _places(value[key])
