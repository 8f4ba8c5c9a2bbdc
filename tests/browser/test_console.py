"""The console in headless Chromium, against a real server over a tiny world."""

import re
from urllib.parse import quote

import httpx
import pytest

from polyscene.core.contracts import silent
from polyscene.jobs import keys
from polyscene.jobs.train import TrainRequest, train
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import live, tiny_workspace

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = pytest.mark.browser

RELATED = """
scenario = "related"
slate = 4
anchors = "context"

[[stages]]
kind = "covisit"
"""
PAGES = {
    "": "Overview",
    "/scenarios": "Scenarios",
    "/scenarios/home": "For you",
    "/users": "Users",
    "/users/u3": "User u3",
    "/items": "Items",
    "/items/i3": "Title 3",
    "/requests": "Requests",
    "/requests/asked": "Request: For you",
    "/quality": "Data quality",
    "/bundles": "Bundles",
    "/jobs": "Jobs",
    "/nowhere": "No such page",
}
EVIL = "<img src=x onerror=alert(1)>/../?a=1#b%2F"


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    space = tiny_workspace(tmp_path_factory.mktemp("watched"), users=60)
    (space.root / "scenarios" / "related.toml").write_text(RELATED, encoding="utf-8")
    train(space, TrainRequest(), silent)
    return space.root


@pytest.fixture(scope="module")
def url(root):
    with live(root) as url:
        ask = {"scenario": "home", "user": "u3", "request_id": "asked"}
        shown = httpx.post(f"{url}/v1/recommend", json=ask).json()["items"][0]["id"]
        click = {"id": "c1", "user": "u3", "item": shown, "action": "click", "request_id": "asked"}
        httpx.post(f"{url}/v1/events", json={"events": [click]}).raise_for_status()
        yield url


@pytest.fixture
def page(opened, url):
    with opened(url) as page:
        yield page


def settled(page):
    """Waits until everything on the page is loaded."""
    expect(page.locator("h1")).to_be_visible()
    expect(page.locator("[aria-busy], .waiting")).to_have_count(0)


def visit(page, address):
    page.goto(address)
    settled(page)


@pytest.mark.parametrize("path", PAGES)
def test_every_page_opens_at_its_own_address_and_fits_a_phone(page, url, path):
    page.set_viewport_size({"width": 360, "height": 740})
    visit(page, f"{url}/console{path}")
    expect(page.locator("h1")).to_have_text(PAGES[path])
    expect(page).to_have_title(re.compile(r" · Polyscene$"))
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    expect(page.locator(".nothing.bad")).to_have_count(0)


def test_the_overview_shows_traffic_and_follows_the_log(page, url):
    page.clock.install()
    visit(page, f"{url}/console")
    expect(page.locator(".tiles li")).to_have_count(5)
    expect(page.get_by_role("region", name="In service").locator("tbody tr")).to_have_count(4)
    expect(page.get_by_role("img", name=re.compile("^Requests a second"))).to_be_visible()
    events = page.get_by_role("region", name="Events").last
    event = {"id": "live", "user": "u8", "item": "i8", "action": "like"}
    httpx.post(f"{url}/v1/events", json={"events": [event]}).raise_for_status()
    page.clock.run_for(6000)
    expect(events.locator("tbody tr").first).to_contain_text("like")
    page.locator("summary").first.click()
    expect(page.locator(".numbers tbody tr").first).to_be_visible()


def test_a_scenario_is_a_picture_and_can_be_rehearsed_unlogged(page, url):
    visit(page, f"{url}/console/scenarios/home")
    picture = page.locator(".flow").first
    expect(picture.locator(".stage strong")).to_have_text(
        ["covisit", "popular", "fresh", "union", "explore", "5 places"]
    )
    expect(picture.locator(".wire")).to_have_count(5)
    expect(page.locator("pre")).to_contain_text('fallback = "popular"')
    before = httpx.get(f"{url}/v1/requests").json()
    page.get_by_label("User", exact=True).fill("u4")
    page.get_by_label("Places").fill("3")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.locator(".result .slate > li")).to_have_count(3)
    expect(page.locator(".result .flow .stage").first).to_contain_text("brought 8")
    page.locator(".result summary", has_text="Every candidate").click()
    expect(page.locator(".result tr.shown")).to_have_count(3)
    page.get_by_label("Filter").fill("gnre = 1")
    page.get_by_role("button", name="Rehearse").click()
    expect(page.locator(".result .error")).to_contain_text("filter:")
    assert httpx.get(f"{url}/v1/requests").json() == before
    assert all("422" in fault for fault in page.faults)
    page.faults.clear()


def test_a_user_is_history_slates_and_requests_that_replay(page, url):
    visit(page, f"{url}/console/users/u3")
    expect(page.get_by_role("region", name="History").locator("tbody tr").nth(1)).to_contain_text("Title 9")
    slates = page.get_by_role("region", name="What would be shown now")
    expect(slates.locator(".panel h2")).to_have_text(
        ["For you", "Next", "What everyone watches", "More like this"]
    )
    expect(slates.locator(".slate > li").first).to_contain_text("Title")
    slates.locator("summary", has_text="How it came about").first.click()
    expect(slates.locator(".flow").first).to_be_visible()
    page.get_by_role("region", name="Asked before").locator("tbody a").first.click()
    expect(page.locator("h1")).to_have_text("Request: For you")
    settled(page)
    page.get_by_role("button", name="Replay this request").click()
    expect(page.locator(".replayed")).to_have_text("Replayed from the log: the same slate.")


def test_an_item_tells_of_itself_its_neighbours_and_its_days(page, url):
    visit(page, f"{url}/console/items/i3")
    expect(page.get_by_role("region", name="What is known")).to_contain_text("1983")
    expect(page.get_by_role("region", name="What goes with it").locator("li").first).to_contain_text(
        "Title 5"
    )
    expect(page.get_by_role("region", name="Shown and taken").locator("rect.fill").first).to_be_visible()
    expect(page.get_by_role("region", name="Events on it").locator("tbody tr").first).to_contain_text("u")


def test_titles_and_users_are_found_with_the_keyboard_alone(page, url):
    visit(page, f"{url}/console")
    page.keyboard.press("Tab")
    expect(page.locator(".skip")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("title 12")
    expect(page.locator("#found li")).to_have_count(2)
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Title 12")
    expect(page.locator("h1")).to_be_focused()
    page.keyboard.press("/")
    page.keyboard.type("u5")
    expect(page.locator("#found li").first).to_have_text(re.compile("u5"))
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("User u5")
    page.locator("#nav a", has_text="Jobs").focus()
    page.keyboard.press("Enter")
    expect(page.locator("h1")).to_have_text("Jobs")
    expect(page.locator("#nav a[aria-current]")).to_have_text("Jobs")
    page.go_back()
    expect(page.locator("h1")).to_have_text("User u5")
    settled(page)


def test_bundles_are_compared_promoted_and_rolled_back(page, url):
    visit(page, f"{url}/console/bundles")
    shelf = page.get_by_role("region", name="What everyone watches").first
    expect(shelf.locator("svg circle").first).to_be_visible()
    newest = shelf.locator("tbody tr").first.locator("code").inner_text()
    shelf.locator("summary", has_text="Compare").click()
    expect(shelf.get_by_role("region", name="Comparison").locator("tbody")).to_contain_text("ndcg@10")
    older = shelf.locator("tbody tr").nth(1)
    expect(older.locator("td").first).not_to_contain_text("serves")
    older.get_by_role("button", name="Promote").click()
    page.get_by_label("even if the examination fails").check()
    page.locator("#question").get_by_role("button", name="Promote").click()
    expect(page.locator("#news")).to_contain_text("now serves")
    settled(page)
    expect(shelf.locator("tbody tr").nth(1).locator("td").first).to_contain_text("serves")
    shelf.get_by_role("button", name="Roll back").click()
    page.locator("#question").get_by_role("button", name="Roll back").click()
    expect(page.locator("#news")).to_contain_text(newest)
    settled(page)
    shelf.locator("summary", has_text="Who served when").click()
    expect(shelf.get_by_role("region", name="Who served when").first).to_contain_text("rolled back")


def test_a_fit_is_started_and_stopped(page, url):
    visit(page, f"{url}/console/jobs")
    page.get_by_label("Scenario").select_option("popular")
    page.get_by_role("button", name="Start the fit").click()
    row = page.get_by_role("region", name="Jobs").locator("tbody tr").first
    expect(row).to_contain_text("What everyone watches")
    row.get_by_role("button", name="Stop").click()
    expect(row).to_contain_text(re.compile("stopped|done"), timeout=20_000)


def test_the_data_are_looked_at_on_demand(page, url):
    visit(page, f"{url}/console/quality")
    expect(page.locator(".nothing")).to_contain_text("Nobody has looked")
    page.get_by_role("button", name="Look at the data now").click()
    expect(page.get_by_role("region", name="Columns").first).to_contain_text("items.genre", timeout=30_000)
    expect(page.get_by_role("img", name=re.compile("^Long tail"))).to_be_visible()
    expect(page.get_by_role("region", name="Findings")).to_be_visible()


def test_a_user_is_erased_only_once_the_name_was_typed(page, url):
    leaving = f"{EVIL} leaving"
    httpx.post(f"{url}/v1/events", json={"events": [{"id": "g", "user": leaving, "item": "i1"}]})
    visit(page, f"{url}/console/users/{quote(leaving, safe='')}")
    expect(page.locator("h1")).to_have_text(f"User {leaving}")
    page.get_by_role("button", name="Erase user").click()
    go = page.locator("#question").get_by_role("button", name="Erase", exact=True)
    expect(go).to_be_disabled()
    page.locator("#question input").fill(leaving)
    go.click()
    expect(page.locator("h1")).to_have_text("Users")
    expect(page.locator("#news")).to_contain_text("is erased: 1 events")
    assert httpx.get(f"{url}/v1/events", params={"user": leaving}).json()["events"] == []


def test_ids_and_titles_are_text_whatever_they_contain(page, url):
    path = quote(EVIL, safe="")
    put = {"attributes": {"title": f"<b>{EVIL}</b>", "genre": ["<script>"], "year": 2026}}
    httpx.put(f"{url}/v1/items/{path}", json=put).raise_for_status()
    httpx.post(f"{url}/v1/events", json={"events": [{"id": "h", "user": EVIL, "item": EVIL}]})
    visit(page, f"{url}/console/items/{path}")
    expect(page.locator("h1")).to_have_text(f"<b>{EVIL}</b>")
    page.get_by_role("region", name="Events on it").get_by_role("link", name=EVIL).click()
    expect(page.locator("h1")).to_have_text(f"User {EVIL}")
    settled(page)
    page.get_by_role("region", name="History").get_by_role("link").click()
    expect(page.locator("h1")).to_have_text(f"<b>{EVIL}</b>")
    assert page.locator("main img, main b b, main script").count() == 0
    settled(page)


def test_the_console_speaks_chinese_and_remembers_it(page, url):
    visit(page, f"{url}/console/users/u3")
    page.click("#language")
    expect(page.locator("h1")).to_have_text("用户 u3")
    page.click("#theme")
    page.reload()
    settled(page)
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("#nav a[aria-current]")).to_have_text("用户")
    text = page.locator("main").inner_text()
    assert not re.search(r"\{\w+\}|\b[a-z]+-[a-z-]+\b", re.sub(r"\S*\d\S*", "", text))


def test_what_is_missing_or_gone_is_told_and_nothing_breaks(page, url):
    lost = {"status": 404, "detail": "nothing lives at '/v1/quality'; GET /openapi.json lists every path"}
    page.route("**/v1/quality", lambda route: route.fulfill(status=404, json=lost))
    visit(page, f"{url}/console/quality")
    expect(page.locator(".nothing")).to_contain_text("does not offer this part")
    visit(page, f"{url}/console/items/nobody-put-this")
    expect(page.locator("h1")).to_have_text("Not found")
    expect(page.locator(".error")).to_contain_text("nobody-put-this")
    page.clock.install()
    visit(page, f"{url}/console")
    page.route("**/v1/overview*", lambda route: route.abort())
    page.clock.run_for(4000)
    expect(page.locator("#stale")).to_contain_text("does not answer")
    page.unroute("**/v1/overview*")
    page.clock.run_for(4000)
    expect(page.locator("#stale")).to_be_hidden()
    assert all("404" in fault or "ERR_FAILED" in fault for fault in page.faults)
    page.faults.clear()


def test_a_workspace_that_was_never_trained_says_what_to_do(opened, tmp_path):
    Workspace.create(tmp_path)
    with live(tmp_path) as url, opened(url) as page:
        for path in ("", "/scenarios", "/scenarios/home", "/users", "/items", "/requests", "/bundles"):
            visit(page, f"{url}/console{path}")
            expect(page.locator(".nothing.bad")).to_have_count(0)
        expect(page.locator("main")).to_contain_text("polyscene train")


def test_who_may_only_look_sees_why_a_button_is_barred(opened, tmp_path):
    Workspace.create(tmp_path)
    words = {role: keys.add(tmp_path, role, role=role) for role in ("read", "admin")}
    with live(tmp_path) as url, opened(url) as page:
        page.goto(f"{url}/console/jobs")
        expect(page.locator("h1")).to_have_text("Sign in")
        for key, answer in (("wrong", "opens nothing"), (words["read"], "may look")):
            page.get_by_label("Key").fill(key)
            page.get_by_role("button", name="Sign in").click()
            expect(page.locator("body")).to_contain_text(answer)
        expect(page.locator("h1")).to_have_text("Jobs")
        settled(page)
        button = page.get_by_role("button", name="Start the fit")
        expect(button).to_be_disabled()
        expect(button).to_have_accessible_description(re.compile("Needs a key of the role: administrator"))
        page.get_by_role("button", name="Sign out").click()
        page.get_by_label("Key").fill(words["admin"])
        page.get_by_role("button", name="Sign in").click()
        expect(button).to_be_enabled()
        settled(page)
        assert all("401" in fault for fault in page.faults)
        page.faults.clear()


def grave(page, **options):
    """What axe finds serious or critical, as (rule, first place)."""
    found = axe.Axe().run(page, options={"resultTypes": ["violations"], **options}).response["violations"]
    return [
        (each["id"], each["nodes"][0]["html"])
        for each in found
        if each["impact"] in ("serious", "critical")
    ]


@pytest.mark.parametrize("path", PAGES)
def test_axe_finds_nothing_serious_in_light_or_dark(opened, url, path):
    with opened(url, color_scheme="light", bypass_csp=True) as page:
        visit(page, f"{url}/console{path}")
        for _ in range(2):  # what unfolds may hold something to unfold
            page.evaluate(
                "document.querySelectorAll('.how, .came details').forEach((each) => (each.open = true))"
            )
            settled(page)
        assert grave(page) == []
        page.emulate_media(color_scheme="dark")
        assert grave(page, runOnly=["color-contrast"]) == []
