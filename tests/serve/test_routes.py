import pytest

JSON = {"content-type": "application/json"}


def ask(client, **body):
    reply = client.post("/v1/recommend", json={"scenario": "home", **body})
    assert reply.status_code == 200, reply.text
    return reply.json()


def ids(answer):
    return [each["id"] for each in answer["items"]]


def test_an_event_changes_the_same_users_next_answer_and_its_history(client):
    before = ids(ask(client, user="mover", k=5))
    event = {"id": "mover-1", "user": "mover", "item": before[0]}
    kept = client.post("/v1/events", json={"events": [event]}).json()
    assert (kept["accepted"], kept["duplicates"]) == (1, 0)
    after = ids(ask(client, user="mover", k=5))
    assert before[0] not in after
    history = client.get("/v1/users/mover/history").json()["events"]
    assert [each["item"] for each in history] == [before[0]]


def test_the_same_event_counts_once_however_often_it_comes(client):
    event = {"id": "again-1", "user": "again", "item": "i3"}
    first = client.post("/v1/events", json={"events": [event]}).json()
    second = client.post("/v1/events", json={"events": [event, event]}).json()
    assert (first["accepted"], second["accepted"], second["duplicates"]) == (1, 0, 2)
    assert second["position"] == first["position"]
    assert second["conflicts"] == []
    assert len(client.get("/v1/users/again/history").json()["events"]) == 1


def test_another_content_under_a_known_id_is_told(client):
    event = {"id": "conflict-1", "user": "conflict", "item": "i3", "time": 1_767_225_600_000}
    client.post("/v1/events", json={"events": [event]})
    reply = client.post("/v1/events", json={"events": [{**event, "item": "i4"}]}).json()
    assert reply["conflicts"] == ["conflict-1"]


def test_a_batch_with_one_bad_event_keeps_none(client):
    good, bad = {"id": "half-1", "user": "half", "item": "i1"}, {"id": "half-2", "user": "", "item": "i1"}
    reply = client.post("/v1/events", json={"events": [good, bad]})
    assert reply.status_code == 422
    assert "$.events[1].user" in reply.json()["detail"]
    assert client.get("/v1/users/half/history").json()["events"] == []


def test_an_item_put_is_eligible_at_once(client):
    item = {"attributes": {"title": "Brand New", "year": 2026, "genre": ["Western"]}}
    assert client.put("/v1/items/brand/new%20one", json=item).json()["accepted"] == 1
    assert client.get("/v1/items/brand/new%20one").json()["title"] == "Brand New"
    assert ids(ask(client, history=[{"item": "i1"}], filter='genre has any ["Western"]')) == [
        "brand/new one"
    ]


def test_items_are_found_by_title_and_looked_up_together(client):
    found = client.get("/v1/items", params={"query": "title 1", "n": 3}).json()["items"]
    assert found
    assert all("title 1" in each["title"].lower() for each in found)
    several = client.get("/v1/items?id=i2&id=nobody&id=i1").json()
    assert [each["id"] for each in several["items"]] == ["i2", "i1"]
    assert several["missing"] == ["nobody"]


def test_an_answer_says_what_is_needed_to_judge_and_repeat_it(client):
    answer = ask(client, user="u1", k=5, request_id="judge-me")
    assert answer["request_id"] == "judge-me"
    assert answer["bundle"]
    assert [each["position"] for each in answer["items"]] == list(range(5))
    assert all(0 < each["propensity"] <= 1 and each["sources"] for each in answer["items"])
    assert len(set(ids(answer))) == 5


def test_a_visitor_is_answered_from_the_history_that_came_along(client):
    assert ids(ask(client, scenario="next", history=[{"item": "i0"}, {"item": "i2"}]))[0] == "i4"
    assert ids(ask(client, scenario="next", history=[{"item": "i1"}, {"item": "i3"}]))[0] == "i5"


def test_filter_and_exclude_hold(client):
    assert set(ids(ask(client, filter='genre has any ["Comedy"] and year < 1985', k=10))) <= {"i1", "i3"}
    assert "i1" not in ids(ask(client, filter='genre has any ["Comedy"]', exclude=["i1"], k=10))


def test_a_wrong_filter_is_told_where(client):
    reply = client.post("/v1/recommend", json={"scenario": "home", "filter": 'gnre = "Comedy"'})
    assert reply.status_code == 422
    assert "did you mean 'genre'" in reply.json()["detail"]


def test_an_unknown_scenario_is_404_with_the_nearest_name(client):
    reply = client.post("/v1/recommend", json={"scenario": "hme"})
    assert reply.status_code == 404
    assert "home" in reply.json()["detail"]


def test_a_request_can_be_traced_and_replayed(client):
    answer = ask(client, user="u2", k=5, request_id="traced")
    trace = client.get("/v1/requests/traced").json()
    assert trace["request_id"] == "traced"
    client.post("/v1/events", json={"events": [{"id": "later", "user": "u2", "item": ids(answer)[0]}]})
    replay = client.post("/v1/requests/traced/replay").json()
    assert replay["equal"] is True
    assert ids(replay["answer"]) == ids(answer)


@pytest.mark.parametrize("path", ["/v1/requests/unasked", "/v1/items/unknown", "/v1/nowhere"])
def test_what_does_not_exist_is_404_as_a_problem(client, path):
    reply = client.get(path)
    assert reply.status_code == 404
    assert reply.headers["content-type"] == "application/problem+json"


def test_an_unknown_user_has_an_empty_history(client):
    assert client.get("/v1/users/never%20seen/history").json() == {"user": "never seen", "events": []}


def test_lists_for_the_page(client):
    assert {each["name"] for each in client.get("/v1/scenarios").json()["scenarios"]} == {
        "home",
        "next",
        "popular",
    }
    users = client.get("/v1/users?n=5").json()["users"]
    assert len(users) == 5


def test_health_readiness_and_counters(client):
    assert client.get("/healthz").json() == {"status": "alive"}
    assert client.get("/readyz").json()["ready"] is True
    assert "polyscene_http_seconds_bucket" in client.get("/metrics").text


def test_head_answers_as_get_without_a_body(client):
    reply = client.head("/v1/users")
    assert (reply.status_code, reply.content) == (200, b"")


def test_another_method_is_405_and_names_those_that_work(client):
    reply = client.patch("/v1/events")
    assert reply.status_code == 405
    assert set(reply.headers["allow"].split(", ")) == {"GET", "HEAD", "POST"}


def test_bundles_are_listed_and_the_current_one_answers(client):
    bundles = client.get("/v1/bundles").json()["bundles"]
    current = {each["scenario"]: each["bundle"] for each in bundles if each["current"]}
    assert current["home"] == ask(client, user="u1")["bundle"]


def test_an_ask_sent_again_gets_its_first_answer_and_another_ask_under_its_id_is_409(client):
    first = ask(client, user="u5", request_id="once")
    client.post(
        "/v1/events", json={"events": [{"id": "between", "user": "u5", "item": first["items"][0]["id"]}]}
    )
    assert ids(ask(client, user="u5", request_id="once")) == ids(first)
    reply = client.post("/v1/recommend", json={"scenario": "home", "user": "u6", "request_id": "once"})
    assert reply.status_code == 409
    assert "new id" in reply.json()["detail"]
