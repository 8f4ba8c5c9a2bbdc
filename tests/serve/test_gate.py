import pytest

JSON = {"content-type": "application/json"}


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "[::1]:8000", "LOCALHOST"])
def test_loopback_names_come_in(client, host):
    assert client.get("/healthz", headers={"host": host}).status_code == 200


@pytest.mark.parametrize(
    "host",
    ["evil.example", "127.0.0.1.evil.example", "localhost@evil.example", "10.0.0.1", "", "[::1", "a b"],
)
def test_other_names_for_this_machine_stay_out(client, host):
    reply = client.get("/v1/users", headers={"host": host})
    assert reply.status_code == 403
    assert reply.headers["content-type"] == "application/problem+json"
    assert "localhost" in reply.json()["detail"]


@pytest.mark.parametrize(
    "origin", ["http://evil.example", "null", "http://127.0.0.1:1", "http://localhost:8000"]
)
def test_a_page_of_another_site_can_not_write(client, origin):
    body = b'{"events":[{"id":"x1","user":"victim","item":"i0"}]}'
    reply = client.post("/v1/events", content=body, headers={**JSON, "origin": origin})
    assert reply.status_code == 403
    assert client.get("/v1/users/victim/history").json()["events"] == []


def test_our_own_page_may_write(client):
    body = {"events": [{"id": "own-page", "user": "own-page", "item": "i0"}]}
    assert (
        client.post(
            "/v1/events", json=body, headers={"origin": str(client.base_url).rstrip("/")}
        ).status_code
        == 200
    )


def test_every_reply_carries_the_headers_and_a_request_id(client):
    for path in ("/", "/healthz", "/v1/nothing", "/v1/items/none"):
        reply = client.get(path)
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert "frame-ancestors 'none'" in reply.headers["content-security-policy"]
        assert len(reply.headers["x-request-id"]) == 32
        if reply.status_code >= 400:
            assert reply.json()["request"] == reply.headers["x-request-id"]


def test_a_request_id_is_kept_only_when_it_is_harmless(client):
    assert client.get("/healthz", headers={"x-request-id": "a-1.b"}).headers["x-request-id"] == "a-1.b"
    assert client.get("/healthz", headers={"x-request-id": 'a b"c'}).headers["x-request-id"] != 'a b"c'


def test_replies_are_counted_by_pattern_and_not_by_id(client):
    client.get("/v1/items/some-secret-id")
    counters = client.get("/metrics").text
    assert 'path="/v1/items/{id:path}",status="404"' in counters
    assert "some-secret-id" not in counters
