"""One base for all scenarios, an adapter for each: who answers what, and how it is kept."""

from dataclasses import replace

import msgspec
import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Column
from polyscene.core.config import read
from polyscene.core.contracts import Holdout, Run, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries, history_of, stack
from polyscene.core.rows import Rows
from polyscene.features.content import Content
from polyscene.models.foundation import Foundation
from polyscene.models.table import KINDS
from polyscene.nn.augment import Augment
from polyscene.rank.adapted import Adapted, AdaptedPart
from polyscene.testing.worlds import scenes

ITEMS, STEPS = 12, (1, 5)
"""On a circle of items, home leads to the next one and cart to the fifth after it."""
BASE = Foundation(
    dim=16, layers=1, max_len=16, batch_size=128, dropout=0.0, learning_rate=0.02, epochs=15, evidence=None
)
FROZEN = msgspec.structs.replace(BASE, epochs=0)
ADAPTED = Adapted(base=FROZEN, rank=6, epochs=30, learning_rate=0.03, least=10)


def asked(code):
    plain = Queries.of_histories(history_of([[item] for item in range(ITEMS)]), ITEMS)
    return replace(plain, scenario=np.full(ITEMS, code, np.int32))


def right(part, code):
    """Share of the items from which it finds the way in the scenario of this code."""
    found = part.score_all(asked(code)).argmax(1)
    return float((found == (np.arange(ITEMS) + STEPS[code]) % ITEMS).mean())


@pytest.fixture(scope="module")
def older():
    """A part whose base learned that every scenario leads to the next item."""
    return AdaptedPart(BASE.fit(scenes((1, 1)), Run()), {}, {}, None)


@pytest.fixture(scope="module")
def part(older):
    return ADAPTED.fit(scenes(), Run(), older)


def test_adapters_alone_teach_an_older_base_what_a_scenario_is(older, part):
    assert right(older, 0) == 1.0
    assert right(older, 1) == 0.0
    assert (right(part, 0), right(part, 1)) == (1.0, 1.0)
    np.testing.assert_array_equal(part.base.score_all(asked(1)), older.base.score_all(asked(1)))


@pytest.mark.parametrize(("augment", "learns"), [(Augment(mask=1.0), False), (Augment(crop=1.0), True)])
def test_adapters_read_histories_varied_as_those_of_the_base(older, augment, learns):
    config = msgspec.structs.replace(ADAPTED, base=msgspec.structs.replace(FROZEN, augment=augment))
    assert (right(config.fit(scenes(), Run(), older), 1) > 0.9) == learns


def test_one_batch_may_hold_several_scenarios(part):
    order = np.random.default_rng(0).permutation(2 * ITEMS)
    mixed = stack([asked(0), asked(1)]).take(order)
    apart = np.concatenate([part.score_all(asked(0)), part.score_all(asked(1))])
    np.testing.assert_allclose(part.score_all(mixed), apart[order], atol=1e-5)


def test_a_scenario_without_an_adapter_is_answered_by_the_base(part):
    for code in (-1, 2):
        np.testing.assert_array_equal(part.score_all(asked(code)), part.base.score_all(asked(code)))


def test_a_scenario_file_names_its_own_adapter_which_answers_every_query(older, part):
    mine = msgspec.structs.replace(ADAPTED, scenario="cart").fit(scenes(), Run(), older)
    assert list(mine.adapters) == [1]
    np.testing.assert_array_equal(mine.score_all(asked(0)), mine.score_all(asked(1)))
    assert right(mine, 1) == 1.0


def test_a_scenario_nothing_came_in_is_said_and_answered_by_the_base(older):
    run = Run()
    mine = msgspec.structs.replace(ADAPTED, scenario="feed").fit(scenes(), run, older)
    assert run.warnings == ["adapted: no event came in scenario 'feed', so the base answers as it is"]
    assert not mine.adapters


def test_one_scenario_alone_needs_no_adapter(older):
    alone = replace(scenes(), scenarios=("cart",))
    for scenario in (None, "cart"):
        mine = msgspec.structs.replace(ADAPTED, scenario=scenario).fit(alone, Run())
        assert not mine.adapters


def test_too_few_events_make_no_adapter(older):
    many = int((scenes().histories["scenario"] == 1).sum())
    config = msgspec.structs.replace(ADAPTED, epochs=1, least=many)
    fitted = config.fit(scenes(), Run(), older)
    assert 1 in fitted.adapters
    assert 1 not in msgspec.structs.replace(config, least=many + 1).fit(scenes(), Run(), older).adapters


def test_an_adapter_that_does_not_help_is_left_out(older):
    run = Run(validate=lambda part: -right(part, 1))
    mine = msgspec.structs.replace(ADAPTED, scenario="cart").fit(scenes(), run, older)
    assert not mine.adapters
    assert run.warnings == ["adapted: an adapter of 'cart' would not help, so it has none"]


def test_an_adapter_is_judged_by_the_questions_of_its_scenario(older):
    """What all questions say is drowned in the others': here they say no, its own say yes."""
    answers = (np.arange(ITEMS, dtype=np.int32) + STEPS[1]) % ITEMS
    each = np.arange(ITEMS + 1)
    own = Holdout(asked(1), Ragged(each, answers), Ragged(each, np.ones(ITEMS, np.float32)))
    run = Run(validate=lambda part: -right(part, 1), holdout=own)
    config = msgspec.structs.replace(ADAPTED, scenario="cart")
    assert 1 in config.fit(scenes(), run, older).adapters
    elsewhere = replace(own, queries=asked(0))
    assert not config.fit(scenes(), replace(run, holdout=elsewhere), older).adapters


def test_it_is_kept_as_base_and_small_deltas(part):
    state = part.state()
    deltas = [name for name in state.tensors if name.startswith("adapter 1/")]
    assert sum(state.tensors[name].size for name in deltas) < sum(
        state.tensors[name].size for name in state.tensors if name.startswith("base/")
    )
    again = ADAPTED.load(state, Run())
    np.testing.assert_array_equal(again.score_all(asked(1)), part.score_all(asked(1)))
    del state.tensors[deltas[0]]
    with pytest.raises(BundleError, match="fit the model again"):
        ADAPTED.load(state, Run())


def test_what_cannot_be_adapted_is_refused():
    with pytest.raises(ConfigError, match=r"only a model of kind 'foundation' can be adapted"):
        read(KINDS, {"kind": "adapted", "base": {"kind": "popular"}}, "x")
    with pytest.raises(ConfigError, match=r"base\.surface must be true"):
        Adapted(base=Foundation(surface=False))


def test_a_trained_backbone_goes_to_a_workspace_that_shares_no_item():
    """Trunk and content weights move over; what is an item is known there by what it says."""
    content = msgspec.structs.replace(BASE, content=Content(text=()), id_dropout=0.5)
    here, there = labelled(scenes((1, 1))), labelled(scenes((1, 1), users=6))
    old = content.fit(here, Run(view=StillView(here.catalogue)))
    stranger = replace(old, known=replace(old.known, rows=Rows(np.zeros(0, np.int32))))
    view = Run(view=StillView(there.catalogue))
    fresh, moved = (
        msgspec.structs.replace(content, epochs=0).fit(there, view, warm) for warm in (None, stranger)
    )
    mine, theirs = (dict(each.network.named_parameters()) for each in (moved, old))
    for name in ("items.hidden.weight", "items.output.weight", "trunk.blocks.0.hidden.weight"):
        np.testing.assert_array_equal(mine[name].detach(), theirs[name].detach())
    assert not np.array_equal(mine["items.ids"].detach(), theirs["items.ids"].detach())
    assert right(moved, 0) > 0.7 > 0.4 > right(fresh, 0)


def labelled(data):
    """Every item is tagged with its place on the circle and the two before it."""
    words = tuple(f"place {number}" for number in range(ITEMS))
    tags = Ragged.of([[(item - back) % ITEMS for back in range(3)] for item in range(ITEMS)])
    return replace(data, catalogue=replace(data.catalogue, columns={"places": Column("tags", tags, words)}))
