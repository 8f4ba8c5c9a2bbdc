"""Items over HTTP: put, patch, delete, list."""

import pytest


def of(client, item):
    reply = client.get(f"/v1/items/{item}")
    assert reply.status_code == 200, reply.text
    return reply.json()


def test_put_replaces_and_patch_changes_what_it_names(client):
    attributes = {"title": "First", "year": 1999, "genre": ["Drama"]}
    kept = client.put("/v1/items/patched", json={"kind": "film", "attributes": attributes}).json()
    assert (kept["accepted"], kept["repeated"]) == (1, False)
    client.patch("/v1/items/patched", json={"attributes": {"year": 2001, "genre": None}})
    found = of(client, "patched")
    assert (found["kind"], found["attributes"]) == ("film", {"title": "First", "year": 2001})
    client.put("/v1/items/patched", json={"attributes": {"title": "Second"}})
    found = of(client, "patched")
    assert (found["kind"], found["attributes"]) == ("item", {"title": "Second"})


def test_a_deleted_item_is_shown_no_more_until_it_is_put_again(client):
    client.put("/v1/items/mayfly", json={"attributes": {"title": "Mayfly", "genre": ["Insect"]}})
    ask = {"scenario": "home", "history": [{"item": "i1"}], "filter": 'genre has any ["Insect"]'}

    def shown():
        return [each["id"] for each in client.post("/v1/recommend", json=ask).json()["items"]]

    assert shown() == ["mayfly"]
    assert client.delete("/v1/items/mayfly").json()["accepted"] == 1
    assert shown() == []
    assert of(client, "mayfly")["active"] is False
    client.put("/v1/items/mayfly", json={"attributes": {"title": "Mayfly", "genre": ["Insect"]}})
    assert shown() == ["mayfly"]


def test_what_was_never_put_or_seen_can_not_be_changed(client):
    for reply in (
        client.get("/v1/items/unput"),
        client.patch("/v1/items/unput", json={"attributes": {"a": 1}}),
        client.delete("/v1/items/unput"),
    ):
        assert reply.status_code == 404
        assert "PUT /v1/items" in reply.json()["detail"]


def test_a_type_that_clashes_with_earlier_items_is_refused(client):
    reply = client.put("/v1/items/clash", json={"attributes": {"year": "old"}})
    assert reply.status_code == 422
    assert "'year'" in reply.json()["detail"]
    assert client.get("/v1/items/clash").status_code == 404


def test_all_items_are_listed_once_page_by_page_and_deleted_ones_on_demand(client):
    client.put("/v1/items/gone", json={})
    client.delete("/v1/items/gone")

    def walk(**asked):
        seen, cursor = [], None
        while True:
            more = {"cursor": cursor} if cursor else {}
            page = client.get("/v1/items", params={"n": 5, **asked, **more}).json()
            assert len(page["items"]) <= 5
            seen += [each["id"] for each in page["items"]]
            cursor = page["cursor"]
            if cursor is None:
                return seen

    active, all_of_them = walk(), walk(deleted="true")
    assert len(active) == len(set(active))
    assert {f"i{number}" for number in range(16)} <= set(active)
    assert "gone" not in active
    assert set(all_of_them) >= {*active, "gone"}


def test_a_search_has_no_pages(client):
    cursor = client.get("/v1/items", params={"n": 1}).json()["cursor"]
    reply = client.get("/v1/items", params={"query": "title", "cursor": cursor})
    assert reply.status_code == 422
    assert "cursor" in reply.json()["detail"]


@pytest.mark.parametrize("method", ["PUT", "PATCH", "DELETE"])
def test_under_a_key_a_change_is_done_once(client, method):
    path, headers = f"/v1/items/once-{method}", {"idempotency-key": f"item-{method}"}
    client.put(path, json={"attributes": {"title": "Before"}})
    body = {} if method == "DELETE" else {"json": {"attributes": {"title": "After"}}}
    first = client.request(method, path, headers=headers, **body).json()
    client.put(path, json={"attributes": {"title": "Between"}})
    again = client.request(method, path, headers=headers, **body).json()
    assert again == first | {"repeated": True}
    found = of(client, f"once-{method}")
    assert (found["title"], found["active"]) == ("Between", True)
    assert client.request(method, "/v1/items/i1", headers=headers, **body).status_code == 409
