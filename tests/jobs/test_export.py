"""Recommendations for everybody: what each would get alone, in files that a spreadsheet can't run."""

import csv
import json

import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import ConflictError, InputError, NotFoundError
from polyscene.events.event import Event
from polyscene.jobs import export as export_module
from polyscene.jobs.export import ExportRequest, export, safe_cell
from polyscene.scenario.answer import recommend
from polyscene.scenario.ask import Ask
from polyscene.testing.worlds import START_MS


def run(space, path, progress=silent, keep=None, **asked):
    request = ExportRequest(**{"scenario": "home", "k": 3, **asked})
    with space.reader() as log:
        return export(space, request, path, progress, log=log, keep=keep)


def test_everybody_gets_what_each_would_get_alone(running, copied, tmp_path, monkeypatch):
    monkeypatch.setattr(export_module, "BLOCK", 7)
    shown = []
    report = run(copied, tmp_path / "mail.out", keep=shown.append)
    lines = [json.loads(line) for line in (tmp_path / "mail.out").read_text().splitlines()]
    assert (report.users, report.empty, len(lines)) == (24, 0, 24)
    for place, (line, exposure) in enumerate(zip(lines, shown, strict=True)):
        ask = Ask(scenario="home", user=line["user"], k=3, request_id=f"mail/{place}")
        alone = recommend(
            ask, running.lineup.served, running.lineup._world.now, at=exposure.time, skip=()
        ).answer
        assert [each["id"] for each in line["items"]] == [each.id for each in alone.items]
        assert exposure.items == [each.id for each in alone.items]
        assert exposure.request_id == line["request_id"] == f"mail/{place}"


def test_csv_has_a_row_an_item_and_no_formulas(copied, tmp_path):
    log = copied.log()
    odd = ['=HYPERLINK("http://x")', "+1", "-1", "@SUM(A1)", 'with "quotes", and commas', "\u202eright"]
    log.append([Event(id=f"o{n}", user=user, item=f"i{n}", time=START_MS) for n, user in enumerate(odd)])
    log.close()
    report = run(copied, tmp_path / "mail.csv", format="csv", users=[*odd, "nobody we know"])
    with (tmp_path / "mail.csv").open(newline="") as file:
        head, *rows = csv.reader(file)
    assert head == list(export_module.COLUMNS)
    assert len(rows) == report.items == 3 * (len(odd) + 1)
    assert {row[0] for row in rows} == {*map(safe_cell, odd), "nobody we know"}
    assert not [cell for row in rows for cell in (row[0], row[2]) if cell[0] in "=+-@"]


def test_an_interrupted_export_goes_on_where_it_ended_and_gives_the_same_file(
    copied, tmp_path, monkeypatch
):
    monkeypatch.setattr(export_module, "BLOCK", 5)
    path, whole, blocks = tmp_path / "mail.out", tmp_path / "whole" / "mail.out", []

    def keep(exposure):
        blocks.append(exposure.request_id)
        if len(blocks) == 13:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(copied, path, keep=keep)
    assert not path.exists()
    with pytest.raises(ConflictError, match="belongs to another export"):
        run(copied, path, k=2)
    with (tmp_path / "mail.out.part").open("ab") as torn:
        torn.write(b'{"user": "u1')
    log = copied.log()
    log.append([Event(id="late", user="u20", item="i1", time=START_MS)])
    log.close()
    again = []
    report = run(copied, path, keep=lambda shown: again.append(shown.request_id))
    assert report.users == 24
    assert again[0] == "mail/10"  # two blocks of five were whole
    users = [json.loads(line)["user"] for line in path.read_text().splitlines()]
    assert users == [f"u{n}" for n in range(24)]
    assert list(tmp_path.glob("mail.out.*")) == []
    whole.parent.mkdir()
    run(copied, whole)
    head = path.read_text().splitlines()[:20]
    assert head[:20] == whole.read_text().splitlines()[:20]


def test_what_can_not_be_exported_is_told(copied, tmp_path):
    with pytest.raises(NotFoundError, match="'nowhere' has no bundle"):
        run(copied, tmp_path / "x", scenario="nowhere")
    with pytest.raises(InputError, match="did you mean 'year'"):
        run(copied, tmp_path / "x", filter="yeer > 1")
