"""One headless Chromium for all pages, and pages in which nothing may go wrong."""

import os
import shutil
from contextlib import contextmanager
from pathlib import Path

import pytest

CHROMIUM = os.environ.get("POLYSCENE_CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
HERE = Path(__file__).parent
ARGS = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


def pytest_collection_modifyitems(items):
    """One process per file: while a browser is open its loop runs, and no other test can run its own."""
    for item in items:
        if item.path.parent == HERE:
            item.add_marker(pytest.mark.xdist_group(item.path.stem))


@pytest.fixture(scope="module")
def browser():
    sync_api = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    if not CHROMIUM:
        pytest.skip("no chromium on the path, and POLYSCENE_CHROMIUM is not set")
    with sync_api.sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGS)
        yield browser
        browser.close()


@pytest.fixture
def opened(browser):
    """Opens pages in profiles of their own; at the end nothing may have gone wrong, nor left the machine.

    `page.faults` are what a test may expect and clear.
    """

    @contextmanager
    def open_page(url, **options):
        context = browser.new_context(**{"locale": "en-GB", "reduced_motion": "reduce", **options})
        page = context.new_page()
        faults, foreign = [], []
        page.on("pageerror", lambda error: faults.append(str(error)))
        page.on(
            "console",
            lambda message: faults.append(message.text) if message.type in ("error", "warning") else None,
        )
        page.on(
            "request",
            lambda request: foreign.append(request.url) if not request.url.startswith(url) else None,
        )
        page.faults = faults
        yield page
        context.close()
        assert faults == []
        assert foreign == []

    return open_page
