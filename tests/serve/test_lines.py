"""Slow, odd and too many connections end by themselves and disturb nobody."""

import shutil
import socket
import time
from contextlib import contextmanager
from urllib.parse import urlsplit

import httpx
import pytest

from polyscene.serve.settings import LineLimits, Settings
from polyscene.testing.service import live

LIMITS = LineLimits(
    head_s=0.3, write_s=0.3, idle_s=0.5, linger_s=0.3, lines=40, max_url=300, max_headers=10, max_head=2_000
)


@pytest.fixture(scope="module")
def service(fitted, tmp_path_factory):
    root = shutil.copytree(fitted, tmp_path_factory.mktemp("lines") / "workspace")
    with live(root, Settings(line=LIMITS, body_timeout_s=0.5)) as url:
        yield url


@contextmanager
def dial(url):
    where = urlsplit(url)
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        yield line


def all_of(line):
    """Everything until the service hangs up; a reset counts as that."""
    got = b""
    try:
        while data := line.recv(65536):
            got += data
    except ConnectionResetError:
        pass
    return got


def get(path="/healthz", *more):
    return "\r\n".join([f"GET {path} HTTP/1.1", "Host: 127.0.0.1", *more, "", ""]).encode()


def test_a_line_that_never_asks_is_closed_in_silence(service):
    with dial(service) as line:
        assert all_of(line) == b""


def test_a_head_that_comes_byte_by_byte_is_given_up(service):
    with dial(service) as line:
        line.settimeout(0.05)
        got, head = b"", get()
        for byte in head[:40]:
            try:
                line.sendall(bytes([byte]))
                got += line.recv(65536)
            except TimeoutError:
                continue
            except OSError:
                break
        line.settimeout(10)
        assert (got + all_of(line)).startswith(b"HTTP/1.1 408 ")


def test_line_breaks_alone_don_t_keep_a_line(service):
    with dial(service) as line:
        line.sendall(get())
        assert line.recv(65536).startswith(b"HTTP/1.1 200")
        line.sendall(b"\r\n")
        assert b"200" not in all_of(line)


def test_a_kept_line_is_closed_when_nothing_more_is_asked(service):
    with dial(service) as line:
        line.sendall(get())
        assert all_of(line).startswith(b"HTTP/1.1 200")


def test_who_does_not_take_its_answer_is_cut(service):
    with dial(service) as line:
        line.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        line.settimeout(5)
        start = time.monotonic()
        try:
            while time.monotonic() - start < 5:
                line.sendall(get("/openapi.json") * 10)
        except OSError:
            pass
        else:
            pytest.fail("the service went on with a client that takes nothing")
    assert httpx.get(f"{service}/healthz").status_code == 200


def test_the_rest_of_a_refused_body_is_not_waited_for(service):
    with dial(service) as line:
        line.sendall(b"POST /v1/none HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Length: 1000000\r\n\r\n{")
        assert all_of(line).startswith(b"HTTP/1.1 404 ")


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (get("/" + "a" * 400), 414),
        (get("/healthz", *(f"X-{number}: 1" for number in range(20))), 431),
        (get("/healthz", "X-Long: " + "a" * 3_000), 431),
        (b"BREW / HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (b"GET / HTTP/9.9\r\nHost: 127.0.0.1\r\n\r\n", 400),
        (get("/\x00"), 400),
        (get("/healthz", "Content-Length: 5", "Content-Length: 6"), 400),
        (get("/healthz", "Content-Length: 5", "Transfer-Encoding: chunked"), 400),
        (get("/healthz", "Content-Length: -1"), 400),
        (get("/healthz", "Content-Length: 1e3"), 400),
        (get("/healthz", "Transfer-Encoding: chunked, identity"), 400),
        (get("/healthz", "No colon"), 400),
        (get("/healthz", "Host: 127.0.0.1"), 400),
        (get("/healthz", " folded: yes"), 400),
        (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 400),
    ],
)
def test_odd_heads_are_refused_and_the_line_closed(service, request_, status):
    with dial(service) as line:
        line.sendall(request_)
        got = all_of(line)
    assert got.startswith(f"HTTP/1.1 {status} ".encode()), got[:200]
    assert b"application/problem+json" in got
    assert got.count(b"HTTP/1.1 ") == 1


def test_a_broken_chunk_is_answered_once_and_at_once(service):
    head = b"POST /v1/events HTTP/1.1\r\nHost: 127.0.0.1\r\nContent-Type: application/json\r\n"
    with dial(service) as line:
        line.sendall(head + b"Transfer-Encoding: chunked\r\n\r\nZZ\r\n{}\r\n0\r\n\r\n")
        got = all_of(line)
    assert got.startswith(b"HTTP/1.1 400 ")
    assert got.count(b"HTTP/1.1 ") == 1


def test_rubbish_behind_a_request_does_not_take_its_answer(service):
    with dial(service) as line:
        line.sendall(get() + b"\x00\x01rubbish\r\n\r\n")
        got = all_of(line)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.count(b"HTTP/1.1 ") == 1


def test_requests_sent_ahead_are_answered_in_order_and_only_so_many(service):
    with dial(service) as line:
        line.sendall(get("/healthz", "X-Request-Id: a") + get("/none", "X-Request-Id: b"))
        got = b""
        while got.count(b"HTTP/1.1 ") < 2 or not got.endswith(b"}"):
            got += line.recv(65536)
    assert got.index(b"x-request-id: a") < got.index(b" 404 ") < got.index(b"x-request-id: b")
    with dial(service) as line:
        line.sendall(get() * 500)
        assert all_of(line).count(b"HTTP/1.1 200") < 50


def test_idle_lines_make_room_for_who_asks(service):
    lines = [socket.create_connection(("127.0.0.1", urlsplit(service).port)) for _ in range(100)]
    try:
        for _ in range(5):
            assert httpx.get(f"{service}/healthz").status_code == 200
    finally:
        for line in lines:
            line.close()


def test_an_upgrade_is_not_taken_and_what_follows_is_not_read_as_a_request(service):
    with dial(service) as line:
        line.sendall(get("/healthz", "Connection: Upgrade", "Upgrade: websocket") + get("/none"))
        got = all_of(line)
    assert got.startswith(b"HTTP/1.1 200 ")
    assert got.count(b"HTTP/1.1 ") == 1
