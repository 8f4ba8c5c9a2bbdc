"""The engine beyond the walk: resends, hot swap, damaged bundles, look-ups."""

import pytest

from polyscene.core.clock import FixedClock
from polyscene.core.contracts import silent
from polyscene.core.errors import ConflictError, InputError, NotFoundError
from polyscene.events.event import Event, ItemPut
from polyscene.jobs.engine import Engine
from polyscene.jobs.train import TrainRequest, train
from polyscene.scenario.ask import Ask
from polyscene.testing.service import tiny_workspace

NOW = 1_790_000_000_000


@pytest.fixture
def space(tmp_path):
    return tiny_workspace(tmp_path)


@pytest.fixture
def engine(space):
    with Engine.open(space.root, clock=FixedClock(NOW)) as engine:
        yield engine


def test_an_ask_sent_again_gets_its_first_answer_and_another_ask_is_refused(engine):
    ask = Ask(scenario="home", user="u1", k=3, request_id="r1")
    first = engine.recommend(ask)
    engine.intake.events([Event(id="e-new", user="u1", item=first.items[0].id, time=NOW)])
    assert [shown.id for shown in engine.recommend(ask).items] == [shown.id for shown in first.items]
    with pytest.raises(ConflictError, match="'r1' stands for another ask"):
        engine.recommend(Ask(scenario="home", user="u2", k=3, request_id="r1"))


def test_a_promoted_bundle_is_taken_up_without_a_restart(space, engine):
    old = engine.recommend(Ask(scenario="home", user="u1", request_id="before"))
    (report,) = train(space, TrainRequest(names=["home"], holdout=False), silent)
    engine.lineup.take_up()
    new = engine.recommend(Ask(scenario="home", user="u1"))
    assert (old.bundle == new.bundle, new.bundle) == (False, report.bundle)
    assert engine.replay("before").bundle == old.bundle  # a replay answers from the bundle of its time


def test_a_damaged_bundle_leaves_the_one_before_in_service(space, engine):
    before = engine.recommend(Ask(scenario="popular", user="u1")).bundle
    (report,) = train(space, TrainRequest(names=["popular"], holdout=False), silent)
    tensors = space.root / "bundles" / "popular" / report.bundle / "tensors.safetensors"
    tensors.write_bytes(tensors.read_bytes()[:-1])
    engine.lineup.take_up()
    assert engine.recommend(Ask(scenario="popular", user="u1")).bundle == before
    (problem,) = engine.status()["problems"]
    assert "tensors.safetensors" in problem


def test_what_does_not_exist_is_named(engine):
    with pytest.raises(NotFoundError, match="did you mean 'home'"):
        engine.recommend(Ask(scenario="hom", user="u1"))
    with pytest.raises(NotFoundError, match="no request 'never'"):
        engine.trace("never")
    with pytest.raises(NotFoundError, match="no item 'never'"):
        engine.lookup.item("never")


def test_times_out_of_range_are_refused_and_nothing_is_kept(engine):
    position = engine.status()["position"]
    far = Event(id="far", user="u1", item="i1", time=NOW + 3 * 86_400_000)
    fine = Event(id="fine", user="u1", item="i1", time=NOW)
    with pytest.raises(InputError, match=r"records\[1\].time"):
        engine.intake.events([fine, far])
    with pytest.raises(InputError, match=r"records\[0\].time"):
        engine.intake.items([ItemPut(id="i1", time=5)])
    assert engine.status()["position"] == position


def test_look_ups_speak_of_titles(engine):
    found = engine.lookup.search("title 1", 3)
    assert found[0]["title"].casefold().startswith("title 1")
    assert engine.lookup.search("no such words", 3) == []
    assert engine.lookup.title("unheard") == "unheard"
    newest = engine.lookup.history("u1", 2)
    assert newest[0]["time"] >= newest[1]["time"]
    assert engine.lookup.history("nobody", 2) == []
    assert len(engine.lookup.sample(4)) == 4
