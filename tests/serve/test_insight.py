import time

import pytest


def test_the_overview_counts_requests_by_route_and_says_how_things_stand(client):
    for _ in range(3):
        client.get("/v1/items/i1")
    client.get("/v1/items/nobody")
    found = client.get("/v1/overview?step=1").json()
    traffic = found["traffic"]
    assert traffic["step_s"] == 1
    assert {len(traffic[name]) for name in ("starts", "refused", "failed", "p50_ms", "p99_ms")} == {599}
    assert all(len(each) == 599 for each in traffic["requests"].values())
    assert {queue["name"] for queue in found["queues"]} == {"readers", "writers"}
    assert all(0 <= queue["inside"] <= queue["limit"] for queue in found["queues"])
    assert found["state"]["position"] > 0
    assert found["memory"] > 10_000_000
    assert found["problems"] == []


@pytest.mark.parametrize("step", ["0", "61", "x"])
def test_a_step_is_a_second_to_a_minute(client, step):
    assert client.get("/v1/overview", params={"step": step}).status_code == 422


def test_a_rehearsal_over_http_takes_what_recommend_takes_and_logs_nothing(client):
    before = client.get("/v1/requests").json()
    body = {"history": [{"item": "i1"}], "k": 3, "filter": "year >= 1985", "exclude": ["i5"]}
    reply = client.post("/v1/scenarios/home/try", json=body)
    assert reply.status_code == 200
    assert len(reply.json()["answer"]["items"]) == 3
    assert reply.json()["chain"][0]["candidates"]
    assert client.get("/v1/requests").json() == before
    assert client.post("/v1/scenarios/nobody/try", json={}).status_code == 404
    assert client.post("/v1/scenarios/home/try", json={"filter": "gnre = 1"}).status_code == 422


def test_what_was_asked_is_listed_newest_first_and_by_user(client):
    for number in range(3):
        ask = {"scenario": "popular", "user": "u7", "request_id": f"listed-{number}"}
        client.post("/v1/recommend", json=ask)
    found, patience = [], 200
    while len(found) < 3 and patience:  # exposures reach the disk a moment after their answers
        time.sleep(0.02)
        patience -= 1
        found = client.get("/v1/requests", params={"user": "u7"}).json()["requests"]
    first = client.get("/v1/requests", params={"user": "u7", "n": 2}).json()
    rest = client.get("/v1/requests", params={"user": "u7", "n": 2, "cursor": first["cursor"]}).json()
    assert first["requests"] + rest["requests"] == found
    assert rest["cursor"] is None
    assert client.get("/v1/requests", params={"cursor": "x"}).status_code == 422
    assert {each["request_id"] for each in found} == {"listed-0", "listed-1", "listed-2"}
    assert client.get("/v1/requests", params={"user": "nobody"}).json()["requests"] == []


def test_a_scenario_and_an_items_days(client):
    assert client.get("/v1/scenarios/home").json()["fallback"] == "popular"
    assert client.get("/v1/scenarios/..%2Fpolyscene").status_code == 404
    assert client.get("/v1/items/i3/activity").json()["days"]
    assert client.get("/v1/quality").json() == {"report": None}
