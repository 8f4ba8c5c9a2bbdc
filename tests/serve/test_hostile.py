"""Nothing a client sends gives a 500, and every refusal is a problem document that says what to do."""

from urllib.parse import quote

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.serve.problems import Problem

JSON = {"content-type": "application/json"}
EVENT = {"id": "h-1", "user": "hostile", "item": "i1"}
EXPECTED = {200, 400, 404, 409, 413, 415, 422}

texts = st.text(max_size=20) | st.sampled_from(
    ["\x00", "a\nb", "\u202eabc", "😀", "x" * 600, "", "..", "%2e%2e", "' or 1=1 --", "<script>", "-1", "ﬀ"]
)
numbers = st.integers(-(10**30), 10**30) | st.floats(allow_nan=False, allow_infinity=False) | st.just(1e308)
scalars = st.none() | st.booleans() | numbers | texts
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3),
    max_leaves=6,
)
RECOMMEND_KEYS = ["scenario", "user", "history", "k", "context", "filter", "exclude", "request_id", "odd"]
EVENT_KEYS = [
    "id",
    "user",
    "item",
    "action",
    "time",
    "value",
    "scenario",
    "request_id",
    "position",
    "attributes",
    "odd",
]
ITEM_KEYS = ["kind", "attributes", "time", "odd"]


def judged(reply):
    assert reply.status_code in EXPECTED, (reply.status_code, reply.text)
    if reply.status_code != 200:
        assert reply.headers["content-type"] == "application/problem+json"
        problem = msgspec.json.decode(reply.content, type=Problem)
        assert problem.status == reply.status_code
        assert problem.detail
        assert "Traceback" not in problem.detail
    return reply


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(RECOMMEND_KEYS), anything, max_size=4), st.booleans())
def test_any_ask_is_answered_or_refused(client, wish, sound):
    judged(client.post("/v1/recommend", json={**wish, "scenario": "home"} if sound else wish))


@settings(max_examples=100, deadline=None)
@given(texts)
def test_any_filter_is_answered_or_refused(client, text):
    judged(client.post("/v1/recommend", json={"scenario": "home", "filter": text}))


@settings(max_examples=100, deadline=None)
@given(st.lists(st.dictionaries(st.sampled_from(EVENT_KEYS), anything, max_size=3), min_size=1, max_size=3))
def test_any_batch_of_events_is_kept_or_refused(client, changes):
    judged(client.post("/v1/events", json={"events": [{**EVENT, **change} for change in changes]}))


@settings(max_examples=100, deadline=None)
@given(texts, st.dictionaries(st.sampled_from(ITEM_KEYS), anything, max_size=3))
def test_any_item_is_kept_or_refused(client, item, body):
    judged(client.put(f"/v1/items/h{quote(item, safe='')}", json=body))


@settings(max_examples=100, deadline=None)
@given(st.binary(max_size=60))
def test_any_bytes_are_refused(client, body):
    for path in ("/v1/recommend", "/v1/events"):
        assert judged(client.post(path, content=body, headers=JSON)).status_code in (400, 422)


RAW = {
    "empty": (b"", 400),
    "cut": (b'{"scenario":', 400),
    "not a table": (b"[]", 422),
    "deep": (b'{"scenario":"home","context":{"anchors":' + b"[" * 200_000, 422),
    "deep unknown": (b'{"odd":' + b"[" * 200_000, 422),
    "deep attributes": (
        b'{"events":[{"id":"d","user":"d","item":"d","attributes":{"a":' + b"[" * 200_000,
        422,
    ),
    "surrogate": (b'{"scenario":"\\ud800"}', 400),
    "bad utf-8": (b'{"scenario":"\xff\xfe"}', 400),
    "nan": (b'{"scenario":"home","k":NaN}', 400),
    "infinite": (b'{"scenario":"home","k":1e999}', 422),
    "long number": (b'{"scenario":"home","k":' + b"9" * 10_000 + b"}", 422),
}


@pytest.mark.parametrize("name", RAW)
def test_bodies_that_are_no_sound_json(client, name):
    body, status = RAW[name]
    path = "/v1/events" if "attributes" in name else "/v1/recommend"
    reply = judged(client.post(path, content=body, headers=JSON))
    assert reply.status_code in {status, 400}


@pytest.mark.parametrize("k", [0, -1, 1001, 10**9, 10**30, "20", 2.5, None, True, [1]])
def test_only_a_sound_k_is_taken(client, k):
    reply = judged(client.post("/v1/recommend", json={"scenario": "home", "k": k}))
    assert reply.status_code == (200 if k is None else 422)
    if k is not None:
        assert "$.k" in reply.json()["detail"]


@pytest.mark.parametrize(
    ("body", "hint"),
    [
        ({"scenario": "home", "usr": "u1"}, "did you mean 'user'"),
        ({"scenario": "home", "user": "a\x00b"}, "$.user"),
        ({"scenario": "home", "user": "x" * 10_000}, "$.user"),
        ({"scenario": "home", "exclude": ["i1"] * 1001}, "$.exclude"),
        ({"scenario": "home", "history": [{"item": "i1", "time": -1}]}, "$.history[0].time"),
    ],
)
def test_a_refusal_names_the_field(client, body, hint):
    reply = judged(client.post("/v1/recommend", json=body))
    assert reply.status_code == 422
    assert hint in reply.json()["detail"]


def test_a_body_above_the_limit_is_refused_by_its_declared_and_by_its_real_length(client):
    big = b'{"events":[' + b" " * (3 * 1024 * 1024)
    assert judged(client.post("/v1/events", content=big, headers=JSON)).status_code == 413
    parts = (big[start : start + 65536] for start in range(0, len(big), 65536))
    assert judged(client.post("/v1/events", content=parts, headers=JSON)).status_code == 413


def test_a_batch_above_the_limit_is_refused(client):
    events = [{**EVENT, "id": f"many-{number}"} for number in range(1001)]
    reply = judged(client.post("/v1/events", json={"events": events}))
    assert reply.status_code == 422
    assert "1000" in reply.json()["detail"]


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "", "application/jsonx"]
)
def test_only_json_is_read(client, kind):
    reply = judged(client.post("/v1/events", content=b"{}", headers={"content-type": kind}))
    assert reply.status_code == 415


def test_packed_bodies_are_not_unpacked(client):
    headers = {**JSON, "content-encoding": "gzip"}
    assert judged(client.post("/v1/events", content=b"\x1f\x8b", headers=headers)).status_code == 415


@pytest.mark.parametrize(
    "query", ["n=0", "n=-1", "n=1e9", "n=x", "n=5&n=6", "nn=5", "n=%00", "n=" + "9" * 5000]
)
def test_odd_parameters_are_refused(client, query):
    assert judged(client.get(f"/v1/users?{query}")).status_code == 422


@pytest.mark.parametrize("item", ["%00", "a%0ab", "x" * 600, "%ff", "..%2f..%2fetc", "%E2%80%AEabc"])
def test_odd_ids_in_a_path_are_refused_or_unknown(client, item):
    for path in (f"/v1/items/{item}", f"/v1/requests/{item}"):
        assert judged(client.get(path)).status_code in (404, 422)
    assert judged(client.get(f"/v1/users/{item}/history")).status_code in (200, 404, 422)
    assert judged(client.post(f"/v1/requests/{item}/replay")).status_code in (404, 422)
