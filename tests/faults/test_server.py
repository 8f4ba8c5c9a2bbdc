"""A serving process killed under load, and between a commit and its reply: all acknowledged, each once."""

import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from contextlib import contextmanager, suppress
from pathlib import Path
from threading import Thread

import httpx
import pytest

from polyscene.events.event import Event
from polyscene.events.sqlite import SqliteLog
from polyscene.testing.service import tiny_workspace

KILLS = int(os.environ.get("POLYSCENE_DRILL_KILLS", "2"))
"""Twenty in `python -m bench.drills`."""
RATE = 500
POSTERS = 8
BORN = 1_700_000_000_000
pytestmark = pytest.mark.fault


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    return tiny_workspace(tmp_path_factory.mktemp("space") / "w").root


@contextmanager
def serving(root, env=None):
    """A process that serves and its URL, once it answers."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "polyscene", "serve", "-w", root, "--port", str(port)]
    said = Path(f"{root}.log")
    with said.open("ab") as log:  # a pipe that nobody reads would fill up and stop the server
        process = subprocess.Popen(command, env=env, stdout=subprocess.DEVNULL, stderr=log)
    try:
        url = f"http://127.0.0.1:{port}"
        wait_ready(process, url, said)
        yield process, url
    finally:
        process.kill()
        process.wait()


def wait_ready(process, url, said):
    with httpx.Client(base_url=url) as client:
        for _ in range(600):
            assert process.poll() is None, said.read_text()
            with suppress(httpx.TransportError):
                if client.get("/readyz").status_code == 200:
                    return
            time.sleep(0.1)
    raise AssertionError("the server was not ready within a minute")


def post(url, lane, start, acknowledged):
    """Posts one event after the other on schedule, until the server is gone."""
    with httpx.Client(base_url=url, timeout=5) as client:
        began = time.monotonic()
        for count in itertools.count():
            time.sleep(max(began + count * POSTERS / RATE - time.monotonic(), 0))
            number = start + count * POSTERS + lane
            body = {
                "id": f"k{number}",
                "user": f"u{lane}",
                "item": f"i{number % 16}",
                "time": BORN + number,
            }
            try:
                reply = client.post("/v1/event", json=body)
            except httpx.TransportError:
                return
            if reply.status_code == 200:
                acknowledged.add(number)


def test_a_server_killed_under_load_has_every_acknowledged_event_once(root):
    chance, acknowledged, start = random.Random(31), set(), 0
    for _ in range(KILLS):
        with serving(root) as (process, url):
            lanes = [Thread(target=post, args=(url, lane, start, acknowledged)) for lane in range(POSTERS)]
            for lane in lanes:
                lane.start()
            enough = len(acknowledged) + chance.randrange(50, 400)
            while len(acknowledged) < enough and lanes[0].is_alive():
                time.sleep(chance.random() * 0.02)
            os.kill(process.pid, signal.SIGKILL)
            for lane in lanes:
                lane.join()
        with SqliteLog(root / "events.db") as log:
            assert log.recovery.unclean
            records = [record for _, record in log.read(limit=10_000_000)]
        kept = Counter(record.id for record in records if isinstance(record, Event))
        assert {f"k{number}" for number in acknowledged} <= set(kept)
        assert set(kept.values()) == {1}
        # the next round sends the last ones again, as clients do that got no reply
        start = max(acknowledged) // POSTERS * POSTERS - 40 * POSTERS
    assert len(acknowledged) > 50 * KILLS


def test_a_retry_after_a_kill_between_commit_and_reply_adds_nothing(root, shim, tmp_path):
    fatal = tmp_path / "fatal"
    headers = {"Idempotency-Key": "order-17"}
    body = {"events": [{"user": "u2", "item": "i3", "action": "buy", "time": BORN}]}
    with serving(root, shim(tmp_path, cut=fatal)) as (process, url):
        fatal.touch()
        with pytest.raises(httpx.TransportError):
            httpx.post(f"{url}/v1/events", json=body, headers=headers)
        assert process.wait(30) == -signal.SIGKILL
    with serving(root) as (_, url):
        reply = httpx.post(f"{url}/v1/events", json=body, headers=headers).raise_for_status().json()
        assert (reply["accepted"], reply["repeated"]) == (1, True)
        other = {"events": [{**body["events"][0], "item": "i4"}]}
        assert httpx.post(f"{url}/v1/events", json=other, headers=headers).status_code == 409
    with SqliteLog(root / "events.db") as log:
        bought = [e for _, e in log.read(limit=10_000_000) if isinstance(e, Event) and e.action == "buy"]
    assert [(event.user, event.item) for event in bought] == [("u2", "i3")]
