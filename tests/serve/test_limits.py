"""Too much, too slow, too many: the service says no at once and goes on."""

import asyncio
import shutil
import socket
from urllib.parse import urlsplit

import httpx
import pytest

from polyscene.serve.settings import Settings
from polyscene.testing.service import live


@pytest.fixture(scope="module")
def narrow(fitted, tmp_path_factory):
    root = shutil.copytree(fitted, tmp_path_factory.mktemp("narrow") / "workspace")
    with live(root, Settings(readers=1, waiting=2, body_timeout_s=0.3, max_body=2000)) as url:
        yield url


def test_what_the_limits_do_not_allow_is_a_503_at_once_and_the_rest_is_answered(narrow):
    async def many():
        limits = httpx.Limits(max_connections=40)
        async with httpx.AsyncClient(base_url=narrow, limits=limits) as client:
            asks = [client.post("/v1/recommend", json={"scenario": "home"}) for _ in range(40)]
            return await asyncio.gather(*asks)

    replies = asyncio.run(many())
    statuses = {reply.status_code for reply in replies}
    assert statuses <= {200, 503}
    assert 200 in statuses
    for reply in replies:
        if reply.status_code == 503:
            assert reply.headers["content-type"] == "application/problem+json"
            assert reply.headers["retry-after"] == "1"
    assert httpx.get(f"{narrow}/readyz").status_code == 200


def test_a_body_that_never_ends_is_given_up(narrow):
    where = urlsplit(narrow)
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        head = f"POST /v1/events HTTP/1.1\r\nHost: {where.netloc}\r\nContent-Type: application/json\r\n"
        line.sendall(f"{head}Content-Length: 500\r\n\r\n{{".encode())
        assert line.recv(4096).startswith(b"HTTP/1.1 408 ")


def test_bytes_that_are_no_request_end_only_their_own_connection(narrow):
    where = urlsplit(narrow)
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        line.sendall(b"\x16\x03\x01\x00\xff nonsense\r\n\r\n")
        assert b" 400 " in line.recv(4096)
    assert httpx.get(f"{narrow}/healthz").status_code == 200


def test_the_size_limit_is_the_settings(narrow):
    body = b'{"events":[' + b" " * 3000
    reply = httpx.post(f"{narrow}/v1/events", content=body, headers={"content-type": "application/json"})
    assert reply.status_code == 413
    assert "2000" in reply.json()["detail"]
