"""What users say of themselves answers for a history that they don't have yet."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.config import fill
from polyscene.core.contracts import Run, StillView
from polyscene.core.errors import ConfigError, DataError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.ials import Ials
from polyscene.models.two_tower import TwoTower
from polyscene.testing import worlds

ITEMS, USERS = 20, 60
LEARNERS = {
    "ials": fill(Ials, {"dim": 4, "l2": 0.5, "people": {"kind": "content", "text": []}}, "ials"),
    "two_tower": TwoTower(
        dim=16, hidden=16, epochs=40, max_len=8, batch_size=64, dropout=0.0, learning_rate=0.02,
        negatives=16, content=None, history_dropout=0.3,
    ),
}  # fmt: skip


def saying(sides: list[int]) -> Catalogue:
    """Users by code, each of side 0 (red), 1 (blue) or -1 (not said)."""
    return replace(
        Catalogue.bare(len(sides)),
        columns={"side": Column("category", np.array(sides, np.int32), ("red", "blue"))},
    )


@pytest.fixture(scope="module")
def parties():
    """Reds touch even items, blues odd ones, as they say; the last six users say nothing."""
    rng = np.random.default_rng(0)
    lists = [(2 * rng.permutation(ITEMS // 2)[:5] + user % 2).tolist() for user in range(USERS)]
    sides = [user % 2 if user < USERS - 6 else -1 for user in range(USERS)]
    return replace(
        worlds.chain().data,
        histories=history_of(lists),
        users=np.arange(USERS, dtype=np.int32),
        catalogue=Catalogue.bare(ITEMS),
        people=saying(sides),
    )


@pytest.fixture(scope="module", params=LEARNERS)
def learned(request, parties):
    config = LEARNERS[request.param]
    return config, config.fit(parties, Run(seed=1))


def strangers(users: list[int]) -> Queries:
    plain = Queries.of_histories(history_of([[] for _ in users]), ITEMS)
    return replace(plain, users=np.array(users, np.int32))


def best(part, queries: Queries) -> list[list[int]]:
    slates = part(queries, Slates.empty(len(queries)))
    return [items[:5].tolist() for items in np.split(slates.items, slates.offsets[1:-1])]


def test_who_has_no_history_is_answered_by_what_they_say(learned):
    _, part = learned
    for user, items in zip((0, 1), best(part, strangers([0, 1])), strict=True):
        assert len(items) == 5
        assert {item % 2 for item in items} == {user % 2}


def test_who_says_nothing_is_answered_as_anybody(learned):
    _, part = learned
    silent, nobody = part.score_all(strangers([USERS - 1, 10**6])), part.score_all(strangers([-1, -1]))
    np.testing.assert_array_equal(silent, nobody)


def test_beside_a_history_ials_needs_nothing_said(parties):
    part, asked = LEARNERS["ials"].fit(parties, Run(seed=1)), worlds.ask(parties)
    nobody = replace(asked, users=np.full(len(asked), -1, np.int32))
    np.testing.assert_array_equal(part.score_all(asked), part.score_all(nobody))


def test_a_part_that_was_loaded_reads_the_people_of_its_own_day(learned, parties):
    config, part = learned
    today = StillView(parties.catalogue, saying([1, 1, 0]))
    again = config.load(part.state(), Run(view=today))
    same = config.load(part.state(), Run(view=StillView.of(parties)))
    np.testing.assert_allclose(
        same.score_all(strangers([0, 1])), part.score_all(strangers([0, 1])), atol=1e-5
    )
    assert [{item % 2 for item in items} for items in best(again, strangers([0, 1, 2]))] == [{1}, {1}, {0}]
    with pytest.raises(ConfigError, match=r"needs Run\(view=...\)"):
        config.load(part.state(), Run())


@pytest.mark.parametrize("config", LEARNERS.values(), ids=LEARNERS)
def test_without_attributes_nothing_changes(config, parties):
    mute = replace(parties, people=Catalogue.bare(0))
    told, untold = config, fill(type(config), {**_plain(config), "people": None}, "model")
    asked = worlds.ask(mute)
    found = [each.fit(mute, Run(seed=2)).score_all(asked) for each in (told, untold)]
    np.testing.assert_allclose(found[0], found[1], atol=1e-5)


@pytest.mark.parametrize("kind", [Ials, TwoTower])
def test_an_attribute_that_nobody_has_is_refused_by_name(kind, parties):
    config = fill(kind, {"people": {"kind": "content", "attributes": ["sid"]}}, "model")
    with pytest.raises(DataError, match="side"):
        config.fit(parties, Run())


def _plain(config) -> dict:
    return {name: getattr(config, name) for name in config.__struct_fields__}
