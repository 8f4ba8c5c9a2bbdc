"""Hundreds of hostile requests, made from the route table, on one real service: it refuses and goes on."""

import json
import os
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import httpx
import pytest

from polyscene.serve.app import OPERATIONS
from polyscene.testing.hostile import hostile
from polyscene.testing.raw import send

CHILD = Path(__file__).with_name("watched_child.py")
COUNT, SEED = 300, 20261122
MOST_RISE_MB = 50
STARTS_PROCESSES = {("POST", "/v1/jobs")}
"""What starts programs when the request is good; drawn requests to it may be."""
KNOWN = {"id": "known-1", "user": "known", "item": "i1", "time": 1_767_225_600_000}


class Watched:
    """A service in a process of its own, with its log and its memory."""

    def __init__(self, root, log):
        with log.open("w") as to:
            pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "stderr": to}
            self.process = subprocess.Popen([sys.executable, str(CHILD), str(root)], text=True, **pipes)
        self.url = self.process.stdout.readline().strip()

    def rss_mb(self):
        pages = int(Path(f"/proc/{self.process.pid}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE") / 1e6

    def end(self):
        """What it opened and dialled that it should not have."""
        told, _ = self.process.communicate("", timeout=60)
        return json.loads(told.splitlines()[-1])


@pytest.fixture(scope="module")
def attacked(fitted, tmp_path_factory):
    """Everything that came of the attack."""
    base = tmp_path_factory.mktemp("attacked")
    root = shutil.copytree(fitted, base / "workspace")
    (base / "outside").mkdir()
    (base / "outside" / "manifest.json").write_text("{}")
    # names that a client may say, and that lead out of the workspace
    (root / "bundles" / "home" / "leak").symlink_to(base / "outside")
    (root / "bundles" / "linked").symlink_to(base / "outside")
    service = Watched(root, base / "log")
    try:
        with httpx.Client(base_url=service.url, timeout=30) as client:
            assert client.post("/v1/events", json={"events": [KNOWN]}).json()["accepted"] == 1
            for _ in range(30):
                client.post("/v1/recommend", json={"scenario": "home", "user": "known"})
            before = service.rss_mb()
            operations = [each for each in OPERATIONS if (each.method, each.path) not in STARTS_PROCESSES]
            outcomes = [
                (each.what, send(service.url, each.parts)) for each in hostile(operations, COUNT, SEED)
            ]
            result = {
                "outcomes": outcomes,
                "rise": service.rss_mb() - before,
                "history": client.get("/v1/users/known/history").json()["events"],
                "slate": client.post("/v1/recommend", json={"scenario": "home", "user": "known", "k": 5}),
            }
        result["foreign"] = service.end()
    finally:
        service.process.kill()
        service.process.wait()
    result["log"] = (base / "log").read_text()
    return result


@pytest.mark.skipif(not Path("/proc/self/statm").exists(), reason="memory is read from /proc")
def test_hundreds_of_hostile_requests_cost_no_memory(attacked):
    assert len(attacked["outcomes"]) >= COUNT
    assert attacked["rise"] < MOST_RISE_MB


def test_nothing_is_a_500_and_every_refusal_is_a_problem(attacked):
    seen = Counter()
    for what, replies in attacked["outcomes"]:
        for reply in replies:
            seen[reply.status] += 1
            assert reply.status < 500 or reply.status == 503, (what, reply)
            assert b"Traceback" not in reply.body, what
            if reply.status >= 400 and reply.body:
                assert reply.headers["content-type"] == "application/problem+json", (what, reply)
                assert json.loads(reply.body)["detail"], what
            for name in ("x-content-type-options", "content-security-policy"):
                assert name in reply.headers or reply.status == 100, (what, reply)
    assert {200, 400, 404, 405, 413, 415, 422, 431, 414} <= set(seen), seen


def test_only_one_answer_comes_back_where_bodies_lie(attacked):
    found = dict(attacked["outcomes"])
    for name in ("length and chunks", "two lengths", "chunks and length", "chunked twice", "signed length"):
        (reply,) = found[f"line: {name}"]
        assert reply.status == 400


def test_what_was_known_stays_and_answers_go_on(attacked):
    assert [each["item"] for each in attacked["history"]][-1:] == ["i1"]
    assert attacked["slate"].status_code == 200
    assert len(attacked["slate"].json()["items"]) == 5


def test_the_log_has_a_line_an_event_and_no_traceback(attacked):
    lines = [json.loads(line) for line in attacked["log"].splitlines()]
    assert not [line for line in lines if "exception" in line or line["event"] == "request_fault"]
    assert len(lines) > COUNT / 2


def test_nothing_outside_the_workspace_was_opened_and_nobody_was_dialled(attacked):
    assert attacked["foreign"] == []


def test_a_refused_batch_moves_nothing(client):
    def position():
        return client.get("/readyz").json()["position"]

    before = position()
    good = {"id": "moved-1", "user": "moved", "item": "i1"}
    for name, value in (
        ("time", 1e308),
        ("value", 1e308),
        ("user", "x" * 10_000),
        ("item", None),
        ("attributes", {"a": 1e308}),
        ("position", -1),
        ("time", 10**15),
        ("odd", 1),
    ):
        reply = client.post("/v1/events", json={"events": [good, {**good, name: value}]})
        assert reply.status_code == 422, reply.text
        assert name in reply.json()["detail"]
    for text in ("NaN", "Infinity", "-Infinity", "1e999"):
        body = json.dumps({"events": [{**good, "value": 7}]}).replace("7", text).encode()
        reply = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
        assert reply.status_code in (400, 422), reply.text
    assert position() == before
