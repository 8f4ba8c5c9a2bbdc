"""Freshness: newest first, never from the future, at once."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.clock import DAY_MS
from polyscene.core.contracts import Run, State
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.retrieve.fresh import Fresh
from polyscene.testing.worlds import nothing


@dataclass
class Live:
    catalogue: Catalogue


def items(*days: int) -> Catalogue:
    return replace(Catalogue.bare(len(days)), put_at=np.array(days, np.int64) * DAY_MS)


def ask(day: int, size: int, count: int = 1) -> Queries:
    plain = Queries.of_histories(history_of([[]] * count), size)
    return replace(plain, at=np.full(count, day * DAY_MS))


def test_newest_first_as_of_the_query_ties_by_code() -> None:
    part = Fresh().fit(nothing(), Run(view=Live(items(5, 9, 5, 20, 1))))
    assert part(ask(10, 5), Slates.empty(1)).of(0).tolist() == [1, 0, 2, 4]
    assert part(ask(30, 5), Slates.empty(1)).of(0).tolist()[0] == 3


def test_an_item_first_seen_in_the_event_to_be_predicted_is_not_given_away() -> None:
    part = Fresh().fit(nothing(), Run(view=Live(items(5, 10))))
    assert part(ask(10, 2), Slates.empty(1)).of(0).tolist() == [0]


def test_an_item_put_a_moment_ago_is_there_now() -> None:
    live = Live(items(5, 9))
    part = Fresh().load(State(), Run(view=live))
    part(ask(10, 2), Slates.empty(1))
    live.catalogue = items(5, 9, 10)
    soon = ask(10, 3)
    soon = replace(soon, at=soon.at + 1)
    assert part(soon, Slates.empty(1)).of(0).tolist() == [2, 1, 0]


def test_days_limit_the_age_and_rules_hold() -> None:
    part = Fresh(days=4).fit(nothing(), Run(view=Live(items(5, 9, 8, 7))))
    queries = replace(ask(10, 4), exclude=Ragged.of([[1]]))
    assert part(queries, Slates.empty(1)).of(0).tolist() == [2, 3]


def test_codes_without_a_catalogue_entry_are_not_fresh() -> None:
    part = Fresh().fit(nothing(), Run(view=Live(items(5))))
    assert part(ask(10, 3), Slates.empty(1)).of(0).tolist() == [0]


def test_loading_needs_a_view() -> None:
    with pytest.raises(ConfigError, match="view"):
        Fresh().load(State(), Run())
