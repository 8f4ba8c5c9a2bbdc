"""The report on a live log, and its page."""

import polars as pl
import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import DataError
from polyscene.jobs.ingest import ingest
from polyscene.jobs.quality import quality
from polyscene.jobs.quality_page import quality_html
from polyscene.jobs.workspace import Workspace

EVIL = "<script>alert(1)</script>"


def test_a_log_is_told_of_as_its_source_is(tmp_path):
    rows = [(f"u{n % 20}", f"i{n % 7}", 1_700_000_000 + 5_000 * n) for n in range(200)]
    rows += [("u1", None, 1_700_000_000)] * 3
    folder = tmp_path / "raw"
    folder.mkdir()
    pl.DataFrame(rows, schema=["user", "item", "time"], orient="row").write_csv(folder / "events.csv")
    titles = {"item": [f"i{n}" for n in range(7)], "title": [f"A title of item {n}" for n in range(7)]}
    pl.DataFrame(titles).write_csv(folder / "items.csv")
    space = Workspace.create(tmp_path / "space")
    ingest(space, str(folder), {}, silent)
    told, live = quality(str(folder)), quality(space)
    assert live.plots == told.plots
    assert dict(live.facts).items() >= {"events": "200", "users": "20", "items known": "7"}.items()
    refused = next(each for each in live.findings if each.title == "events: item is missing")
    assert refused.count == 3
    assert str(space.root / "quarantine") in refused.seen


def test_an_empty_log_is_an_error_with_a_remedy(tmp_path):
    space = Workspace.create(tmp_path)
    space.log().close()
    with pytest.raises(DataError, match="the log has no events; fill it with `polyscene ingest`"):
        quality(space)


def test_the_page_is_one_file_and_ids_are_text_in_it(tmp_path):
    frame = pl.DataFrame(
        {"user": [EVIL] * 60, "item": [f"{EVIL}{n}" for n in range(60)], "time": range(60)}
    )
    frame.write_csv(tmp_path / "events.csv")
    pl.DataFrame({"item": [f"{EVIL}0"], "title": [EVIL]}).write_csv(tmp_path / "items.csv")
    page = quality_html(quality(str(tmp_path)))
    assert EVIL not in page
    assert "&lt;script&gt;" in page
    assert "<script" not in page
    assert "http://" not in page
    assert "https://" not in page
