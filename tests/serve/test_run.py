"""A real server process on a real socket."""

import json
import shutil
import signal
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from polyscene.core.clock import FixedClock
from polyscene.core.errors import InputError, NotFoundError
from polyscene.jobs import keys
from polyscene.serve.run import serve

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from pathlib import Path
from polyscene.serve.run import serve
serve(Path(sys.argv[1]), host=sys.argv[2], port=0)
"""
READ = """
import sys
from pathlib import Path
from polyscene.jobs.workspace import Workspace
log = Workspace.open(Path(sys.argv[1])).log()
print([event.item for _, event in log.user_tail("live", 5)])
log.close()
"""


SHOWN = """
import sys
from pathlib import Path
from polyscene.jobs.workspace import Workspace
log = Workspace.open(Path(sys.argv[1])).log()
print(*(log.exposure(each) is not None for each in sys.argv[2:]))
log.close()
"""


@pytest.fixture
def server(root):
    with serving(root) as both:
        yield both


@contextmanager
def serving(root, host="127.0.0.1"):
    """A server process and its URL."""
    command = [sys.executable, "-c", SERVE, str(root), host]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    try:
        for line in process.stderr:
            if "http://" in line:
                yield process, "http://" + line.partition("http://")[2].split()[0].rstrip("/")
                break
        else:
            pytest.fail(f"the server ended with {process.wait()}")
    finally:
        if process.poll() is None:
            process.kill()
        process.communicate()


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1"])
def test_no_address_that_others_reach_is_served_without_a_key(root, host):
    with pytest.raises(InputError, match=f"host '{host}'.*polyscene keys add NAME --role admin"):
        serve(root, host=host, port=0)


def test_an_expired_key_is_no_key_to_start_with(fitted, tmp_path):
    root = shutil.copytree(fitted, tmp_path / "workspace")
    keys.add(root, "old", "admin", days=1, clock=FixedClock(0))
    with pytest.raises(InputError, match="keys add"):
        serve(root, host="0.0.0.0", port=0)


@pytest.mark.parametrize("host", ["example.com", "", "127.0.0.1.evil.example"])
def test_only_addresses_are_served(root, host):
    with pytest.raises(InputError, match="is no address"):
        serve(root, host=host, port=0)


def test_with_a_key_a_service_answers_to_its_other_names(fitted, tmp_path):
    root = shutil.copytree(fitted, tmp_path / "workspace")
    text = keys.add(root, "outside", "read")
    settings = (root / "polyscene.toml").read_text().replace("hosts = []", 'hosts = ["Reco.Example"]')
    (root / "polyscene.toml").write_text(settings)
    with serving(root) as (_, url), httpx.Client() as client:
        port = url.rpartition(":")[2]
        for host, key, status in (
            (f"reco.example:{port}", text, 200),
            (f"reco.example:{port}", "wrong", 401),
            ("other.example", text, 403),
        ):
            headers = {"host": host, "authorization": f"Bearer {key}"}
            assert (
                client.get(f"http://127.0.0.1:{port}/v1/scenarios", headers=headers).status_code == status
            )


def test_told_to_end_it_says_so_finishes_what_is_in_and_exits_well(fitted, tmp_path):
    root = shutil.copytree(fitted, tmp_path / "workspace")
    settings = (root / "polyscene.toml").read_text().replace("drain_s = 2 ", "drain_s = 1.5 ")
    (root / "polyscene.toml").write_text(settings)
    with serving(root) as (process, url), httpx.Client(base_url=url) as client:
        assert client.get("/readyz").status_code == 200
        asked = client.post("/v1/recommend", json={"scenario": "home", "user": "u1"}).json()["request_id"]
        process.send_signal(signal.SIGTERM)
        until = time.monotonic() + 5
        while client.get("/readyz").status_code == 200:
            assert time.monotonic() < until, "the service never said that it ends"
        assert client.get("/healthz").status_code == 200
        last = client.post("/v1/recommend", json={"scenario": "home", "user": "u2"})
        assert last.status_code == 200
        assert last.headers["connection"] == "close"
        assert process.wait(timeout=30) == 0
    command = [sys.executable, "-c", SHOWN, str(root), asked, last.json()["request_id"]]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "True True"


def test_a_port_that_is_taken_is_told_with_what_to_do(root):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        with pytest.raises(InputError, match="--port"):
            serve(root, port=other.getsockname()[1])


def test_no_workspace_is_told(tmp_path):
    with pytest.raises(NotFoundError, match="no workspace"):
        serve(tmp_path, port=0)


def test_a_served_workspace_answers_under_load_and_ends_at_sigterm(root, server):
    process, url = server
    with httpx.Client(base_url=url) as client:
        event = {"id": "live-1", "user": "live", "item": "i1"}
        assert client.post("/v1/events", json={"events": [event]}).json()["accepted"] == 1
        assert client.get("/readyz").status_code == 200
    command = [sys.executable, str(ROOT / "bench" / "load.py"), url, "--rate", "20", "--seconds", "1"]
    command += ["--warm", "0.2", "--scenario", "home", "--k", "5", "--pid", str(process.pid)]
    result = json.loads(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert (result["requests"], result["errors"], result["short_slates"]) == (20, 0, 0)
    assert result["latency_ms"]["p50"] > 0
    assert result["server_cpu_ms_per_request"] >= 0
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=30) == 0
    command = [sys.executable, "-c", READ, str(root)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "['i1']"
