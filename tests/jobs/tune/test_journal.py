"""A study's file outlives kills, and is never mixed with another's."""

import pytest

from polyscene.core.errors import BusyError, ConflictError, StoreError
from polyscene.jobs.tune.ground import Ask, Facts
from polyscene.jobs.tune.journal import Looked, Tried, opened

ASK = Ask(data="shop", seed=3)
FACTS = Facts(source="shop", protocol="loo", digest="d" * 64, users=3, items=4, events=9, queries=3)
TRIAL = Tried(kind="ease", settings={"l2": 5.0}, end="done", score=0.25, glimpses=[(0.5, 0.2)], at_s=7.5)


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "studies" / "shop.jsonl"
    with opened(path) as journal:
        journal.begin(ASK, FACTS)
        journal.add(TRIAL)
    return path


def test_what_was_kept_is_found_again(path):
    with opened(path) as journal:
        assert journal.tried == [TRIAL]
        assert journal.ask == ASK
        assert journal.used_s == 7.5
        journal.begin(ASK, FACTS)
        journal.add(Looked(limits={"trials": 1}, result={"a": 1}))
    with opened(path) as journal:
        assert journal.looked == [Looked(limits={"trials": 1}, result={"a": 1})]


@pytest.mark.parametrize("cut", [1, 20, 60])
def test_a_line_cut_short_is_dropped_and_the_next_one_stands_alone(path, cut):
    path.write_bytes(path.read_bytes()[:-cut])
    with opened(path) as journal:
        assert journal.tried == []
        journal.begin(ASK, FACTS)
        journal.add(TRIAL)
    with opened(path) as journal:
        assert journal.tried == [TRIAL]


def test_another_question_or_other_data_is_refused(path):
    with opened(path) as journal:
        with pytest.raises(ConflictError, match="about other question than is asked now"):
            journal.begin(Ask(data="shop", seed=4), FACTS)
        with pytest.raises(ConflictError, match=r"about other data.*--study FILE"):
            journal.begin(
                ASK, Facts(source="s", protocol="loo", digest="e", users=3, items=4, events=9, queries=3)
            )


def test_one_at_a_time(path):
    with opened(path), pytest.raises(BusyError, match="another `polyscene tune` works"), opened(path):
        pytest.fail("two have it open")


def test_a_file_of_something_else_stays_as_it_is(tmp_path):
    path = tmp_path / "notes.txt"
    path.write_text("my notes\nmore\n")
    with pytest.raises(StoreError, match="no study of `polyscene tune`"), opened(path):
        pytest.fail("it was opened")
    assert path.read_text() == "my notes\nmore\n"
