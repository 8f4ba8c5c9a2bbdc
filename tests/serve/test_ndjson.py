"""Bodies of lines: cut alike however they come, kept line by line, bounded."""

import json
import shutil
import socket
import time
from urllib.parse import urlsplit

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.serve import ndjson
from polyscene.serve.ndjson import Splitter
from polyscene.serve.settings import Settings
from polyscene.testing.service import live

HEADERS = {"content-type": "application/x-ndjson"}
MOST = 8


def lines(*bodies):
    return b"".join(json.dumps(body).encode() + b"\n" for body in bodies)


def stream(client, content, key=None, path="/v1/events/stream"):
    headers = HEADERS | ({} if key is None else {"idempotency-key": key})
    return client.post(path, content=content, headers=headers)


def event(user, number, **more):
    return {"id": f"{user}-{number}", "user": user, "item": f"i{number % 16}", **more}


def history(client, user):
    return client.get(f"/v1/users/{user}/history", params={"n": 1000}).json()["events"]


@settings(deadline=None)
@given(st.lists(st.binary(max_size=12)), st.lists(st.integers(0, 30)), st.booleans())
def test_batches_are_the_same_however_the_bytes_come(parts, cuts, ended):
    body = b"\n".join(part.replace(b"\n", b"") for part in parts) + (b"\n" if ended else b"")
    splitter, batches, start = Splitter(MOST), [], 0
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ndjson, "BATCH_LINES", 3)
        patch.setattr(ndjson, "BATCH_BYTES", 10)
        for cut in [*cuts, len(body)]:
            batches += splitter.feed(body[start : start + cut])
            start += cut
        batches += splitter.close()
    told = [line for batch in batches for line in batch.lines]
    expected = body.split(b"\n")
    if expected[-1] == b"":
        expected.pop()
    assert told == [line if len(line) <= MOST else None for line in expected]
    place = 1
    for number, batch in enumerate(batches):
        assert (batch.first, batch.last) == (place, place + len(batch.lines) - 1)
        place = batch.last + 1
        sizes = [len(line or b"") for line in batch.lines]
        assert len(sizes) <= 3
        assert sum(sizes[:-1]) < 10
        if number < len(batches) - 1:
            assert len(sizes) == 3 or sum(sizes) >= 10


def test_good_lines_are_kept_and_bad_ones_are_named(client):
    body = (
        lines(event("liner", 1))
        + b"\n  \r\n"
        + b'{"user": "liner"\n'
        + lines({"user": "", "item": "i1"}, event("liner", 2, time=5), event("liner", 3), [1])
        + b"\xff\xfe\n"
        + json.dumps(event("liner", 4)).encode()
    )
    reply = stream(client, body).json()
    assert (reply["accepted"], reply["refused"], reply["on_disk_to"]) == (3, 5, 10)
    found = {each["line"]: each["detail"] for each in reply["errors"]}
    assert list(found) == [4, 5, 6, 8, 9]
    assert "$.user" in found[5]
    assert "time" in found[6]
    assert "nothing of this batch" not in found[6]
    assert len(history(client, "liner")) == 3
    assert stream(client, body).json()["duplicates"] == 3


def test_only_a_hundred_errors_are_listed_and_all_are_counted(client):
    reply = stream(client, b"nonsense\n" * 2_500).json()
    assert (reply["refused"], reply["accepted"], len(reply["errors"])) == (2_500, 0, 100)
    assert reply["errors"][-1]["line"] == 100


def test_many_batches_are_kept_and_a_body_may_be_empty(client):
    body = lines(*(event("many", number) for number in range(2_500)))
    reply = stream(client, (body[start : start + 9_999] for start in range(0, len(body), 9_999))).json()
    assert (reply["accepted"], reply["on_disk_to"], reply["position"] > 2_500) == (2_500, 2_500, True)
    empty = stream(client, b"").json()
    assert (empty["accepted"], empty["on_disk_to"]) == (0, 0)


def test_under_a_key_lines_are_kept_once_also_without_ids(client):
    body = lines(*({"user": "keyed-lines", "item": f"i{number % 16}"} for number in range(1_200)))
    first = stream(client, body, "lines-1").json()
    assert (first["accepted"], first["ids_made"], first["repeated"]) == (1_200, 1_200, 0)
    again = stream(client, body, "lines-1").json()
    assert again == first | {"repeated": 1_200}
    longer = stream(client, body + lines({"user": "keyed-lines", "item": "i1"}), "lines-1")
    assert longer.status_code == 409
    assert "lines 1 to 1000" in longer.json()["detail"]
    events = client.get("/v1/events", params={"user": "keyed-lines", "n": 1000})
    assert events.json()["cursor"]
    assert client.get("/v1/users/keyed-lines").json()["events"] == 1_200


def test_notes_of_lines_name_events_that_no_slate_showed(client):
    ask = {"scenario": "home", "user": "noted", "k": 3, "request_id": "lines-slate"}
    shown = [each["id"] for each in client.post("/v1/recommend", json=ask).json()["items"]]
    other = next(f"i{number}" for number in range(16) if f"i{number}" not in shown)
    body = lines(
        *({"user": "noted", "item": item, "request_id": "lines-slate"} for item in (shown[0], other))
    )
    reply = stream(client, body).json()
    assert reply["accepted"] == 2
    assert len(reply["notes"]) == 1


def test_items_users_and_edges_come_by_the_line(client):
    body = lines(
        {"id": "by-line-1", "kind": "film", "attributes": {"title": "One", "year": 1}},
        {"id": "by-line-1", "op": "patch", "attributes": {"year": 2}},
        {"id": "by-line-2", "attributes": {"year": "x"}},
        {"id": "by-line-3", "attributes": {"fresh": 1}},
        {"id": "by-line-4", "attributes": {"fresh": "text"}},
        {"id": "by-line-3", "op": "delete"},
        {"id": "by-line-5", "op": "burn"},
    )
    reply = stream(client, body, path="/v1/items/bulk").json()
    assert (reply["accepted"], [each["line"] for each in reply["errors"]]) == (4, [3, 5, 7])
    assert client.get("/v1/items/by-line-1").json()["attributes"] == {"title": "One", "year": 2}
    assert client.get("/v1/items/by-line-3").json()["active"] is False
    body = lines({"id": "lu", "attributes": {"a": 1}}, {"id": "lu", "op": "patch", "attributes": {"b": 2}})
    assert stream(client, body, path="/v1/users/bulk").json()["accepted"] == 2
    assert client.get("/v1/users/lu").json()["attributes"] == {"a": 1, "b": 2}
    edge = {"source": "lu", "relation": "knows", "target": "lv"}
    body = lines(edge, {**edge, "target": "lw"}, {**edge, "op": "delete"})
    assert stream(client, body, path="/v1/edges/bulk").json()["accepted"] == 3
    (left,) = client.get("/v1/edges", params={"source": "lu"}).json()["edges"]
    assert left["target"] == "lw"


@pytest.mark.parametrize(
    "path", ["/v1/items/bulk", "/v1/users/bulk", "/v1/edges/bulk", "/v1/events/stream"]
)
def test_only_plain_ndjson_is_read(client, path):
    for headers in ({"content-type": "application/json"}, HEADERS | {"content-encoding": "gzip"}):
        assert client.post(path, content=b"{}", headers=headers).status_code == 415


@pytest.fixture(scope="module")
def narrow(fitted, tmp_path_factory):
    root = shutil.copytree(fitted, tmp_path_factory.mktemp("narrow") / "workspace")
    limits = Settings(max_lines=200_000, max_line=300, lines_timeout_s=0.5)
    with live(root, limits) as url, httpx.Client(base_url=url) as client:
        yield client


def test_a_line_above_the_limit_is_refused_alone(narrow):
    long = {"user": "long", "item": "i1", "attributes": {"note": "x" * 400}}
    reply = stream(narrow, lines(event("long", 1), long, event("long", 2))).json()
    assert (reply["accepted"], [each["line"] for each in reply["errors"]]) == (2, [2])
    assert "300 bytes" in reply["errors"][0]["detail"]


def test_a_body_above_the_limit_keeps_its_first_lines_and_says_which(narrow):
    body = lines(*(event("above", number) for number in range(5_000)))
    assert len(body) > 200_000
    assert stream(narrow, body).status_code == 413
    assert narrow.get("/v1/users/above").status_code == 404
    reply = stream(narrow, (body[start : start + 4_096] for start in range(0, len(body), 4_096)))
    assert reply.status_code == 413
    assert "go on from line" in reply.json()["detail"]
    kept = narrow.get("/v1/users/above").json()["events"]
    assert f"lines 1 to {kept} " in reply.json()["detail"]
    assert kept >= 1_000


def test_a_client_that_goes_away_leaves_what_was_committed(narrow):
    where = urlsplit(str(narrow.base_url))
    body = lines(*(event("away", number) for number in range(1_500)))
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        head = f"POST /v1/events/stream HTTP/1.1\r\nHost: {where.netloc}\r\n"
        line.sendall(f"{head}Content-Type: application/x-ndjson\r\nContent-Length: 190000\r\n\r\n".encode())
        line.sendall(body)
        for _ in range(200):
            if history(narrow, "away"):
                break
            time.sleep(0.05)
    assert len(history(narrow, "away")) == 1_000
    assert stream(narrow, body).json()["duplicates"] == 1_000
    assert narrow.get("/v1/users/away").json()["events"] == 1_500


def test_lines_that_stop_coming_are_given_up(narrow):
    where = urlsplit(str(narrow.base_url))
    with socket.create_connection((where.hostname, where.port), timeout=10) as line:
        head = f"POST /v1/events/stream HTTP/1.1\r\nHost: {where.netloc}\r\n"
        line.sendall(f"{head}Content-Type: application/x-ndjson\r\nContent-Length: 500\r\n\r\n".encode())
        line.sendall(lines(event("stops", 1)))
        assert line.recv(4096).startswith(b"HTTP/1.1 408 ")
