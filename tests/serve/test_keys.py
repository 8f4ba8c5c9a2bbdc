"""Every route of the table asks for a key and its role; nothing else opens, and no key is told on."""

import io
import json
import re
import shutil
import time

import httpx
import pytest

from polyscene.core.clock import DAY_MS, FixedClock, SystemClock
from polyscene.jobs import keys
from polyscene.observe.logs import set_up
from polyscene.serve.app import OPERATIONS
from polyscene.serve.routes import document
from polyscene.testing.service import live

TABLE = [*OPERATIONS, document.operation(())]
GUARDED = [each for each in TABLE if each.role != "open"]
METHODS = ["GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS", "TRACE"]
WRONG = keys.HEAD + "A" * 43


def path_of(operation):
    return re.sub(r"\{.*?\}", "some", operation.path)


def bearer(text):
    return {"authorization": f"Bearer {text}"}


@pytest.fixture(scope="module")
def opened(fitted, tmp_path_factory):
    """A server with keys: its URL, its workspace, and a key by role."""
    root = shutil.copytree(fitted, tmp_path_factory.mktemp("keyed") / "workspace")
    made = {role: keys.add(root, f"for-{role}", role) for role in keys.ROLES}
    past = FixedClock(SystemClock().now() - 2 * DAY_MS)
    made["expired"] = keys.add(root, "expired", "admin", days=1, clock=past)
    with live(root) as url:
        yield url, root, made


@pytest.fixture(scope="module")
def anonymous(opened):
    with httpx.Client(base_url=opened[0]) as client:
        yield client


def refused(reply, status=401):
    assert reply.status_code == status, (reply.request.method, reply.request.url, reply.text)
    if status == 401:
        assert reply.headers["www-authenticate"].startswith("Bearer")
    if reply.request.method != "HEAD":
        assert reply.headers["content-type"] == "application/problem+json"
        assert keys.HEAD + "A" not in reply.text


@pytest.mark.parametrize("operation", GUARDED, ids=lambda each: f"{each.method} {each.path}")
def test_no_route_answers_without_a_good_key(anonymous, opened, operation):
    path, expired = path_of(operation), opened[2]["expired"]
    for headers in (
        {},
        bearer(WRONG),
        bearer(expired),
        bearer(opened[2]["admin"][:-1]),
        {"authorization": opened[2]["admin"]},
        {"authorization": f"Basic {opened[2]['admin']}"},
        {"authorization": "Bearer"},
        {"authorization": "Bearer é".encode().decode("latin-1")},
        {"x-api-key": opened[2]["admin"]},
        {"cookie": f"polyscene_session={opened[2]['admin']}"},
        {"x-forwarded-for": "127.0.0.1", "x-real-ip": "127.0.0.1", "forwarded": "for=127.0.0.1"},
    ):
        raw = {name: value.encode("latin-1") for name, value in headers.items()}
        refused(anonymous.request(operation.method, path, headers=raw))
    for name in ("key", "api_key", "access_token", "token"):
        refused(anonymous.request(operation.method, path, params={name: opened[2]["admin"]}))
    twice = [("authorization", f"Bearer {opened[2]['admin']}")] * 2
    refused(anonymous.request(operation.method, path, headers=twice))


@pytest.mark.parametrize("operation", GUARDED, ids=lambda each: f"{each.method} {each.path}")
def test_a_role_opens_what_it_names_and_what_is_below_it(anonymous, opened, operation):
    need = keys.ROLES.index(operation.role)
    for have, role in enumerate(keys.ROLES):
        reply = anonymous.request(
            operation.method, path_of(operation), headers={**bearer(opened[2][role]), "content-type": "x/y"}
        )
        if have < need:
            refused(reply, 403)
            assert f"--role {operation.role}" in reply.text
        else:
            assert reply.status_code not in (401, 403), reply.text


@pytest.mark.parametrize("method", METHODS)
def test_no_method_on_any_path_goes_around_the_key(anonymous, method):
    open_to_all = {(each.method, each.path) for each in TABLE if each.role == "open"}
    for path in {path_of(each) for each in TABLE} | {
        "/v1/none",
        "/v1/",
        "/none",
        "//v1/items",
        "/v1/items/",
    }:
        if ("GET" if method == "HEAD" else method, path) not in open_to_all:
            refused(anonymous.request(method, path))


def test_every_route_of_the_application_is_of_the_table_or_a_page(opened, fitted, tmp_path):
    from polyscene.jobs.engine import Engine
    from polyscene.serve.app import create_app

    with Engine.open(shutil.copytree(fitted, tmp_path / "workspace")) as engine:
        served = {(method, route.path) for route in create_app(engine).routes for method in route.methods}
    table = {(each.method, each.path) for each in TABLE}
    pages = {(method, path) for method, path in served - table if method != "HEAD"}
    assert all(
        method == "GET" and (path in ("/", "/console") or path.startswith(("/page/", "/console/")))
        for method, path in pages
    )


def test_a_key_in_the_address_is_refused_even_beside_a_good_one(anonymous, opened):
    good = opened[2]["admin"]
    for params in ({"key": good}, {"odd": good}, {"access_token": "x"}):
        reply = anonymous.get("/v1/scenarios", params=params, headers=bearer(good))
        refused(reply)
        assert "address" in reply.text


def test_pages_health_and_the_session_are_open(anonymous):
    for path in ("/", "/healthz", "/readyz", "/v1/session", "/page/style.css"):
        assert anonymous.get(path).status_code == 200
    assert anonymous.get("/v1/session").json()["role"] is None


def test_a_running_server_takes_up_keys_and_forgets_revoked_ones_within_a_second(opened, anonymous):
    _, root, _ = opened
    text = keys.add(root, "late", "read")
    time.sleep(0.6)
    assert anonymous.get("/v1/scenarios", headers=bearer(text)).status_code == 200
    keys.revoke(root, "late")
    time.sleep(0.6)
    refused(anonymous.get("/v1/scenarios", headers=bearer(text)))


def test_a_server_that_had_keys_never_opens_without(fitted, tmp_path):
    root = shutil.copytree(fitted, tmp_path / "workspace")
    with live(root) as url, httpx.Client(base_url=url) as client:
        assert client.get("/v1/scenarios").status_code == 200
        text = keys.add(root, "first", "admin")
        time.sleep(0.6)
        refused(client.get("/v1/scenarios"))
        assert client.get("/v1/scenarios", headers=bearer(text)).status_code == 200
        (root / keys.FILE).write_text("damaged")
        time.sleep(0.6)
        refused(client.get("/v1/scenarios", headers=bearer(text)))
        (root / keys.FILE).unlink()
        time.sleep(0.6)
        refused(client.get("/v1/scenarios"))


def test_a_key_has_its_rate_and_says_when_to_come_back(opened, anonymous):
    text = keys.add(opened[1], "slow", "read", rate=1)
    time.sleep(0.6)
    statuses = [anonymous.get("/v1/scenarios", headers=bearer(text)) for _ in range(6)]
    assert [reply.status_code for reply in statuses[:2]] == [200, 200]
    assert statuses[-1].status_code == 429
    assert int(statuses[-1].headers["retry-after"]) >= 1
    assert anonymous.get("/v1/scenarios", headers=bearer(opened[2]["read"])).status_code == 200


def test_no_key_ever_reaches_the_log(fitted, tmp_path):
    root, out = shutil.copytree(fitted, tmp_path / "workspace"), io.StringIO()
    text = keys.add(root, "quiet", "read")
    set_up("debug", as_json=True, to=out)
    try:
        with live(root) as url, httpx.Client(base_url=url) as client:
            client.get("/v1/scenarios", headers=bearer(text))
            client.get("/v1/scenarios", params={"key": text})
            client.get(f"/v1/{text}", headers={"x-request-id": text, **bearer(WRONG)})
            client.post("/v1/session", json={"key": text})
            client.post("/v1/session", json={"key": text, "odd": text})
    finally:
        set_up("warning")
    lines = [json.loads(line) for line in out.getvalue().splitlines()]
    assert {"request"} <= {line["event"] for line in lines}
    assert any(line.get("key") == "quiet" for line in lines)
    assert text.removeprefix(keys.HEAD) not in out.getvalue()
