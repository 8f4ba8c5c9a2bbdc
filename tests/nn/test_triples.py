import numpy as np

from polyscene.core.contracts import Edges
from polyscene.core.rows import Rows
from polyscene.nn.triples import Triples, choosing

NONE = -1


def edges_of(facts, items):
    """Facts (source, relation, target) whose ends named in `items` are those item codes."""
    source, relation, target = (np.array(column, object) for column in zip(*facts, strict=True))
    codes = np.array([[items.get(a, NONE), items.get(b, NONE)] for a, _, b in facts], np.int32)
    return Edges(
        source, relation, target, np.ones(len(facts), np.float32), np.full_like(codes, NONE), codes
    )


FACTS = [
    ("film", "by", "anna"),
    ("anna", "from", "oslo"),
    ("oslo", "in", "norway"),
    ("play", "by", "anna"),
    ("x", "by", "y"),
]
ITEMS = {"film": 4, "play": 7}


def test_facts_are_read_both_ways_and_items_come_first():
    found = Triples.near(Rows(np.array([4, 7])), edges_of(FACTS, ITEMS), 1)
    assert found.entities == 3
    assert found.kinds == 2
    facts = set(zip(found.heads.tolist(), found.relations.tolist(), found.tails.tolist(), strict=True))
    assert facts == {(0, 0, 2), (1, 0, 2), (2, 1, 0), (2, 1, 1)}


def test_steps_reach_further_and_what_no_item_reaches_leaves_no_trace():
    rows = Rows(np.array([4, 7]))
    assert [Triples.near(rows, edges_of(FACTS, ITEMS), steps).entities for steps in (1, 2, 3)] == [3, 4, 5]
    near, more = (Triples.near(rows, edges_of(facts, ITEMS), 9) for facts in (FACTS[:4], FACTS))
    assert (near.entities, near.kinds, near.heads.tolist()) == (
        more.entities,
        more.kinds,
        more.heads.tolist(),
    )


def test_an_item_without_a_row_is_an_entity_like_any_other():
    found = Triples.near(Rows(np.array([4])), edges_of(FACTS, ITEMS), 2)
    assert found.entities == 4


def test_no_facts_are_no_relations():
    rows = Rows(np.array([4, 7]))
    for edges in (None, edges_of(FACTS[4:], ITEMS)):
        found = Triples.near(rows, edges, 2)
        assert (found.entities, found.kinds, len(found.heads)) == (2, 0, 0)


def test_choosing_picks_rows():
    picked = choosing(np.array([2, 0, 2]), 3) @ np.arange(3.0)
    assert picked.tolist() == [2, 0, 2]
