"""Scrolls, pages, similar, popular, bundles and jobs as a client meets them."""

import time

import pytest


def post(client, path, status=200, **body):
    reply = client.post(path, json=body)
    assert reply.status_code == status, reply.text
    return reply.json()


def ids(answer):
    return [each["id"] for each in answer["items"]]


def test_a_scroll_repeats_nothing_and_ends(client):
    shown, cursor = [], None
    while cursor != "":
        extra = {"cursor": cursor} if cursor else {}
        ask = {"scenario": "home", "k": 6, "filter": "year is not missing", "history": [{"item": "i0"}]}
        answer = post(client, "/v1/recommend", **ask, **extra)
        shown += ids(answer)
        cursor = answer["cursor"]
    assert sorted(shown) == sorted(f"i{n}" for n in range(1, 16))
    refused = post(client, "/v1/recommend", 422, scenario="home", cursor="made-up")
    assert "send it as it came" in refused["detail"]


def test_a_page_has_no_item_twice_and_its_rows_can_be_traced(client):
    rows = [{"scenario": "home", "k": 4}, {"scenario": "nowhere"}, {"scenario": "popular", "k": 4}]
    page = post(client, "/v1/page", rows=rows, user="u2", request_id="p1")
    shown = [item for row in page["rows"] for item in ids(row)]
    assert len(shown) == len(set(shown)) == 8
    assert page["degraded"]
    assert client.get("/v1/requests/p1/2").json()["scenario"] == "popular"
    assert client.post("/v1/requests/p1/2/replay").json()["equal"]
    post(client, "/v1/page", 409, rows=rows, user="u3", request_id="p1")
    post(client, "/v1/page", 422, rows=[])


def test_popular_leaves_out_what_the_user_has_seen(client):
    everybody = ids(post(client, "/v1/popular", k=16, filter="year is not missing"))
    mine = ids(post(client, "/v1/popular", k=16, filter="year is not missing", user="u2"))
    assert set(everybody) - set(mine) == {"i2", "i4", "i6", "i8"}
    comedy = post(client, "/v1/popular", k=16, filter='genre has any ["Comedy"]')
    assert set(ids(comedy)) == {f"i{n}" for n in range(1, 16, 2)}


def test_similar_needs_a_scenario_that_works_from_anchors(client):
    told = post(client, "/v1/similar", 404, item="i0")
    assert "anchors" in told["detail"]
    assert len(ids(post(client, "/v1/similar", item="i0", scenario="home", k=3))) == 3


@pytest.mark.parametrize(
    "context",
    [{"region": ["de"]}, {"device": True}, {"place": {"deep": 1}}, {"anchors": "i0"}, {"x": "\x00"}],
)
def test_context_holds_words_and_numbers(client, context):
    post(client, "/v1/recommend", 422, scenario="home", context=context)


def test_region_stock_and_windows_count_in_the_next_answer(client):
    def shown(**context):
        return set(ids(post(client, "/v1/popular", k=30, context=context)))

    for item, told in (
        ("only-de", {"regions": ["de"]}),
        ("sold-out", {"stock": 0}),
        ("over", {"available_until": 1_700_000_000_000}),
    ):
        assert client.put(f"/v1/items/{item}", json={"attributes": told}).status_code == 200
    assert "only-de" in shown(region="de", device="phone", weight=1.5)
    assert "only-de" not in shown(region="fr")
    assert not shown() & {"sold-out", "over"}


def test_bundles_are_promoted_shown_and_rolled_back(client, root):
    from polyscene.core.contracts import silent
    from polyscene.jobs.train import TrainRequest, train
    from polyscene.jobs.workspace import Workspace

    old = post(client, "/v1/recommend", scenario="next", history=[{"item": "i0"}])["bundle"]
    (report,) = train(Workspace.open(root), TrainRequest(names=["next"], holdout=False), silent)
    told = post(client, "/v1/bundles/next/roll_back", 409, instead_of=old)
    assert "somebody was quicker" in told["detail"]
    back = post(client, "/v1/bundles/next/roll_back", instead_of=report.bundle)
    assert back == {"scenario": "next", "bundle": old, "instead_of": report.bundle, "forced": ""}
    assert post(client, "/v1/recommend", scenario="next", history=[{"item": "i0"}])["bundle"] == old
    post(client, "/v1/bundles/next/promote", bundle=report.bundle, instead_of=old)
    detail = client.get(f"/v1/bundles/next/{report.bundle}").json()
    assert (detail["current"], detail["parent"], detail["size"] > 0) == (True, old, True)
    history = client.get("/v1/bundles/next/history").json()["promotions"]
    assert [each["action"] for each in history] == ["promote", "roll_back", "promote", "promote"]
    post(client, "/v1/bundles/next/promote", 404, bundle="20200101T000000000-00000000")
    post(client, "/v1/bundles/next/promote", 422, bundle="../home")
    post(client, "/v1/bundles/no%2Fwhere/promote", 404, bundle=old)
    assert client.get("/v1/bundles/nowhere/history").status_code == 404


def test_an_export_is_started_once_told_and_fetched(client):
    body = {"kind": "export", "arguments": {"scenario": "popular", "k": 2, "format": "csv"}}
    job = client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k1"}).json()
    assert client.post("/v1/jobs", json=body, headers={"Idempotency-Key": "k1"}).json()["id"] == job["id"]
    for _ in range(600):
        job = client.get(f"/v1/jobs/{job['id']}").json()
        if job["state"] not in ("queued", "running"):
            break
        time.sleep(0.05)
    assert (job["state"], job["progress"]) == ("done", 1.0)
    output = client.get(f"/v1/jobs/{job['id']}/output")
    assert output.headers["content-type"].startswith("text/csv")
    assert output.text.startswith("user,position,item,score")
    assert client.get("/v1/jobs?n=1").json()["jobs"][0]["id"] == job["id"]
    assert client.delete(f"/v1/jobs/{job['id']}").status_code == 409
    assert client.get("/v1/jobs/never").status_code == 404
    assert client.get("/v1/jobs/%2e%2e%2fevents").status_code in (404, 422)
    post(client, "/v1/jobs", 422, kind="format_disk")
    post(client, "/v1/jobs", 422, kind="train", arguments={"path": "/etc"})
