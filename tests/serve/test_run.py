"""A real server process on a real socket."""

import json
import signal
import socket
import subprocess
import sys
from pathlib import Path

import httpx
import pytest

from polyscene.core.errors import InputError, NotFoundError
from polyscene.serve.run import serve

ROOT = Path(__file__).parents[2]
SERVE = """
import sys
from pathlib import Path
from polyscene.serve.run import serve
serve(Path(sys.argv[1]), port=0)
"""
READ = """
import sys
from pathlib import Path
from polyscene.jobs.workspace import Workspace
log = Workspace.open(Path(sys.argv[1])).log()
print([event.item for _, event in log.user_tail("live", 5)])
log.close()
"""


@pytest.fixture
def server(root):
    process = subprocess.Popen([sys.executable, "-c", SERVE, str(root)], stderr=subprocess.PIPE, text=True)
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


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.0.2.1", "example.com", ""])
def test_only_loopback_addresses_are_served(root, host):
    with pytest.raises(InputError, match="host"):
        serve(root, host=host, port=0)


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
    assert process.wait(timeout=30) in (0, -signal.SIGTERM)
    command = [sys.executable, "-c", READ, str(root)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == "['i1']"
