"""Events over HTTP: single, batched, listed; ids, keys and attribution."""

import pytest

from polyscene.serve.cursors import cursor_of

BASE = 1_767_225_600_000


def history(client, user):
    reply = client.get(f"/v1/users/{user}/history", params={"n": 1000})
    return [each["item"] for each in reply.json()["events"]]


def post(client, key=None, **event):
    headers = {} if key is None else {"idempotency-key": key}
    return client.post("/v1/event", json=event, headers=headers)


def test_a_single_event_is_in_the_next_answer(client):
    ask = {"scenario": "home", "user": "single", "k": 5}
    first = client.post("/v1/recommend", json=ask).json()["items"][0]["id"]
    kept = post(client, id="single-1", user="single", item=first).json()
    assert (kept["accepted"], kept["duplicates"], kept["ids"], kept["notes"]) == (1, 0, [], [])
    again = [each["id"] for each in client.post("/v1/recommend", json=ask).json()["items"]]
    assert first not in again
    assert post(client, id="single-1", user="single", item=first).json()["duplicates"] == 1


@pytest.mark.parametrize(
    ("change", "status", "hint"),
    [
        ({"user": ""}, 422, "$.user"),
        ({"itm": "i1"}, 422, "did you mean 'item'"),
        ({"time": 5}, 422, "records[0].time"),
        ({"value": 1e300}, 422, "$.value"),
        ({"attributes": {"a": {}}}, 422, "$.attributes"),
    ],
)
def test_a_bad_single_event_is_refused_by_field_and_not_kept(client, change, status, hint):
    reply = post(client, **{"id": "bad-single", "user": "bad-single", "item": "i1"} | change)
    assert reply.status_code == status
    assert hint in reply.json()["detail"]
    assert history(client, "bad-single") == []


def test_the_server_makes_ids_and_tells_them(client):
    reply = post(client, user="idless", item="i1").json()
    (made,) = reply["ids"]
    batch = [{"user": "idless", "item": "i2"}, {"id": "idless-own", "user": "idless", "item": "i3"}]
    ids = client.post("/v1/events", json={"events": batch}).json()["ids"]
    assert ids[1] == "idless-own"
    assert len({made, *ids}) == 3
    assert post(client, id=made, user="idless", item="i1").json()["duplicates"] == 1
    assert sorted(history(client, "idless")) == ["i1", "i2", "i3"]


def test_under_a_key_events_without_ids_are_kept_once_and_another_body_is_a_conflict(client):
    first = post(client, "key-1", user="keyed", item="i1").json()
    again = post(client, "key-1", user="keyed", item="i1").json()
    assert (first["repeated"], again["repeated"]) == (False, True)
    assert again | {"repeated": False} == first
    assert history(client, "keyed") == ["i1"]
    reply = post(client, "key-1", user="keyed", item="i2")
    assert reply.status_code == 409
    batch = {"events": [{"user": "keyed", "item": "i1"}]}
    reply = client.post("/v1/events", json=batch, headers={"idempotency-key": "key-1"})
    assert reply.status_code == 409
    assert history(client, "keyed") == ["i1"]


@pytest.mark.parametrize("key", ["", "x" * 256, "ü".encode(), b"a\tb"])
def test_a_key_must_be_plain(client, key):
    reply = client.post(
        "/v1/event", json={"user": "plain-key", "item": "i1"}, headers={b"idempotency-key": key}
    )
    assert reply.status_code == 422
    assert "Idempotency-Key" in reply.json()["detail"]
    twice = [("idempotency-key", "a"), ("idempotency-key", "b")]
    assert client.post("/v1/event", json={"user": "p", "item": "i1"}, headers=twice).status_code == 422


def test_an_event_is_held_to_the_slate_it_names_and_kept_all_the_same(client):
    ask = {"scenario": "home", "user": "credit", "k": 5, "request_id": "slate-1"}
    shown = [each["id"] for each in client.post("/v1/recommend", json=ask).json()["items"]]
    other = next(f"i{number}" for number in range(16) if f"i{number}" not in shown)
    event = {"user": "credit", "request_id": "slate-1"}
    assert post(client, item=shown[1], position=1, **event).json()["notes"] == []
    (note,) = post(client, item=other, **event).json()["notes"]
    assert "did not show" in note
    (note,) = post(client, item=shown[2], position=0, **event).json()["notes"]
    assert "at position 2, not 0" in note
    unknown = {"user": "credit", "item": other, "request_id": "asked-elsewhere"}
    assert post(client, **unknown).json()["notes"] == []
    batch = [{**event, "item": shown[3]}, {**event, "item": other}]
    reply = client.post("/v1/events", json={"events": batch}).json()
    assert (reply["accepted"], len(reply["notes"])) == (2, 1)
    assert len(history(client, "credit")) == 6


def test_an_impression_is_listed_and_no_act(client):
    post(client, user="viewer", item="i1", action="impression")
    assert history(client, "viewer") == []
    (event,) = client.get("/v1/events", params={"user": "viewer"}).json()["events"]
    assert event["action"] == "impression"
    post(client, user="viewer", item="i2", action="click", time=BASE)
    assert history(client, "viewer") == ["i2"]


def test_events_are_listed_newest_first_page_by_page(client):
    events = [
        {"id": f"feed-{number}", "user": f"feed-{number % 2}", "item": f"i{number % 3}", "value": number}
        for number in range(7)
    ]
    client.post("/v1/events", json={"events": events})
    found = client.get("/v1/events", params={"n": 7}).json()
    assert [each["id"] for each in found["events"]] == [f"feed-{number}" for number in reversed(range(7))]
    assert found["cursor"]
    seen, cursor = [], None
    while True:
        asked = {"n": 2, "user": "feed-0"} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/events", params=asked).json()
        seen += [each["id"] for each in page["events"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == ["feed-6", "feed-4", "feed-2", "feed-0"]
    of_both = client.get("/v1/events", params={"user": "feed-0", "item": "i1"}).json()["events"]
    assert [each["id"] for each in of_both] == ["feed-4"]
    assert client.get("/v1/events", params={"item": "unheard"}).json() == {"events": [], "cursor": None}


@pytest.mark.parametrize("path", ["/v1/events", "/v1/items", "/v1/users", "/v1/edges"])
@pytest.mark.parametrize("cursor", ["", "x", "!!", "zw", "ü", "A" * 5_000, "_____w", "gaFhAQ"])
def test_a_cursor_of_another_list_is_refused(client, path, cursor):
    reply = client.get(path, params={"cursor": cursor})
    assert reply.status_code == 422
    assert "cursor" in reply.json()["detail"]


def test_a_number_is_no_cursor_of_edges_and_a_huge_one_of_none(client):
    for place in (-1, 0, 1 << 63, [1], ["a", "b"], "text"):
        for path in ("/v1/edges", "/v1/events"):
            assert client.get(path, params={"cursor": cursor_of(place)}).status_code == 422
