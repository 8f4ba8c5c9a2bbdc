"""What is tried next, when a trial is broken off, and what goes on after a kill."""

import pytest

from polyscene.jobs.tune.journal import Tried
from polyscene.jobs.tune.searches import Search
from polyscene.models.search import SPACES, Choice, Real, Whole

SPACE = {"l2": Real(10, 10_000)}


def ended(pick, score, **more):
    return Tried(kind=pick.kind, settings=pick.settings, end="done", score=score, request_ms=1.0, **more)


def searched(count, measure, **options):
    """A search after its beginning and `count` trials, and these."""
    search, trials = Search("ease", SPACE, {}, **options), []
    for at in range(count + 1):
        pick = search.next() if at else search.first()
        trials.append(ended(pick, measure(pick.settings)))
        search.tell(pick, trials[-1])
    return search, trials


def near_100(settings):
    return -abs(settings.get("l2", 500.0) / 100 - 1)


def test_it_begins_at_the_defaults_and_closes_in_on_the_best():
    _, trials = searched(25, near_100)
    assert trials[0].settings == {}
    assert all(10 <= each.settings["l2"] <= 10_000 for each in trials[1:])
    assert max(each.score for each in trials) > -0.3


def test_a_study_that_goes_on_tries_nothing_twice():
    _, trials = searched(6, near_100)
    search = Search("ease", SPACE, {}, tried=trials)
    fresh = [search.next().settings for _ in range(6)]
    assert all(each not in [past.settings for past in trials] for each in fresh)
    assert max(near_100(each) for each in fresh) > -5


def test_trials_of_a_space_that_has_changed_since_are_no_obstacle():
    _, trials = searched(6, near_100)
    wider = Search("ease", {"l2": Real(1, 5), "max_items": Whole(10, 20)}, {}, tried=trials)
    assert wider.next().settings.keys() == {"l2", "max_items"}


def test_a_space_that_is_used_up_says_so():
    space = {"similarity": Choice(("cosine", "bm25"))}
    search = Search("user_knn", space, {})
    found = []
    while (pick := search.next()) is not None:
        search.tell(pick, ended(pick, 0.1))
        found.append(pick.settings["similarity"])
    assert sorted(found) == ["bm25", "cosine"]
    assert Search("popular", {}, {}).next() is None


def test_a_trial_behind_the_median_at_the_same_share_is_broken_off():
    search = Search("ease", SPACE, {})
    for score in (0.3, 0.4, 0.5):
        pick = search.next()
        assert search.goes_on(pick, 0.25, score)
        search.tell(pick, ended(pick, score, glimpses=pick.glimpses))
    again = [ended(pick, 0.4, glimpses=[(0.25, 0.4)]) for pick in (search.next(), search.next())]
    for one in (search, Search("ease", SPACE, {}, tried=again)):
        weak, strong = one.next(), one.next()
        assert one.goes_on(weak, 0.1, 0.0)
        assert not one.goes_on(weak, 0.25, 0.35)
        assert one.goes_on(strong, 0.25, 0.45)
        assert weak.glimpses == [(0.1, 0.0), (0.25, 0.35)]


def test_a_scenario_keeps_what_it_sets_besides():
    search = Search("ease", SPACE, {"max_items": 9, "l2": 70.0})
    assert search.standing() == {"l2": 70.0}
    assert search.config({}) == {"max_items": 9, "l2": 70.0}
    assert search.config({"l2": 90.0}) == {"max_items": 9, "l2": 90.0}


def test_a_beginning_outside_of_the_space_is_no_obstacle():
    search = Search("ease", SPACE, {"l2": 5.0})
    search.tell(search.first(), ended(search.first(), 0.5))
    assert 10 <= search.next().settings["l2"] <= 10_000


def test_what_decides_the_score_is_found_to_matter():
    search = Search("content_knn", SPACES["content_knn"], {})
    for _ in range(20):
        pick = search.next()
        search.tell(pick, ended(pick, -abs(pick.settings["decay"] - 0.3)))
    shares = search.importance()
    assert shares.keys() == SPACES["content_knn"].keys()
    assert sum(shares.values()) == pytest.approx(1)
    assert max(shares, key=shares.get) == "decay"
    assert searched(3, near_100)[0].importance() == {}


def test_slow_trials_steer_the_search_away():
    """Accuracy grows with the setting, cost too: the limit cuts at 1000."""

    def tried(latency_ms):
        search, found = Search("ease", SPACE, {}, latency_ms=latency_ms), []
        for _ in range(40):
            pick = search.next()
            l2 = pick.settings["l2"]
            search.tell(
                pick, Tried(kind="ease", settings=pick.settings, end="done", score=l2, request_ms=l2 / 1000)
            )
            found.append(l2)
        return sum(each <= 1000 for each in found[10:])

    assert tried(1.0) > tried(None)


def test_several_looks_in_one_tenth_of_a_training_are_judged_once():
    search = Search("ease", SPACES["ease"], {})
    search.tell(search.first(), Tried(kind="ease", settings={}, end="done", score=0.1))
    pick = search.next()
    assert all(search.goes_on(pick, share, 0.1) for share in (0.11, 0.12, 0.13, 0.31))
    assert [share for share, _ in pick.glimpses] == [0.11, 0.12, 0.13, 0.31]
    assert list(pick.trial.storage.get_trial(pick.trial._trial_id).intermediate_values) == [1, 3]
