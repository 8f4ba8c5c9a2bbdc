"""Edges over HTTP."""

import pytest

KEY = {"source": "a", "relation": "friend", "target": "b"}


def found(client, **asked):
    return client.get("/v1/edges", params=asked).json()["edges"]


def test_an_edge_is_put_changed_and_ended(client):
    assert client.put("/v1/edges", params=KEY, json={}).json()["accepted"] == 1
    (edge,) = found(client, **KEY)
    assert {name: edge[name] for name in ("weight", *KEY)} == {**KEY, "weight": 1.0}
    client.patch("/v1/edges", params=KEY, json={"weight": 0.25})
    assert [each["weight"] for each in found(client, **KEY)] == [0.25]
    assert client.delete("/v1/edges", params=KEY).json()["accepted"] == 1
    assert found(client, **KEY) == []


def test_an_edge_that_is_not_there_can_not_be_changed(client):
    key = {**KEY, "target": "nobody"}
    for reply in (
        client.patch("/v1/edges", params=key, json={"weight": 2.0}),
        client.delete("/v1/edges", params=key),
    ):
        assert reply.status_code == 404
        assert "PUT /v1/edges" in reply.json()["detail"]


@pytest.mark.parametrize("missing", list(KEY))
def test_all_of_a_key_is_needed(client, missing):
    key = {name: value for name, value in KEY.items() if name != missing}
    for reply in (client.put("/v1/edges", params=key, json={}), client.delete("/v1/edges", params=key)):
        assert reply.status_code == 422
        assert missing in reply.json()["detail"]


def test_edges_are_listed_by_any_part_page_by_page(client):
    keys = [("p", "likes", "x"), ("p", "likes", "y"), ("p", "owns", "x"), ("q", "likes", "x")]
    for source, relation, target in keys:
        params = {"source": source, "relation": relation, "target": target}
        client.put("/v1/edges", params=params, json={"weight": 2})
    assert len(found(client, source="p")) == 3
    assert len(found(client, target="x")) == 3
    assert [each["source"] for each in found(client, relation="likes", target="x")] == ["p", "q"]
    seen, cursor = [], None
    while True:
        asked = {"source": "p", "n": 1} | ({"cursor": cursor} if cursor else {})
        page = client.get("/v1/edges", params=asked).json()
        seen += [(each["source"], each["relation"], each["target"]) for each in page["edges"]]
        cursor = page["cursor"]
        if cursor is None:
            break
    assert seen == keys[:3]


def test_under_a_key_an_edge_is_ended_once(client):
    key, headers = {**KEY, "relation": "once"}, {"idempotency-key": "end-edge"}
    client.put("/v1/edges", params=key, json={})
    first = client.delete("/v1/edges", params=key, headers=headers).json()
    client.put("/v1/edges", params=key, json={})
    assert client.delete("/v1/edges", params=key, headers=headers).json() == first | {"repeated": True}
    assert len(found(client, **key)) == 1
    other = {**key, "target": "c"}
    assert client.delete("/v1/edges", params=other, headers=headers).status_code == 409
