"""The page in headless Chromium, against a real server over a tiny world."""

import re

import httpx
import pytest

from polyscene.jobs import keys
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import live, tiny_workspace

expect = pytest.importorskip("playwright.sync_api", reason="playwright is not installed").expect
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    with live(tiny_workspace(tmp_path_factory.mktemp("browsed")).root) as url:
        yield url


@pytest.fixture
def page(opened, url):
    with opened(url) as page:
        page.goto(url)
        settled(page)
        yield page


def settled(page):
    """Waits until every shelf has its answer."""
    expect(page.locator(".shelf")).to_have_count(3)
    expect(page.locator(".shelf[aria-busy]")).to_have_count(0)


def items(page, scenario):
    return page.locator(f'.shelf[data-scenario="{scenario}"] .card').evaluate_all(
        "cards => cards.map(card => card.dataset.item)"
    )


def watched(page):
    return page.locator("#history .watched .name").all_inner_texts()


def click(page, scenario, place):
    card = page.locator(f'.shelf[data-scenario="{scenario}"] .card').nth(place)
    title, item = card.locator(".name").inner_text(), card.get_attribute("data-item")
    card.locator("button").click()
    expect(page.locator("#history .watched").first).to_contain_text(title)
    settled(page)
    return title, item


def test_each_click_enters_the_history_and_changes_every_slate(page):
    expect(page.locator("#who")).to_have_text("You are someone new")
    assert watched(page) == []
    before = {name: items(page, name) for name in ("home", "next", "popular")}
    first, item = click(page, "popular", 1)
    after = {name: items(page, name) for name in before}
    assert watched(page) == [first]
    assert item in before["popular"]
    assert item not in after["popular"] + after["home"] + after["next"]
    assert after["next"] != before["next"]
    expect(page.locator('.shelf[data-scenario="popular"] .note')).to_contain_text("new")
    second, _ = click(page, "home", 0)
    assert watched(page) == [second, first]


def test_a_known_user_is_shown_with_history_and_reasons(page):
    page.fill("#user", "u3")
    page.keyboard.press("Enter")
    expect(page.locator("#who")).to_have_text("User u3")
    settled(page)
    assert watched(page) == ["Title 9", "Title 7", "Title 5", "Title 3"]
    expect(page.locator('.shelf[data-scenario="next"] .card').first).to_contain_text("Title 11")
    expect(page.locator('.shelf[data-scenario="next"] .because').first).to_have_text(
        "because you watched Title 9"
    )
    expect(page.locator('.shelf[data-scenario="next"] .chip').first).to_have_text("covisit")
    page.reload()
    expect(page.locator("#who")).to_have_text("User u3")
    settled(page)


def test_the_trace_shows_stages_and_candidates_and_replays_equal(page):
    page.locator('.shelf[data-scenario="home"] .how').click()
    panel = page.locator("#trace")
    stages = panel.locator("table").first
    expect(stages).to_contain_text("union")
    expect(stages).to_contain_text("explore")
    expect(panel.locator("tr.shown")).to_have_count(len(items(page, "home")))
    expect(panel.locator("tr.lost").first).to_be_visible()
    panel.get_by_role("button", name="Replay this request").click()
    expect(panel.locator(".replayed")).to_have_text("Replayed from the log: the same slate.")
    page.keyboard.press("Escape")
    expect(panel).not_to_be_visible()


def test_a_wrong_filter_is_told_while_typing_and_a_right_one_holds(page):
    before = items(page, "popular")
    page.fill("#filter", "gnre has any")
    expect(page.locator("#filter-error")).to_contain_text("filter:")
    expect(page.locator("#filter")).to_have_attribute("aria-invalid", "true")
    assert items(page, "popular") == before
    assert all("422" in fault for fault in page.faults)
    page.faults.clear()
    page.fill("#filter", 'genre has any ["Comedy"] and year < 1986')
    expect(page.locator("#filter-error")).to_be_hidden()
    expect(page.locator('.shelf[data-scenario="popular"] .card')).to_have_count(3)
    assert set(items(page, "popular")) == {"i1", "i3", "i5"}
    page.fill("#filter", "year > 3000")
    expect(page.locator('.shelf[data-scenario="popular"] .empty')).to_have_text(
        re.compile("Nothing passes the filter")
    )


def test_a_title_is_found_and_added_with_the_keyboard_alone(page):
    page.keyboard.press("/")
    page.keyboard.type("title 12")
    expect(page.locator("#found li")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.locator("#history .watched")).to_have_text(re.compile("Title 12"))
    settled(page)
    page.locator('.shelf[data-scenario="home"] .poster').first.focus()
    page.keyboard.press("ArrowRight")
    page.keyboard.press("ArrowDown")
    focused = page.locator('.shelf[data-scenario="next"] .card').nth(1).locator(".poster")
    expect(focused).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#history .watched")).to_have_count(2)


def test_titles_are_text_whatever_they_contain(page, url):
    title = "<img src=x onerror=alert(1)><b>bold</b>"
    put = {"attributes": {"title": title, "year": 2026, "genre": ["<i>"]}}
    assert httpx.put(f"{url}/v1/items/%3Cscript%3E", json=put).status_code == 200
    page.fill("#words", "<img")
    expect(page.locator("#found li .name")).to_have_text(title)
    page.keyboard.press("Enter")
    expect(page.locator("#history .watched .name")).to_have_text(title)
    settled(page)
    assert page.locator("main img").count() == 0


def test_the_page_speaks_chinese_and_remembers_language_and_theme(page):
    page.click("#language")
    expect(page.locator("#who")).to_have_text("你是新用户")
    settled(page)
    ground = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.click("#theme")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != ground
    page.reload()
    settled(page)
    expect(page.locator("html")).to_have_attribute("lang", "zh")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator('.shelf[data-scenario="home"] h2')).to_have_text("为你推荐")


def test_nothing_is_wider_than_a_phone(page):
    page.set_viewport_size({"width": 360, "height": 740})
    assert page.evaluate("document.documentElement.scrollWidth") == 360
    page.locator(".how").first.click()
    expect(page.locator("#trace tr.shown").first).to_be_visible()
    box = page.locator("#trace").bounding_box()
    assert (box["x"], box["width"]) == (0, 360)


def test_a_service_that_does_not_answer_is_told_and_taken_up_again(page):
    page.route("**/v1/**", lambda route: route.abort())
    page.locator('.shelf[data-scenario="popular"] .poster').first.click()
    expect(page.locator("#trouble")).to_contain_text("does not answer")
    page.unroute("**/v1/**")
    expect(page.locator("#trouble")).to_be_hidden(timeout=10_000)
    expect(page.locator("#history .watched")).to_have_count(1)
    settled(page)
    assert all("ERR_FAILED" in fault for fault in page.faults)
    page.faults.clear()


def test_a_workspace_that_was_never_trained_says_what_to_do(browser, tmp_path):
    Workspace.create(tmp_path)
    with live(tmp_path) as url:
        page = browser.new_page(locale="en-GB")
        page.goto(url)
        expect(page.locator("#trouble")).to_contain_text("polyscene train")
        page.close()


def test_with_keys_the_page_asks_to_sign_in_and_then_works(opened, tmp_path):
    key = keys.add(tiny_workspace(tmp_path).root, "shop", role="write")
    with live(tmp_path) as url, opened(url) as page:
        page.goto(url)
        expect(page.locator("#trouble")).to_contain_text("Sign in at /console")
        page.goto(f"{url}/console")
        page.get_by_label("Key").fill(key)
        page.get_by_role("button", name="Sign in").click()
        expect(page.get_by_role("button", name="Sign out")).to_be_visible()
        page.goto(url)
        page.locator(".poster").first.click()
        expect(page.locator("#history li")).to_have_count(1)
        page.faults.clear()
