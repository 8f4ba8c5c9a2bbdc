"""Users over HTTP: attributes, guests who log in, being forgotten."""

import pytest


def act(client, user, *items):
    events = [{"user": user, "item": item} for item in items]
    assert client.post("/v1/events", json={"events": events}).status_code == 200


def history(client, user):
    return [each["item"] for each in client.get(f"/v1/users/{user}/history").json()["events"]]


def merge(client, guest, user, **more):
    return client.post(f"/v1/users/{user}/merge", json={"from": guest}, **more)


def test_attributes_are_put_patched_and_told(client):
    client.put("/v1/users/anna", json={"attributes": {"country": "NL", "age": 31}})
    client.patch("/v1/users/anna", json={"attributes": {"age": None, "tags": ["a"]}})
    found = client.get("/v1/users/anna").json()
    assert found == {
        "id": "anna",
        "answers_as": "anna",
        "guests": [],
        "attributes": {"country": "NL", "tags": ["a"]},
        "events": 0,
        "first": None,
        "last": None,
    }
    client.put("/v1/users/anna", json={"attributes": {"country": "BE"}})
    assert client.get("/v1/users/anna").json()["attributes"] == {"country": "BE"}


def test_an_attribute_of_another_type_is_refused_and_what_was_said_stays(client):
    client.put("/v1/users/typed", json={"attributes": {"height": 180}})
    for call, user in ((client.put, "other"), (client.patch, "typed")):
        reply = call(f"/v1/users/{user}", json={"attributes": {"height": "tall"}})
        assert reply.status_code == 422
        assert "'height' is 'tall' (category), but earlier users have a number" in reply.text
    assert client.get("/v1/users/typed").json()["attributes"] == {"height": 180}
    assert client.get("/v1/users/other").status_code == 404


def test_events_are_counted_with_their_first_and_last_time(client):
    base = 1_767_225_600_000
    for time in (base + 5, base, base + 9):
        client.post("/v1/event", json={"user": "timed", "item": "i1", "time": time})
    found = client.get("/v1/users/timed").json()
    assert (found["events"], found["first"], found["last"]) == (3, base, base + 9)


def test_a_user_never_seen_is_unknown(client):
    for reply in (
        client.get("/v1/users/nobody"),
        client.patch("/v1/users/nobody", json={"attributes": {}}),
        client.delete("/v1/users/nobody"),
    ):
        assert reply.status_code == 404
    assert client.get("/v1/users/nobody/history").json()["events"] == []


def test_a_guest_who_logs_in_is_the_user_from_then_on(client):
    act(client, "guest-1", "i1", "i2")
    act(client, "member-1", "i3")
    client.put("/v1/users/guest-1", json={"attributes": {"device": "phone", "country": "XX"}})
    client.put("/v1/users/member-1", json={"attributes": {"country": "NL"}})
    asked = {"scenario": "home", "user": "guest-1", "k": 5, "request_id": "before-login"}
    before = client.post("/v1/recommend", json=asked).json()
    assert merge(client, "guest-1", "member-1").json()["accepted"] == 1
    assert sorted(history(client, "member-1")) == history(client, "guest-1")[::-1] == ["i1", "i2", "i3"]
    act(client, "guest-1", "i4")
    assert "i4" in history(client, "member-1")
    found = client.get("/v1/users/guest-1").json()
    assert (found["answers_as"], found["guests"], found["events"]) == ("member-1", ["guest-1"], 4)
    assert found["attributes"] == {"country": "NL", "device": "phone"}
    replay = client.post("/v1/requests/before-login/replay").json()
    assert replay["equal"] is True
    assert replay["answer"]["items"] == before["items"]


def test_the_same_merge_again_is_fine_and_another_one_is_a_conflict(client):
    act(client, "guest-2", "i1")
    assert merge(client, "guest-2", "member-2").json()["accepted"] == 1
    again = merge(client, "guest-2", "member-2")
    assert (again.status_code, again.json()["accepted"], again.json()["duplicates"]) == (200, 0, 1)
    for guest, user, hint in (
        ("guest-2", "member-3", "merged into 'member-2' before"),
        ("member-2", "guest-2", "already"),
        ("member-2", "member-2", "itself"),
        ("guest-2", "guest-2", "itself"),
    ):
        reply = merge(client, guest, user)
        assert reply.status_code == 409, (guest, user)
        assert hint in reply.json()["detail"]


def test_guests_of_guests_follow(client):
    act(client, "chain-a", "i1")
    act(client, "chain-b", "i2")
    assert merge(client, "chain-a", "chain-b").status_code == 200
    assert merge(client, "chain-b", "chain-c").status_code == 200
    assert merge(client, "chain-a", "chain-c").json()["duplicates"] == 1
    assert merge(client, "chain-c", "chain-a").status_code == 409
    assert sorted(history(client, "chain-c")) == ["i1", "i2"]


def test_a_merge_under_a_key_is_done_once(client):
    headers = {"idempotency-key": "login-1"}
    first = merge(client, "guest-k", "member-k", headers=headers).json()
    assert merge(client, "guest-k", "member-k", headers=headers).json() == first | {"repeated": True}
    assert merge(client, "guest-l", "member-k", headers=headers).status_code == 409


def test_a_forgotten_user_takes_the_guests_along(client):
    act(client, "guest-f", "i1", "i2")
    act(client, "forget-me", "i3")
    client.put("/v1/users/forget-me", json={"attributes": {"age": 3}})
    edge = {"source": "forget-me", "relation": "friend", "target": "u1"}
    client.put("/v1/edges", params=edge, json={})
    client.post("/v1/recommend", json={"scenario": "home", "user": "forget-me", "request_id": "mine"})
    merge(client, "guest-f", "forget-me")
    reply = client.delete("/v1/users/forget-me").json()
    assert (reply["events"], reply["puts"], reply["exposures"], reply["notes"]) == (3, 3, 1, [])
    for user in ("forget-me", "guest-f"):
        assert client.get(f"/v1/users/{user}").status_code == 404
        assert history(client, user) == []
    assert client.get("/v1/edges", params=edge).json()["edges"] == []
    assert client.get("/v1/requests/mine").status_code == 404
    assert client.get("/v1/events", params={"user": "forget-me"}).json()["events"] == []
    assert client.delete("/v1/users/forget-me").status_code == 404
    act(client, "forget-me", "i5")
    assert history(client, "forget-me") == ["i5"]


def test_forgetting_a_guest_leaves_the_user(client):
    act(client, "guest-g", "i1")
    act(client, "stays", "i2")
    merge(client, "guest-g", "stays")
    reply = client.delete("/v1/users/guest-g").json()
    assert reply["events"] == 1
    assert "'stays', who stays" in reply["notes"][0]
    assert history(client, "stays") == ["i2"]


def test_users_are_listed_once_page_by_page_without_the_forgotten(client):
    act(client, "short-lived", "i1")
    client.delete("/v1/users/short-lived")
    seen, cursor = [], None
    while True:
        page = client.get("/v1/users", params={"n": 7} | ({"cursor": cursor} if cursor else {})).json()
        assert len(page["users"]) <= 7
        seen += page["users"]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert len(seen) == len(set(seen))
    assert {f"u{number}" for number in range(24)} <= set(seen)
    assert not any(user.startswith("\x00") or user == "short-lived" for user in seen)
    sample = client.get("/v1/users", params={"n": 5, "sample": "true"}).json()
    assert sample["cursor"] is None
    assert set(sample["users"]) <= set(seen)


@pytest.mark.parametrize("body", [{}, {"from": ""}, {"from": 1}, {"guest": "g"}, {"from": "g", "to": "u"}])
def test_an_odd_merge_is_refused(client, body):
    assert client.post("/v1/users/odd/merge", json=body).status_code == 422
