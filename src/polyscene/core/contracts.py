"""The contracts: what a stage, a part and a trainable config promise each other.

A pipeline is a fold of stages over an empty slate. Abilities beyond that are the small protocols at
the end, found by `isinstance`; nothing raises "not implemented".
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol, Self, TypeVar, runtime_checkable

import numpy as np

from polyscene.core.arrays import Array, Codes, Floats, Ragged, RaggedTable, Scores
from polyscene.core.catalogue import Catalogue
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates

NOBODY = Catalogue.bare(0)
"""Users of whom nothing is known."""


class Effect(StrEnum):
    """What a stage may do to a slate; contract checks hold it to its word."""

    ADDS = "adds"
    DROPS = "drops"
    SCORES = "scores"
    ORDERS = "orders"


@dataclass(frozen=True, slots=True)
class State:
    """All that a fitted part knows, as data: tensors by name and JSON meta; never code."""

    tensors: Mapping[str, Array] = field(default_factory=dict)
    meta: Mapping[str, Any] = field(default_factory=dict)


class Stage(Protocol):
    """Everything in the walk from retrieve to rerank.

    Must not change its input, must not look at another clock than ``queries.at``, and gives for a batch
    what it gives for each query alone (scores within 1e-5).
    """

    @property
    def effect(self) -> frozenset[Effect]:
        """Which of adds, drops, scores, orders it does."""
        ...

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """New slates for the B queries; `slates` has B lists, empty at the head of a pipeline."""
        ...


@runtime_checkable
class Part(Stage, Protocol):
    """A trained stage, immutable. A model called as a stage adds its best ``queries.wanted`` items."""

    def state(self) -> State:
        """Everything `Trainable.load` needs to give an equal part."""
        ...


class View(Protocol):
    """Read-only sight of the live or as-of state that a part may use while answering."""

    @property
    def catalogue(self) -> Catalogue:
        """The items as of now (live) or as of a time (replay)."""
        ...

    @property
    def people(self) -> Catalogue:
        """What users say of themselves, by user code, likewise; codes beyond it say nothing."""
        ...


@dataclass(frozen=True, slots=True)
class StillView:
    """A view that never changes: evaluation, replay, tests."""

    catalogue: Catalogue
    people: Catalogue = NOBODY

    @classmethod
    def of(cls, data: "Data") -> "StillView":
        """What a fit learned from."""
        return cls(data.catalogue, data.people)


@dataclass(frozen=True, slots=True)
class Edges:
    """Directed links between entities as outside ids: friends, citations, knowledge-graph triples.

    Shapes: (N,) each, `source` and `target` object arrays of ids, `weight` float32. `users`, `items` (N, 2)
    int32: the codes that source and target have as a user and as an item, -1 where they are none; an id may
    be both, so a model reads the pair that it is about.
    """

    source: Array
    relation: Array
    target: Array
    weight: Floats
    users: Array
    items: Array


@dataclass(frozen=True, slots=True)
class Examples:
    """Labelled candidates for a ranker: queries, slates with columns, and a label per candidate.

    Shapes: `labels` (N,) float32 beside ``slates.items``. Where it is known which actions labels stand for,
    slates have a column ``label:<action>`` (N,) for each of them, float32, 0 where `labels` is.
    """

    queries: Queries
    slates: Slates
    labels: Floats


@dataclass(frozen=True, slots=True)
class Holdout:
    """Held-out answers and the queries that ask for them.

    Shapes: B `queries`, one per test user, with the history known to the model, ``exclude`` = seen
    items, ``at`` = time of the target or of the cut; `targets` B lists of >= 1 item codes, `values`
    beside them (ratings or weights), float32.
    """

    queries: Queries
    targets: Ragged
    values: Ragged


@dataclass(frozen=True, slots=True)
class Data:
    """The tables as of a time.

    Shapes: `users` (U,) user code of each history; `histories` U lists with `HISTORY_COLUMNS`, oldest
    first; `at` UTC ms, later than all that is in it. `clock` is False where times are mere positions.
    `people`: what users say of themselves, by user code.
    `actions`, `scenarios`: names behind the action and scenario columns of the histories.
    """

    users: Codes
    histories: RaggedTable
    catalogue: Catalogue
    at: int
    clock: bool = True
    actions: tuple[str, ...] = ("interaction",)
    scenarios: tuple[str, ...] = ("",)
    edges: Edges | None = None
    examples: Examples | None = None
    people: Catalogue = NOBODY

    @property
    def size(self) -> int:
        """Number of item codes (I)."""
        return self.catalogue.size


class Progress(Protocol):
    """Makes a progress bar; silent where nobody looks."""

    def __call__(self, label: str, total: int) -> "ProgressBar":
        """A bar for `total` steps, to be used in a with statement."""
        ...


class ProgressBar(Protocol):
    """One running bar."""

    def __enter__(self) -> Self:
        """Shows the bar."""
        ...

    def __exit__(self, *failure: object) -> None:
        """Takes the bar away."""
        ...

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Moves on by `steps`; `note` stands beside the bar."""
        ...


class _Silent:
    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        return None

    def advance(self, steps: int = 1, note: str = "") -> None:
        """Does nothing."""


def silent(label: str, total: int) -> ProgressBar:
    """Progress that shows nothing."""
    return _Silent()


@dataclass(frozen=True, slots=True)
class Training:
    """What a training by gradient steps keeps on disk and may take; other fits look at none of it.

    `checkpoint`: folder it goes on from after a kill, written every `checkpoint_s` seconds; the curve is
    there too. `tensorboard`, `profile`: folders for event files and for a profiler's trace. `memory_mb`:
    most that the training itself may allocate at once, in 10^6 bytes.
    """

    checkpoint: Path | None = None
    checkpoint_s: float = 60.0
    tensorboard: Path | None = None
    profile: Path | None = None
    memory_mb: float | None = None


@dataclass(frozen=True, slots=True)
class Run:
    """The circumstances of a fit or a load.

    `view`: what a part may look at while answering (None: the catalogue of the data). `validate`: how
    good a part is on held-out queries (higher is better), for early stopping; None: train all epochs.
    `holdout`: those queries and their answers, none of which the fitted data holds, for settings that are
    tuned and not trained; never the test part.
    `budget_s`: stop training in time for this many seconds of wall clock. `threads`: 0 = all, if they pay.
    `warnings` collects plain words, such as "stopped before it converged".
    """

    seed: int = 0
    view: View | None = None
    device: str = "cpu"
    threads: int = 0
    budget_s: float | None = None
    progress: Progress = silent
    validate: Callable[[Part], float] | None = None
    holdout: Holdout | None = None
    warnings: list[str] = field(default_factory=list)
    training: Training = Training()

    def rng(self) -> np.random.Generator:
        """A fresh generator from the seed."""
        return np.random.default_rng(self.seed)


P_co = TypeVar("P_co", bound=Part, covariant=True)


class Trainable(Protocol[P_co]):
    """A frozen config *is* the untrained part, so no "is fitted" flag exists."""

    def fit(self, data: Data, run: Run, warm: Any | None = None) -> P_co:
        """A part trained on `data`; `warm` is an older part of the same kind to start from."""
        ...

    def load(self, state: State, run: Run) -> P_co:
        """The part whose `state` this is. Raises BundleError when a tensor is missing or of wrong shape."""
        ...


@runtime_checkable
class ScoresAll(Protocol):
    """Can score every item for every query, for exact ranking and blends."""

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) float32, I = ``queries.allowed.size``; higher is better, -inf = can't score.

        Rules and exclusions are *not* applied here: the caller does, once.
        """
        ...


@runtime_checkable
class Embeds(Protocol):
    """Has item and query vectors whose inner product is the score."""

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) and their vectors (R, D)."""
        ...

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D); a row of zeros for an empty history."""
        ...


@runtime_checkable
class Encodes(Protocol):
    """Reads each history once, into one vector; retriever and ranker share it within a request.

    It is kept by `core.memo.remember` under the part and the queries, so whoever asks again while a memo is
    open gets the same array. More may stand behind a score than this vector: see `Embeds`.
    """

    def encode(self, queries: Queries) -> Floats:
        """(B, D) what each history leads to; a row of zeros where no event of it is known."""
        ...


@runtime_checkable
class Rates(Protocol):
    """Foretells the value of an event, such as a rating, in its own unit."""

    def rate(self, queries: Queries, items: Ragged) -> Floats:
        """(N,) beside ``items.values``, B lists of codes of which any may be unknown."""
        ...


@runtime_checkable
class Explains(Protocol):
    """Can name the history item that spoke most for a candidate."""

    def because(self, queries: Queries, slates: Slates) -> Codes:
        """(N,) code of the history item behind each candidate; -1 where there is none."""
        ...


@contextmanager
def bars(progress: Progress, label: str, steps: Iterable[Any], total: int) -> Iterator[Iterator[Any]]:
    """Iterate `steps` under a progress bar."""
    with progress(label, total) as bar:

        def walk() -> Iterator[Any]:
            for step in steps:
                yield step
                bar.advance()

        yield walk()


__all__ = [
    "Data",
    "Edges",
    "Effect",
    "Embeds",
    "Encodes",
    "Examples",
    "Explains",
    "Holdout",
    "Part",
    "Progress",
    "ProgressBar",
    "Ragged",
    "Rates",
    "Run",
    "ScoresAll",
    "Stage",
    "State",
    "StillView",
    "Trainable",
    "Training",
    "View",
    "bars",
    "silent",
]
