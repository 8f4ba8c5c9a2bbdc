"""What the kinds of jobs do, in this process."""

import msgspec
import pytest

from polyscene.core.errors import NotFoundError
from polyscene.jobs.backup import verify
from polyscene.jobs.export import ExportRequest
from polyscene.jobs.record import Job, Records
from polyscene.jobs.tasks import KINDS, Task, arguments_of
from polyscene.jobs.worker import Teller


@pytest.fixture
def task(copied):
    def made(name):
        records = Records(copied.root)
        teller = Teller(records, records.put(Job(id=name, kind="x", state="running", created=1)))
        return Task(copied, records, name, teller.bar, teller.share)

    return made


def work(task, kind, **arguments):
    return KINDS[kind].work(task, arguments_of(kind, arguments))


def test_an_evaluation_of_the_log_has_figures_and_baselines(task):
    found = work(task("a"), "evaluate", scenario="home")
    assert 0 < found["metrics"]["ndcg@10"] <= 1
    assert set(found["baselines"]) == {"popular", "recent_popular", "transitions"}
    msgspec.json.encode(found)
    with pytest.raises(NotFoundError, match="did you mean 'home'"):
        work(task("b"), "evaluate", scenario="hme")


def test_a_training_promotes_and_tells(task, copied):
    before = copied.shelf().current("home")
    found = work(task("a"), "train", scenarios=["home"])
    (report,) = found["scenarios"]
    assert report["bundle"] == copied.shelf().current("home") != before
    assert report["refused"] == ""


def test_an_unfinished_export_is_resumed_by_another_job(task, copied):
    work(task("first"), "export", scenario="home", k=3)
    records = Records(copied.root)
    path = records.output(records.get("first"))
    content, part = path.read_bytes(), path.with_name(path.name + ".part")
    mark = {
        "request": msgspec.to_builtins(ExportRequest(scenario="home", k=3)),
        "position": 112,
        "at": 1_790_000_000_000,
        "bundles": {name: copied.shelf().current(name) for name in ("home", "popular")},
        "done": 24,
        "size": len(content),
        "users": 24,
    }
    path.rename(part)
    part.with_name(part.name + ".mark").write_bytes(msgspec.json.encode(mark))
    found = work(task("second"), "export", scenario="home", k=3, resume="first")
    assert found["users"] == 24
    assert records.output(records.get("second")).read_bytes() == content
    assert not part.exists()


def test_a_backup_stands_beside_the_workspace(task, copied):
    found = work(task("a"), "backup")
    folder = copied.root.with_name("workspace-backup-a")
    assert found["folder"] == folder.name
    assert len(verify(folder).files) == found["files"]


def test_progress_rises_over_all_parts(copied, monkeypatch):
    monkeypatch.setattr("polyscene.jobs.worker.TOLD_S", 0.0)
    records = Records(copied.root)
    teller = Teller(records, records.put(Job(id="a", kind="train", state="running", created=1)))
    seen = []
    for part in range(2):
        teller.share(part, 2)
        with teller.bar("fit", 2) as bar:
            for _ in range(2):
                bar.advance(note="loss 0.1")
                seen.append(records.get("a").progress)
    assert seen == [0.25, 0.5, 0.75, 1.0]
    assert records.get("a").text == "fit: 2 of 2, loss 0.1"
