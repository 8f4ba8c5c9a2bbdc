"""MMR against its definition, item by item."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import Run, State, StillView
from polyscene.core.errors import ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.rerank.mmr import Mmr
from polyscene.testing.worlds import nothing

TAGS = ("a", "b", "c", "d")


def catalogue(tags: list[list[int]]) -> Catalogue:
    return replace(Catalogue.bare(len(tags)), columns={"tags": Column("tags", Ragged.of(tags), TAGS)})


def naive(scores: list[float], tags: list[set[int]], mix: float, wanted: int) -> list[int]:
    low, high = min(scores), max(scores)
    value = [1.0 if high == low else (score - low) / (high - low) for score in scores]

    def alike(one: set[int], two: set[int]) -> float:
        return len(one & two) / np.sqrt(len(one) * len(two)) if one and two else 0.0

    chosen: list[int] = []
    while len(chosen) < min(wanted, len(scores)):
        gains = [
            -np.inf
            if place in chosen
            else round(
                mix * value[place]
                - (1 - mix) * max((alike(tags[place], tags[other]) for other in chosen), default=0.0),
                5,
            )
            for place in range(len(scores))
        ]
        chosen.append(gains.index(max(gains)))
    return chosen + [place for place in range(len(scores)) if place not in chosen]


slate = st.lists(
    st.tuples(st.integers(0, 6), st.sets(st.integers(0, 3), max_size=3)), min_size=1, max_size=7
)


@settings(max_examples=80, deadline=None)
@given(st.lists(slate, min_size=1, max_size=3), st.sampled_from([0.0, 0.25, 0.5, 0.75]), st.integers(1, 5))
def test_equals_the_definition(raw: list, mix: float, wanted: int) -> None:
    slates_of = [sorted(each, key=lambda pair: -pair[0]) for each in raw]
    flat = [pair for each in slates_of for pair in each]
    items = catalogue([sorted(tags) for _, tags in flat])
    offsets = np.cumsum([0, *map(len, slates_of)])
    slates = Slates(
        offsets, np.arange(len(flat), dtype=np.int32), np.array([score for score, _ in flat], np.float32)
    )
    queries = Queries.of_histories(history_of([[]] * len(slates_of)), len(flat), wanted=wanted)
    found = Mmr(mix=mix).fit(nothing(), Run(view=StillView(items)))(queries, slates)
    for row, each in enumerate(slates_of):
        order = naive([float(score) for score, _ in each], [tags for _, tags in each], mix, wanted)
        assert (found.of(row) - offsets[row]).tolist() == order
        assert found.scores[offsets[row] : offsets[row + 1]].tolist() == [each[place][0] for place in order]


def five() -> tuple[Queries, Slates, Catalogue]:
    slates = Slates(
        np.array([0, 5]), np.arange(5, dtype=np.int32), np.array([5, 4.9, 4.8, 4.7, 1], np.float32)
    )
    return (
        Queries.of_histories(history_of([[]]), 5, wanted=5),
        slates,
        catalogue([[0], [0], [0], [1], []]),
    )


def test_an_unlike_item_moves_up_and_mix_one_changes_nothing() -> None:
    queries, slates, items = five()
    run = Run(view=StillView(items))
    assert Mmr(mix=0.7).fit(nothing(), run)(queries, slates).of(0).tolist()[:2] == [0, 3]
    assert Mmr(mix=1.0).fit(nothing(), run)(queries, slates).of(0).tolist() == [0, 1, 2, 3, 4]


def test_only_the_first_candidates_take_part() -> None:
    queries, slates, items = five()
    found = Mmr(mix=0.0, depth=3).fit(nothing(), Run(view=StillView(items)))(queries, slates)
    assert found.of(0).tolist()[3:] == [3, 4]


def test_without_attributes_or_candidates_the_order_stays() -> None:
    queries, slates, _ = five()
    part = Mmr(mix=0.1).fit(nothing(5), Run())
    assert part(queries, slates).of(0).tolist() == [0, 1, 2, 3, 4]
    part = Mmr(mix=0.1).fit(nothing(), Run(view=StillView(catalogue([[0]]))))
    assert len(part(queries, Slates.empty(1)).items) == 0


def test_an_item_the_catalogue_does_not_know_is_unlike_everything() -> None:
    queries, slates, items = five()
    known = Catalogue.bare(4)
    short = replace(
        known, columns={"tags": Column("tags", items.columns["tags"].values.take(np.arange(4)), TAGS)}
    )
    assert len(Mmr(mix=0.5).fit(nothing(), Run(view=StillView(short)))(queries, slates).items) == 5


def test_loading_needs_a_view() -> None:
    with pytest.raises(ConfigError, match="view"):
        Mmr().load(State(), Run())
