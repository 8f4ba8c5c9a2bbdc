"""The client against a real service, against one that fails on purpose, and against its own generator."""

import asyncio
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from threading import Thread

import pytest

from polyscene.client import AdminClient, AsyncClient, Client
from polyscene.core.errors import (
    AccessError,
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
    ServiceError,
)
from polyscene.serve.wire.events import EventBody
from polyscene.testing.service import live, tiny_workspace

SCRIPT = Path(__file__).parents[2] / "scripts" / "client.py"


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with live(tiny_workspace(tmp_path_factory.mktemp("called")).root) as url:
        yield url


@pytest.fixture(scope="module")
def client(url):
    with AdminClient(url) as client:
        yield client


def test_the_files_say_what_the_route_table_says():
    spec = spec_from_file_location("write_client", SCRIPT)
    script = module_from_spec(spec)
    sys.modules["write_client"] = script
    spec.loader.exec_module(script)
    for path, text in script.files():
        assert path.read_text(encoding="utf-8") == text, f"run: python {SCRIPT}"


def test_an_event_an_answer_and_its_trace(client):
    kept = client.post_event("anna", "i3")
    assert kept.accepted == 1
    answer = client.recommend("next", user="anna", k=3)
    assert answer.items
    assert "i3" not in {shown.id for shown in answer.items}
    assert client.get_request(answer.request_id)["user"] == "anna"
    assert client.replay_request(answer.request_id).equal
    assert [event["item"] for event in client.user_history("anna").events] == ["i3"]


def test_items_with_any_id_come_back_as_they_went(client):
    for item in ("a/b c?d#e%2F", "<b>", "日本", "'; drop", "x" * 500):
        client.put_item(item, attributes={"title": f"Title of {item[:9]}", "year": 2000})
        assert client.get_item(item)["id"] == item
        client.patch_item(item, {"year": 2001})
        assert client.get_item(item)["attributes"]["year"] == 2001
    assert [each["id"] for each in client.find_items(id=["<b>", "i1"]).items] == ["<b>", "i1"]


def test_lines_may_be_endless_to_their_sender(client):
    def events() -> Iterator[EventBody]:
        for number in range(2_500):
            yield EventBody(id=f"line-{number}", user=f"l{number % 7}", item="i1")

    kept = client.post_event_stream(events())
    assert (kept.accepted, kept.refused, kept.on_disk_to) == (2_500, 0, 2_500)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (NotFoundError, lambda client: client.get_item("never seen")),
        (InputError, lambda client: client.recommend("home", user="u1", k=0)),
        (InputError, lambda client: client.recommend("home", user="u1", filter="yaer > 3")),
        (NotFoundError, lambda client: client.recommend("hoem", user="u1")),
    ],
)
def test_refusals_are_the_errors_of_the_house(client, error, call):
    with pytest.raises(error, match=r"(?s)4\d\d: .+\(request "):
        call(client)


def test_the_same_ask_under_another_meaning_is_a_conflict(client):
    client.recommend("home", user="u1", request_id="mine")
    with pytest.raises(ConflictError, match="mine"):
        client.recommend("home", user="u2", request_id="mine")


def test_operators_see_bundles_and_how_it_goes(client):
    current = {each["scenario"]: each["bundle"] for each in client.list_bundles().bundles}
    assert client.get_bundle("home", current["home"]).bundle == current["home"]
    assert client.healthz().status == "alive"
    assert b"polyscene_http_replies_total" in client.get_metrics()


def test_the_waiting_client_says_the_same(url, client):
    async def both():
        async with AsyncClient(url) as other:
            answers = await asyncio.gather(*(other.recommend("popular", user=f"u{n}") for n in range(5)))
            with pytest.raises(NotFoundError):
                await other.get_item("never seen")
            lines = (EventBody(id=f"async-{n}", user="z", item="i2") for n in range(3))
            return answers, await other.post_event_stream(lines)

    answers, kept = asyncio.run(both())
    assert kept.accepted == 3
    mine = client.recommend("popular", user="u0")
    assert [each.id for each in answers[0].items] == [each.id for each in mine.items]


class Moody(BaseHTTPRequestHandler):
    """Answers with what the script says, one entry a request; None closes the line without a word."""

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        self.server.seen.append((self.headers.get("Idempotency-Key"), body))
        status, reply = self.server.script.pop(0) or (0, b"")
        if not status:
            self.close_connection = True
            self.connection.close()
            return
        self.send_response(status)
        self.send_header("Content-Length", str(len(reply)))
        self.send_header("Retry-After", "0")
        self.end_headers()
        self.wfile.write(reply)

    do_GET = do_POST  # noqa: N815

    def log_message(self, *_):
        """Says nothing."""


@contextmanager
def moody(*script):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Moody)
    server.script, server.seen = list(script), []
    Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield f"http://127.0.0.1:{server.server_port}", server.seen
    finally:
        server.shutdown()
        server.server_close()


KEPT = b'{"accepted":1,"duplicates":0,"position":1,"ids":["e"]}'
BUSY = b'{"title":"Service Unavailable","status":503,"detail":"readers: try again","request":"r"}'


def test_a_write_is_sent_again_under_its_key_after_a_refusal_and_after_a_broken_line():
    with moody((503, BUSY), None, (200, KEPT)) as (url, seen), Client(url) as client:
        assert client.post_event("u", "i").accepted == 1
    keys, bodies = zip(*seen, strict=True)
    assert len(seen) == 3
    assert len(set(keys)) == len(set(bodies)) == 1
    assert keys[0]


def test_an_ask_keeps_its_request_id_over_all_tries():
    with (
        moody(None, (503, BUSY), (503, BUSY), (503, BUSY)) as (url, seen),
        Client(url) as client,
        pytest.raises(BusyError, match="readers: try again"),
    ):
        client.recommend("home", user="u")
    assert len(seen) == 4
    assert len({body for _, body in seen}) == 1


def test_lines_are_sent_once_because_they_are_gone():
    with moody((503, BUSY)) as (url, seen), Client(url) as client, pytest.raises(BusyError):
        client.post_event_stream(EventBody(user="u", item="i") for _ in range(2))
    assert len(seen) == 1


def test_who_gives_up_at_once_gives_up_at_once():
    with (
        moody(None) as (url, seen),
        Client(url, retries=0) as client,
        pytest.raises(ServiceError, match="no answer"),
    ):
        client.post_event("u", "i")
    assert len(seen) == 1


@pytest.mark.parametrize(
    ("status", "reply", "error"),
    [
        (401, b'{"detail":"key: unknown"}', AccessError),
        (500, b"<html>proxy</html>", ServiceError),
        (200, b"no json", ServiceError),
        (418, b"", InputError),
    ],
)
def test_what_is_not_ours_is_told_as_what_it_is(status, reply, error):
    with (
        moody((status, reply)) as (url, seen),
        Client(url) as client,
        pytest.raises(error, match="POST /v1/event"),
    ):
        client.post_event("u", "i")
    assert len(seen) == 1


def test_nobody_there_says_so():
    with (
        Client("http://127.0.0.1:9", retries=1) as client,
        pytest.raises(ServiceError, match="does it run at this address"),
    ):
        client.list_events()


def test_importing_the_client_loads_no_models():
    program = (
        "import sys, polyscene.client; heavy = {'torch', 'faiss', 'polars', 'scipy', 'starlette'}; "
        "print(sorted(heavy & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
