"""A compressed model: one model in a smaller or quicker form."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Protocol, runtime_checkable

import msgspec

from polyscene.compress.methods import Distil, Int8, Methods, PruneLinks, TensorMethods
from polyscene.core.arrays import Codes, Floats, Scores
from polyscene.core.config import Config, kind_of, read, with_settings
from polyscene.core.contracts import Data, Effect, Embeds, Part, Run, State
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.lean.folder import Leans
from polyscene.lean.model import LeanModel
from polyscene.lean.packing import unpacked
from polyscene.models.table import KINDS
from polyscene.rank.members import Scorer, scorer, trainable


@runtime_checkable
class Distils(Protocol):
    """A config that can learn from a fitted model of its kind."""

    def distil(self, elder: Any, data: Data, run: Run, weight: float) -> Part:
        """As its `fit`, but what the elder expects counts `weight` beside what came."""
        ...


def _default() -> Config:
    return read(KINDS, {"kind": "foundation"}, "compressed.of")


class Compressed(Config, frozen=True, kw_only=True, tag="compressed"):
    """A model of any kind, and what makes it smaller: `methods`, applied in their order.

    A model with a whole lean form (sasrec; foundation without content) answers in that form, without torch,
    in the packed tensors where that saves work. Any other is kept packed and answers as floats as it always
    did. `states_mb` is what a lean form may keep of what it read, as in `foundation`.

    Source: none; see the methods (`compress/methods.py`).
    """

    of: Config = msgspec.field(default_factory=_default)
    methods: tuple[Methods, ...] = (PruneLinks(), Int8())
    states_mb: Annotated[float, msgspec.Meta(ge=0)] = 64.0

    def __post_init__(self) -> None:
        if not self.methods:
            raise ConfigError("compressed: there is no method; name at least one")
        kinds = [isinstance(method, Distil) for method in self.methods]
        if sorted(kinds, reverse=True) != kinds or sum(kinds) > 1:
            raise ConfigError("compressed: 'distil' makes a new model, so it comes first and but once")

    def fit(self, data: Data, run: Run, warm: Scorer | None = None) -> "Scorer":
        """The model fitted, then compressed; an older compressed one lends nothing.

        Raises:
            ConfigError: A method finds nothing to work on, or the model's own fit refuses.
        """
        return self.shrink(trainable(self.of).fit(data, run), data, run)

    def shrink(self, part: Part, data: Data | None, run: Run) -> "Scorer":
        """A fitted part of `of` in its smaller form; `data` is what it was fitted on, for 'distil' alone.

        Raises:
            ConfigError: As `fit`.
        """
        if isinstance(self.methods[0], Distil):
            part = self._taught(part, self.methods[0].weight, data, run)
        state = self._whole(part, run)
        rows = len(state.tensors.get("codes", ()))
        tensors = dict(state.tensors)
        for method in self.methods:
            if isinstance(method, TensorMethods):
                tensors = method(tensors, rows)
        return self.load(State(tensors, state.meta), run)

    def load(self, state: State, run: Run) -> "Scorer":
        """The part as it was saved. Raises BundleError when a tensor is missing or of another shape."""
        if "form" in state.meta:
            lean = LeanModel.of(state)
            if self.states_mb and lean.backbone.ages is None:
                lean = lean.remembering(self.states_mb)
            return lean
        try:
            floats = unpacked(state.tensors)
        except (KeyError, ValueError) as problem:
            raise BundleError(
                f"compressed: tensor {problem} is missing or wrong; compress the model again"
            ) from problem
        inner = scorer(trainable(self.small).load(State(floats, state.meta), run), self.small)
        kind = EmbeddingPackedPart if isinstance(inner, Embeds) else PackedPart
        return kind(inner, state)

    @property
    def small(self) -> Config:
        """The config of the model that is kept: `of`, or the student of 'distil'."""
        first = self.methods[0]
        if not isinstance(first, Distil):
            return self.of
        settings = {name: msgspec.json.encode(value).decode() for name, value in first.set.items()}
        return with_settings(self.of, settings, "distil.set", KINDS)

    def _taught(self, part: Part, weight: float, data: Data | None, run: Run) -> Part:
        student = self.small
        if not isinstance(student, Distils):
            raise ConfigError(
                f"distil: {kind_of(student)!r} can't learn from another model; foundation and sasrec can"
            )
        if data is None:
            raise ConfigError("distil: wants the data that the model was fitted on")
        return student.distil(part, data, run, weight)

    def _whole(self, part: Part, run: Run) -> State:
        """The state of the form that will answer."""
        state = part.state()
        loaded = trainable(self.small).load(state, run) if isinstance(part, Leans) else part
        if isinstance(loaded, Leans) and loaded.lean is not None and loaded.lean_is_whole:
            return loaded.lean.state()
        return state


@dataclass(frozen=True, slots=True, eq=False)
class PackedPart:
    """A part that is kept in packed tensors and answers from floats."""

    inner: Scorer
    packed: State
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items that the model adds."""
        return self.inner(queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """See `ScoresAll.score_all`."""
        return self.inner.score_all(queries)

    def state(self) -> State:
        """The packed tensors."""
        return self.packed


class EmbeddingPackedPart(PackedPart):
    """One whose score is the inner product of two vectors."""

    inner: Any

    def item_vectors(self) -> tuple[Codes, Floats]:
        """See `Embeds.item_vectors`."""
        found: tuple[Codes, Floats] = self.inner.item_vectors()
        return found

    def query_vectors(self, queries: Queries) -> Floats:
        """See `Embeds.query_vectors`."""
        vectors_BD: Floats = self.inner.query_vectors(queries)
        return vectors_BD
