"""The console signs in with a key and goes on with a cookie; no other page can use that cookie."""

import shutil
import time

import httpx
import pytest

from polyscene.core.clock import FixedClock
from polyscene.jobs import keys
from polyscene.serve.sessions import COOKIE, IDLE_MS, LONGEST_MS, MOST, Sessions
from polyscene.testing.service import live

EVENT = {"events": [{"id": "s-1", "user": "session", "item": "i1"}]}


@pytest.fixture(scope="module")
def keyed(fitted, tmp_path_factory):
    root = shutil.copytree(fitted, tmp_path_factory.mktemp("signed") / "workspace")
    text = keys.add(root, "ada", "write")
    with live(root) as url:
        yield url, root, text


@pytest.fixture
def browser(keyed):
    with httpx.Client(base_url=keyed[0], headers={"origin": keyed[0]}) as client:
        yield client


def sign_in(client, text):
    reply = client.post("/v1/session", json={"key": text})
    assert reply.status_code == 200, reply.text
    return reply


def test_a_key_becomes_a_cookie_that_no_script_reads(browser, keyed):
    reply = sign_in(browser, keyed[2])
    cookie = reply.headers["set-cookie"].lower()
    assert "httponly" in cookie
    assert "samesite=strict" in cookie
    assert "path=/" in cookie
    assert keyed[2] not in reply.text + cookie
    told = browser.get("/v1/session").json()
    assert told == reply.json()
    assert (told["keys"], told["role"], told["name"]) == (True, "write", "ada")
    assert browser.get("/v1/scenarios").status_code == 200


def test_writing_by_cookie_needs_the_word_and_the_own_origin(browser, keyed):
    csrf = sign_in(browser, keyed[2]).json()["csrf"]
    own = keyed[0]
    for headers, status in (
        ({}, 403),
        ({"x-csrf-token": "wrong"}, 403),
        ({"x-csrf-token": csrf, "origin": "http://evil.example"}, 403),
        ({"x-csrf-token": csrf, "origin": own}, 200),
    ):
        assert browser.post("/v1/events", json=EVENT, headers=headers).status_code == status, headers
    del browser.headers["origin"]
    for site, status in (("cross-site", 403), ("same-site", 403), ("none", 403), ("same-origin", 200)):
        headers = {"x-csrf-token": csrf, "sec-fetch-site": site}
        assert browser.post("/v1/events", json=EVENT, headers=headers).status_code == status, site
    assert browser.post("/v1/events", json=EVENT, headers={"x-csrf-token": csrf}).status_code == 403
    assert browser.delete("/v1/session").status_code == 403


def test_a_bearer_needs_no_word(keyed):
    headers = {"authorization": f"Bearer {keyed[2]}"}
    assert httpx.post(f"{keyed[0]}/v1/events", json=EVENT, headers=headers).status_code == 200


def test_signing_out_ends_the_session_for_good(browser, keyed):
    csrf = sign_in(browser, keyed[2]).json()["csrf"]
    cookie = browser.cookies[COOKIE]
    assert browser.delete("/v1/session", headers={"x-csrf-token": csrf}).status_code == 200
    assert COOKIE not in browser.cookies
    reply = httpx.get(f"{keyed[0]}/v1/scenarios", headers={"cookie": f"{COOKIE}={cookie}"})
    assert reply.status_code == 401


def test_a_session_ends_with_its_key(browser, keyed):
    text = keys.add(keyed[1], "gone", "read")
    time.sleep(0.6)
    sign_in(browser, text)
    assert browser.get("/v1/session").json()["name"] == "gone"
    keys.revoke(keyed[1], "gone")
    time.sleep(0.6)
    assert browser.get("/v1/scenarios").status_code == 401
    assert browser.get("/v1/session").json()["role"] is None


def test_guessing_is_slowed(fitted, tmp_path):
    root = shutil.copytree(fitted, tmp_path / "workspace")
    keys.add(root, "only", "read")
    with live(root) as url, httpx.Client(base_url=url) as client:
        replies = [client.post("/v1/session", json={"key": f"guess-{each}"}) for each in range(15)]
    assert replies[0].status_code == 401
    assert replies[-1].status_code == 429
    assert int(replies[-1].headers["retry-after"]) >= 1


def test_without_keys_there_is_nothing_to_sign_in_to(client):
    told = client.get("/v1/session").json()
    assert (told["keys"], told["role"], told["csrf"]) == (False, "admin", None)
    assert client.post("/v1/session", json={"key": "x"}).status_code == 422


def test_sessions_end_when_idle_when_old_and_when_there_are_too_many():
    clock, sessions = FixedClock(0), Sessions()
    idle = sessions.start("digest", clock.at)
    assert sessions.find(idle.id, IDLE_MS - 1)
    assert sessions.find(idle.id, 2 * IDLE_MS - 1) is None
    old = sessions.start("digest", 0)
    for at in range(0, LONGEST_MS, IDLE_MS - 1):
        assert sessions.find(old.id, at)
    assert sessions.find(old.id, LONGEST_MS) is None
    first = sessions.start("digest", 0)
    for _ in range(MOST):
        sessions.start("digest", 0)
    assert sessions.find(first.id, 0) is None


def test_cookies_only_go_through_tls_where_others_can_listen(fitted, tmp_path):
    from polyscene.serve.settings import LOOPBACK, Settings

    root = shutil.copytree(fitted, tmp_path / "workspace")
    text = keys.add(root, "ada", "read")
    with live(root, Settings(hosts=(*LOOPBACK, "reco.example"))) as url:
        reply = httpx.post(f"{url}/v1/session", json={"key": text}, headers={"host": "reco.example"})
        assert "secure" in reply.headers["set-cookie"].lower()
        reply = httpx.post(f"{url}/v1/session", json={"key": text})
        assert "secure" not in reply.headers["set-cookie"].lower()
