"""The doctor finds what is wrong, names it, and never falls over it."""

from polyscene.jobs.doctor import examine
from polyscene.jobs.workspace import Workspace
from polyscene.testing.service import tiny_workspace


def verdicts(root):
    return {finding.what: (finding.verdict, finding.found) for finding in examine(root)}


def test_a_healthy_workspace_is_well(tmp_path):
    found = verdicts(tiny_workspace(tmp_path).root)
    assert {verdict for verdict, _ in found.values()} == {"ok"}
    assert "digests" in found["bundle of home"][1]


def test_what_is_missing_comes_with_the_command_that_makes_it(tmp_path):
    assert "polyscene ingest" in verdicts(tmp_path)["workspace"][1]
    space = Workspace.create(tmp_path / "new")
    with space.log():
        pass
    found = verdicts(space.root)
    assert found["log"] == ("warn", "empty; run `polyscene ingest`")
    assert found["bundle of home"] == ("warn", "none; run `polyscene train home`")


def test_damage_is_a_finding_not_a_crash(tmp_path):
    space = tiny_workspace(tmp_path)
    (space.root / "scenarios" / "home.toml").write_text("scenario = ")
    bundle = space.shelf().current("popular")
    (space.root / "bundles" / "popular" / bundle / "manifest.json").write_text("{}")
    (space.root / "events.db").write_bytes(b"no database")
    found = verdicts(space.root)
    assert found["log"][0] == "fail"
    assert found["scenarios"][0] == "fail"
    assert "home.toml" in found["scenarios"][1]
