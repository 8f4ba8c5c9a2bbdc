"""The page of data quality in headless Chromium: bright, dark, on a phone, and for screen readers."""

import numpy as np
import polars as pl
import pytest

from polyscene.jobs.quality import quality
from polyscene.jobs.quality_page import quality_html

axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is not installed")
pytestmark = pytest.mark.browser


@pytest.fixture(scope="module")
def url(tmp_path_factory):
    """A page with findings of every severity and long ids."""
    folder = tmp_path_factory.mktemp("odd-data-with-a-rather-long-name-of-its-own")
    rng = np.random.default_rng(1)
    rows = [
        (f"U{rng.integers(40)}", f"item-{rng.integers(60):04}-{'x' * 60}", 1_700_000_000 + 9_000 * int(n))
        for n in rng.permutation(900)
    ]
    rows += [("bot", f"item-{n:04}-{'x' * 60}", 1_700_000_000 + n) for n in range(700)]
    pl.DataFrame(rows, schema=["user", "item", "time"], orient="row").write_csv(folder / "events.csv")
    titles = [f"<b>A long title of thing number {n}, made of words</b>" for n in range(60)]
    items = {"item": [f"ITEM-{n:04}-{'x' * 60}" for n in range(60)], "title": titles}
    pl.DataFrame(items).write_csv(folder / "items.csv")
    path = folder / "page.html"
    path.write_text(quality_html(quality(str(folder))), encoding="utf-8")
    return path.as_uri()


@pytest.mark.parametrize(("width", "scheme"), [(1200, "light"), (1200, "dark"), (360, "light")])
def test_the_page_fits_and_axe_finds_nothing_serious(opened, url, width, scheme):
    with opened(url, viewport={"width": width, "height": 800}, color_scheme=scheme) as page:
        page.goto(url)
        assert page.locator("svg[role=img]").count() == 5
        assert page.locator("article.bad h3").first.inner_text()
        assert page.evaluate("document.documentElement.scrollWidth") <= width
        found = axe.Axe().run(page, options={"resultTypes": ["violations"]}).response["violations"]
        assert [rule["id"] for rule in found if rule["impact"] in ("serious", "critical")] == []
