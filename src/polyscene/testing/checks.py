"""Contract checks, generated for any kind of model: the same list holds for ours and for yours.

@pytest.mark.parametrize("check", [check for _, check in checks("ease")])
def test_ease(check):
    check()
"""

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from polyscene.core.arrays import Array, Ragged, RaggedTable
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config, find, read, to_json
from polyscene.core.contracts import Data, Edges, Effect, Explains, Part, Run, ScoresAll, State, Training
from polyscene.core.queries import Eligible, Queries, history_of
from polyscene.core.slates import Slates
from polyscene.models.table import KINDS, MODELS, Model
from polyscene.testing.worlds import ask, noise, nothing

Check = Callable[[], None]
TOLERANCE = 1e-5


def checks(kind: str, config: Config | None = None) -> Iterator[tuple[str, Check]]:
    """(name, check) pairs for one kind of model; a check raises AssertionError when a promise is broken.

    `config` defaults to the kind's own defaults. All checks of one call share one fit, made on first use.
    """
    case = Case(config or find(KINDS, kind, "checks")(), MODELS[kind])
    for check in CHECKS:
        yield check.__name__, partial(check, case)


class MovingView:
    """A view whose catalogue a check can replace, as a live one changes."""

    def __init__(self, data: Data) -> None:
        self.catalogue, self.people = data.catalogue, data.people


@dataclass
class Case:
    """One kind under check: its config, its row of the table, and one cached fit on the noisy world."""

    config: Config
    facts: Model

    @cached_property
    def data(self) -> Data:
        """The noisy world on read-only arrays."""
        data = noise()
        histories = RaggedTable(lock(data.histories.offsets), lock_all(data.histories.columns))
        return replace(data, users=lock(data.users), histories=histories)

    @cached_property
    def view(self) -> MovingView:
        """What the fitted part may look at."""
        return MovingView(self.data)

    @cached_property
    def part(self) -> Part:
        """The fitted part."""
        return self.fit(self.data)

    @property
    def queries(self) -> Queries:
        """Read-only queries, one per user of the noisy world."""
        return locked(ask(self.data))

    def fit(self, data: Data) -> Part:
        """A part fitted on other data with the same seed."""
        fitted: Part = self.config.fit(data, Run(seed=7, view=self.view))  # type: ignore[attr-defined]
        return fitted

    def load(self, state: State) -> Part:
        """A part from a saved state."""
        loaded: Part = self.config.load(state, Run(seed=7, view=self.view))  # type: ignore[attr-defined]
        return loaded

    def answer(self, queries: Queries, part: Part | None = None) -> Slates:
        """What the part adds to empty slates, its form checked."""
        return well_formed((part or self.part)(queries, Slates.empty(len(queries))), len(queries))


def config_survives_json(case: Case) -> None:
    """A config written to JSON and read again is equal."""
    again = read(KINDS, json.loads(dump(case)), "check")
    assert again == case.config


def docstring_names_its_source(case: Case) -> None:
    """The config's docstring says where the algorithm comes from."""
    assert "Source:" in (type(case.config).__doc__ or "")


def state_survives_a_bundle(case: Case) -> None:
    """State through safetensors bytes and JSON gives a part that answers the same."""
    state = case.part.state()
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in state.tensors.items()}
    loaded = case.load(State(from_bytes(to_bytes(tensors)), json.loads(json.dumps(dict(state.meta)))))
    same(case.answer(case.queries), case.answer(case.queries, loaded))


def equal_seed_gives_equal_answer(case: Case) -> None:
    """Fitted twice with one seed, a model answers the same."""
    same(case.answer(case.queries), case.answer(case.queries, case.fit(noise())))


class BrokenOffError(Exception):
    """Stands for a kill in the middle of a training."""


class BreakingBar:
    """Breaks a training off after a few steps."""

    def __init__(self, label: str, total: int) -> None:
        self.left = min(7, total // 2)

    def __enter__(self) -> "BreakingBar":
        return self

    def __exit__(self, *failure: object) -> None:
        return None

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Counts down to the break."""
        self.left -= steps
        if self.left <= 0:
            raise BrokenOffError


def broken_training_comes_to_the_same_end(case: Case) -> None:
    """Killed in the middle and fitted again, a model that keeps checkpoints answers as if never killed."""
    with TemporaryDirectory() as folder:
        keeping = Training(checkpoint=Path(folder), checkpoint_s=0.0)
        run = Run(seed=7, view=case.view, progress=BreakingBar, training=keeping)
        with suppress(BrokenOffError):
            case.config.fit(case.data, run)  # type: ignore[attr-defined]
        kept = any(Path(folder).glob("*/*.safetensors"))
        seldom = Run(seed=7, view=case.view, training=replace(keeping, checkpoint_s=60.0))
        again: Part = case.config.fit(case.data, seldom)  # type: ignore[attr-defined]
    assert kept == any("went on from step" in line for line in seldom.warnings), seldom.warnings
    same(case.answer(case.queries), case.answer(case.queries, again))


def names_do_not_matter(case: Case) -> None:
    """Renamed actions, scenarios and edge ids, with codes kept, change nothing."""
    ids = np.array(["x", "y"], object)
    edges = Edges(ids, ids, ids[::-1], np.ones(2, np.float32), *[np.full((2, 2), -1, np.int32)] * 2)
    renamed = replace(case.data, actions=("a", "b"), scenarios=("c", "d"), edges=edges)
    same(case.answer(case.queries), case.answer(case.queries, case.fit(renamed)))


def fit_leaves_its_data(case: Case) -> None:
    """Fitting changes nothing in the data: its arrays are read-only, so a write would have failed."""
    assert not any(column.flags.writeable for column in case.data.histories.columns.values())
    assert case.part is not None


def effect_is_kept(case: Case) -> None:
    """Over slates that hold something, the part does nothing beyond its declared effect."""
    queries = case.queries
    before = some_slates(queries)
    after = well_formed(case.part(queries, before), len(queries))
    effect = case.part.effect
    width = queries.allowed.size
    old, new = before.rows() * width + before.items, after.rows() * width + after.items
    assert Effect.ADDS in effect or not (set(new) - set(old)), "it added"
    assert Effect.DROPS in effect or not (set(old) - set(new)), "it dropped"
    kept = new[np.isin(new, old)]
    assert Effect.ORDERS in effect or np.array_equal(kept, old[np.isin(old, new)]), "it reordered"
    if Effect.SCORES not in effect:
        scores = dict(zip(old.tolist(), before.scores.tolist(), strict=True))
        assert [scores[key] for key in kept] == after.scores[np.isin(new, old)].tolist(), "it rescored"


def unknown_ids_are_ordinary(case: Case) -> None:
    """Codes -1 and beyond the catalogue in users, histories and exclusions are passed over."""
    clean = case.queries.take(np.arange(4))
    strange = [-1, case.data.size, case.data.size + 1000]
    lists = [[strange[0], *clean.history.ragged("item")[row].tolist(), *strange[1:]] for row in range(4)]
    dirty = replace(
        clean,
        users=np.array([-1, 10**6, -1, 10**6], np.int32),
        history=history_of(lists),
        exclude=Ragged.of([[*clean.exclude[row].tolist(), *strange] for row in range(4)]),
    )
    assert len(case.answer(locked(dirty)).items), "nothing came"


def strangers_are_served_alike(case: Case) -> None:
    """A history with no user code gives the same answer, for parts that hold no users."""
    if case.facts.holds_users or not case.facts.cold_users:
        return
    queries = case.queries
    anonymous = replace(queries, users=np.full(len(queries), -1, np.int32))
    same(case.answer(queries), case.answer(anonymous))


def new_items_are_survived(case: Case) -> None:
    """After the catalogue grew, old items keep their scores, and new ones are ranked as the table says."""
    queries = case.queries
    size, grown = queries.allowed.size, queries.allowed.size + 3
    known = np.arange(grown) < size
    masks = np.stack([known & np.append(case.data.catalogue.active, [True] * 3), ~known])
    lists = [[*queries.history.ragged("item")[row].tolist(), size + 1] for row in range(len(queries))]
    put = replace(
        case.data.catalogue,
        put_at=np.append(case.data.catalogue.put_at, np.full(3, case.data.at)),
        active=np.append(case.data.catalogue.active, [True] * 3),
        kinds=np.append(case.data.catalogue.kinds, np.zeros(3, np.int16)),
    )
    before, case.view.catalogue = case.view.catalogue, put
    try:
        groups = np.zeros(len(queries), np.int64)
        same(case.answer(queries), case.answer(replace(queries, allowed=Eligible(masks, groups))))
        new = replace(queries, allowed=Eligible(masks, groups + 1))
        assert case.facts.cold_items == bool(len(case.answer(new).items)), (
            "table and part disagree on cold_items"
        )
        case.answer(locked(replace(new, history=history_of(lists))))
    finally:
        case.view.catalogue = before


def empty_history_is_survived(case: Case) -> None:
    """A query without history gets a slate, perhaps an empty one."""
    queries = case.queries
    case.answer(locked(replace(queries, history=history_of([[]] * len(queries)))))


def no_queries_no_slates(case: Case) -> None:
    """B = 0."""
    case.answer(case.queries.take(np.zeros(0, np.int64)))


def nothing_wanted_nothing_allowed(case: Case) -> None:
    """Zero wanted or nothing allowed gives empty slates."""
    queries = case.queries
    assert not len(case.answer(queries.wanting(0)).items)
    barred = replace(queries.allowed, masks=np.zeros_like(queries.allowed.masks))
    assert not len(case.answer(replace(queries, allowed=barred)).items)


def empty_data_is_survived(case: Case) -> None:
    """Fitted on no events, over no item, one item or several, a part still answers."""
    for items in (0, 1, 3):
        data = nothing(items)
        queries = Queries.of_histories(history_of([[], [0, 0]]), items)
        case.answer(queries, case.fit(data))


def one_item_is_survived(case: Case) -> None:
    """A catalogue of one item, which two users touched."""
    histories = history_of([[0], [0, 0]], [[case.data.at - 2], [case.data.at - 2, case.data.at - 1]])
    data = replace(
        case.data, users=case.data.users[:2], histories=histories, catalogue=Catalogue.bare(1), edges=None
    )
    case.answer(Queries.of_histories(history_of([[], [0]]), 1), case.fit(data))


def forbidden_is_never_shown(case: Case) -> None:
    """Neither what the rules of a query's group forbid nor what the query excludes."""
    queries = case.queries
    even = np.arange(queries.allowed.size) % 2 == 0
    allowed = Eligible(np.stack([even, ~even]), np.arange(len(queries)) % 2)
    slates = case.answer(locked(replace(queries, allowed=allowed)))
    assert np.array_equal(slates.items % 2, slates.rows() % 2), "a forbidden item"
    for row in range(len(queries)):
        assert not np.isin(slates.of(row), queries.exclude[row]).any(), "an excluded item"


def each_query_gets_what_it_wants(case: Case) -> None:
    """Never more than wanted, by query."""
    queries = case.queries
    wanted = np.arange(len(queries)).astype(np.int32) % 5
    assert (case.answer(replace(queries, wanted=wanted)).lengths <= wanted).all()


def scores_fall(case: Case) -> None:
    """A slate is in the order of its scores; every score is a number."""
    slates = case.answer(case.queries)
    assert np.isfinite(slates.scores).all()
    inside = slates.rows()[1:] == slates.rows()[:-1]
    assert (np.diff(slates.scores)[inside] <= 0).all()


def ten_head_twenty(case: Case) -> None:
    """The top 10 are the first ten of the top 20."""
    ten, twenty = case.answer(case.queries.wanting(10)), case.answer(case.queries.wanting(20))
    same(ten, twenty.head(10))


def batch_equals_singles(case: Case) -> None:
    """Each query alone gives what it gives among others, within 1e-5."""
    queries = case.queries
    batch = case.answer(queries)
    for row in range(0, len(queries), 7):
        same(batch.take(np.array([row])), case.answer(queries.take(np.array([row]))))


def block_matches_slate(case: Case) -> None:
    """What a part scores for all items is what its slates carry."""
    if not isinstance(case.part, ScoresAll):
        return
    queries = case.queries
    block = case.part.score_all(queries)
    assert block.shape == (len(queries), queries.allowed.size)
    assert block.dtype == np.float32
    assert not np.isnan(block).any()
    slates = case.answer(queries)
    np.testing.assert_allclose(slates.scores, block[slates.rows(), slates.items], TOLERANCE, TOLERANCE)


def reasons_come_from_the_history(case: Case) -> None:
    """What speaks for a candidate is in the query's history, or nothing is."""
    if not isinstance(case.part, Explains):
        return
    queries = case.queries
    slates = case.answer(queries)
    because = case.part.because(queries, slates)
    assert because.shape == slates.items.shape
    assert (because >= 0).any(), "it never explains"
    for row, code in zip(slates.rows().tolist(), because.tolist(), strict=True):
        assert code == -1 or code in queries.history.ragged("item")[row]


CHECKS: tuple[Callable[[Case], None], ...] = (
    config_survives_json,
    docstring_names_its_source,
    state_survives_a_bundle,
    equal_seed_gives_equal_answer,
    broken_training_comes_to_the_same_end,
    names_do_not_matter,
    fit_leaves_its_data,
    effect_is_kept,
    unknown_ids_are_ordinary,
    strangers_are_served_alike,
    new_items_are_survived,
    empty_history_is_survived,
    no_queries_no_slates,
    nothing_wanted_nothing_allowed,
    empty_data_is_survived,
    one_item_is_survived,
    forbidden_is_never_shown,
    each_query_gets_what_it_wants,
    scores_fall,
    ten_head_twenty,
    batch_equals_singles,
    block_matches_slate,
    reasons_come_from_the_history,
)


def dump(case: Case) -> str:
    """The case's config as JSON text."""
    return json.dumps(to_json(case.config))


def locked(queries: Queries) -> Queries:
    """The queries on read-only copies of their arrays, so that a write into them is an error."""
    return replace(
        queries,
        at=lock(queries.at),
        users=lock(queries.users),
        history=RaggedTable(lock(queries.history.offsets), lock_all(queries.history.columns)),
        wanted=lock(queries.wanted),
        exclude=Ragged(lock(queries.exclude.offsets), lock(queries.exclude.values)),
        allowed=Eligible(lock(queries.allowed.masks), lock(queries.allowed.groups)),
        seeds=lock(queries.seeds),
    )


def lock(array: Array) -> Array:
    """A read-only copy."""
    copy = array.copy()
    copy.setflags(write=False)
    return copy


def lock_all(columns: Mapping[str, Array]) -> dict[str, Array]:
    """Read-only copies under the same names."""
    return {name: lock(column) for name, column in columns.items()}


def some_slates(queries: Queries) -> Slates:
    """Three read-only candidates for each query, in an order and with scores that no model would give."""
    lists, scores = [], []
    for row in range(len(queries)):
        free = np.flatnonzero(queries.allowed.of(row))
        free = free[~np.isin(free, queries.exclude[row])]
        lists.append(free[[-1, 0, len(free) // 2]])
        scores += [0.25, -3.0, 0.75]
    packed = Ragged.of(lists)
    slates = Slates(packed.offsets, packed.values, np.array(scores, np.float32))
    for array in (slates.offsets, slates.items, slates.scores):
        array.setflags(write=False)
    return slates


def well_formed(slates: Slates, count: int) -> Slates:
    """The slates, once their shapes, types and distinctness are checked."""
    assert len(slates) == count
    assert slates.items.dtype == np.int32
    assert slates.scores.dtype == np.float32
    assert slates.offsets[0] == 0
    assert slates.offsets[-1] == len(slates.items) == len(slates.scores)
    assert all(len(column) == len(slates.items) for column in slates.columns.values())
    pairs = np.stack([slates.rows(), slates.items])
    assert np.unique(pairs, axis=1).shape == pairs.shape, "an item twice in one slate"
    return slates


def same(left: Slates, right: Slates) -> None:
    """Asserts equal slates: scores within 1e-5, items equal but for swaps among such near ties."""
    assert np.array_equal(left.offsets, right.offsets), "different lengths"
    np.testing.assert_allclose(left.scores, right.scores, TOLERANCE, TOLERANCE)
    moved = np.flatnonzero(left.items != right.items)
    for place in moved:
        row = int(left.rows()[place])
        spot = np.flatnonzero(right.of(row) == left.items[place])
        near = (
            right.scores[right.offsets[row] + spot]
            if len(spot)
            else right.scores[right.offsets[row + 1] - 1]
        )
        np.testing.assert_allclose(left.scores[place], near, TOLERANCE, TOLERANCE, err_msg="another item")
