"""Contract checks, generated for any kind of ranker, as `checks` are for models."""

import json
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from functools import cached_property, partial
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from safetensors.numpy import load as from_bytes
from safetensors.numpy import save as to_bytes

from polyscene.core.catalogue import Column
from polyscene.core.config import Config, read, to_json
from polyscene.core.contracts import Data, Effect, Examples, Part, Run, State, StillView, Training
from polyscene.core.errors import ConfigError
from polyscene.core.queries import history_of
from polyscene.core.slates import Slates
from polyscene.rank.table import KINDS
from polyscene.testing.checks import (
    BreakingBar,
    BrokenOffError,
    Check,
    lock,
    lock_all,
    locked,
    same,
    well_formed,
)
from polyscene.testing.worlds import ask, noise

ITEMS, WIDTH = 40, 12


def checks(kind: str, config: Config) -> Iterator[tuple[str, Check]]:
    """(name, check) pairs for one kind; all checks of one call share one fit, made on first use."""
    case = Case(kind, config)
    for check in CHECKS:
        yield check.__name__, partial(check, case)


def voices(users: int = 200, seed: int = 0) -> Data:
    """The noisy world with slates in which ``good`` ranks what comes next high and ``bad`` says nothing.

    What comes next is first of ``good`` for six in ten users, second for three, third for one. Items have a
    category and a price that have nothing to do with it.
    """
    world = noise(users=users, items=ITEMS)
    rng = np.random.default_rng(seed)
    items = np.concatenate([rng.permutation(ITEMS)[:WIDTH] for _ in range(users)]).astype(np.int32)
    good, bad = (
        np.concatenate([rng.permutation(WIDTH) for _ in range(users)]).astype(np.float32) for _ in range(2)
    )
    columns = {"rank:good": good, "score:good": -good, "rank:bad": bad, "score:bad": -bad}
    slates = Slates(np.arange(users + 1) * WIDTH, items, np.zeros(len(items), np.float32), columns)
    labels = (good == np.repeat(rng.choice(3, users, p=[0.6, 0.3, 0.1]), WIDTH)).astype(np.float32)
    attributes = {
        "genre": Column("category", (np.arange(ITEMS) % 3 - 1).astype(np.int32), ("drama", "comedy")),
        "price": Column("number", np.linspace(1, 100, ITEMS)),
    }
    catalogue = replace(world.catalogue, columns=attributes)
    return replace(world, catalogue=catalogue, examples=Examples(ask(world), slates, labels))


@dataclass
class Case:
    """One kind under check: its config, and one cached fit on the world of `voices`."""

    kind: str
    config: Config

    @cached_property
    def data(self) -> Data:
        """The world."""
        return voices()

    @cached_property
    def examples(self) -> Examples:
        """Its questions and slates on read-only arrays."""
        found = self.data.examples
        assert found is not None
        slates = found.slates
        kept = Slates(
            lock(slates.offsets), lock(slates.items), lock(slates.scores), lock_all(slates.columns)
        )
        return Examples(locked(found.queries), kept, lock(found.labels))

    @cached_property
    def part(self) -> Part:
        """The fitted part."""
        return self.fit(replace(self.data, examples=self.examples))

    def fit(self, data: Data, run: Run | None = None) -> Part:
        """A part fitted with the same seed."""
        fitted: Part = self.config.fit(data, run or self.run())  # type: ignore[attr-defined]
        return fitted

    def run(self) -> Run:
        """Under what it is fitted and loaded."""
        return Run(seed=7, view=StillView.of(self.data))

    def answer(self, part: Part | None = None) -> Slates:
        """The slates of the examples in the part's order, their form checked."""
        slates = self.examples.slates
        return well_formed((part or self.part)(self.examples.queries, slates), len(slates))


def config_survives_json(case: Case) -> None:
    """A config written to JSON and read again is equal."""
    assert read(KINDS, json.loads(json.dumps(to_json(case.config))), "check") == case.config


def docstring_names_its_source(case: Case) -> None:
    """The config's docstring says where the algorithm comes from."""
    assert "Source:" in (type(case.config).__doc__ or "")


def what_came_next_stands_first(case: Case) -> None:
    """It believes the source that was right and not the other one."""
    found = case.answer()
    assert (found.columns["rank:good"][found.offsets[:-1]] == 0).mean() > 0.9


def effect_is_kept(case: Case) -> None:
    """The same candidates, with their columns, by falling finite scores."""
    before, after = case.examples.slates, case.answer()
    assert case.part.effect <= {Effect.SCORES, Effect.ORDERS}
    assert np.array_equal(before.offsets, after.offsets)
    pairs = [np.lexsort((each.items, each.rows())) for each in (before, after)]
    assert np.array_equal(before.items[pairs[0]], after.items[pairs[1]])
    assert np.array_equal(before.columns["rank:bad"][pairs[0]], after.columns["rank:bad"][pairs[1]])
    assert np.isfinite(after.scores).all()
    assert (np.diff(after.scores)[after.rows()[1:] == after.rows()[:-1]] <= 0).all()


def state_survives_a_bundle(case: Case) -> None:
    """State through safetensors bytes and JSON gives a part that answers the same."""
    state = case.part.state()
    tensors = {name: np.ascontiguousarray(tensor) for name, tensor in state.tensors.items()}
    kept = State(from_bytes(to_bytes(tensors)), json.loads(json.dumps(dict(state.meta))))
    loaded: Part = case.config.load(kept, case.run())  # type: ignore[attr-defined]
    same(case.answer(), case.answer(loaded))


def equal_seed_gives_equal_answer(case: Case) -> None:
    """Fitted twice with one seed, it answers the same."""
    same(case.answer(), case.answer(case.fit(case.data)))


def broken_training_comes_to_the_same_end(case: Case) -> None:
    """Killed in the middle and fitted again, one that keeps checkpoints answers as if never killed."""
    with TemporaryDirectory() as folder:
        keeping = Training(checkpoint=Path(folder), checkpoint_s=0.0)
        with suppress(BrokenOffError):
            case.fit(case.data, replace(case.run(), progress=BreakingBar, training=keeping))
        kept = any(Path(folder).glob("*/*.safetensors"))
        again = replace(case.run(), training=replace(keeping, checkpoint_s=60.0))
        part = case.fit(case.data, again)
    assert kept == any("went on from step" in line for line in again.warnings), again.warnings
    same(case.answer(), case.answer(part))


def batch_equals_singles(case: Case) -> None:
    """Each query alone gives what it gives among others, within 1e-5."""
    batch, asked = case.answer(), case.examples
    for row in (0, 7, 199):
        one = np.array([row])
        same(batch.take(one), case.part(asked.queries.take(one), asked.slates.take(one)))


def strange_candidates_and_histories_are_ordinary(case: Case) -> None:
    """New items, unknown codes in histories and empty histories get finite scores."""
    few = np.arange(3)
    queries, slates = case.examples.queries.take(few), case.examples.slates.take(few)
    items = slates.items.copy()
    items[::5] = ITEMS + np.arange(len(items[::5]))
    strange = replace(queries, history=history_of([[], [-1, ITEMS + 5], [0, 1]]))
    found = well_formed(case.part(locked(strange), replace(slates, items=lock(items))), 3)
    assert np.isfinite(found.scores).all()


def nothing_is_survived(case: Case) -> None:
    """No queries, and queries without a candidate."""
    queries = case.examples.queries
    assert not len(case.part(queries.take(np.arange(2)), Slates.empty(2)).items)
    assert not len(case.part(queries.take(np.arange(0)), Slates.empty(0)))


def nothing_to_learn_from_is_told(case: Case) -> None:
    """Without examples an error says what to do; without a labelled candidate a warning does."""
    told = ""
    try:
        case.fit(replace(case.data, examples=None))
    except ConfigError as problem:
        told = str(problem)
    assert "examples" in told
    run = case.run()
    blank = replace(case.examples, labels=np.zeros_like(case.examples.labels))
    part = case.fit(replace(case.data, examples=blank), run)
    assert run.warnings
    case.answer(part)


CHECKS: tuple[Callable[[Case], None], ...] = (
    config_survives_json,
    docstring_names_its_source,
    what_came_next_stands_first,
    effect_is_kept,
    state_survives_a_bundle,
    equal_seed_gives_equal_answer,
    broken_training_comes_to_the_same_end,
    batch_equals_singles,
    strange_candidates_and_histories_are_ordinary,
    nothing_is_survived,
    nothing_to_learn_from_is_told,
)
