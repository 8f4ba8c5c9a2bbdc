"""A linear ranker: how much each source and a few plain facts weigh, learned from labelled slates."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Floats, offsets_of
from polyscene.core.config import Config, read
from polyscene.core.contracts import Data, Effect, Examples, Run, State, StillView, View
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.convert import CONVERTERS, Conversion, fit_conversion
from polyscene.rank.examples import BLOCK, drawn
from polyscene.rank.features import Facts, features, names, numbers
from polyscene.rank.logit import conditional_logit


class LinearRanker(Config, frozen=True, kw_only=True, tag="linear_ranker"):
    """Orders candidates by a weighted sum of `features`, fitted so that what came next stands first.

    Learns from labelled slates (``Data.examples``): of each slate, the labelled candidates compete with
    `negatives` others drawn by chance; the log likelihood of the labelled one is maximised with an `l2`
    penalty. Slates where no candidate has a label teach nothing and are left out. `attributes` names
    numbers of the items that shall count too, each with its scaling: ``{ price = { kind = "log" } }``;
    the scaling is learned from items with events and kept in the bundle.

    Source: McFadden, Conditional Logit Analysis, 1974 (the listwise softmax of Cao et al., 2007).
    """

    needs_examples: ClassVar[bool] = True

    l2: Annotated[float, msgspec.Meta(ge=0)] = 1e-3
    negatives: Annotated[int, msgspec.Meta(ge=1)] = 100
    epochs: Annotated[int, msgspec.Meta(ge=1)] = 200
    attributes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, plan in self.attributes.items():
            read(CONVERTERS, plan, f"linear_ranker.attributes.{name}")

    def fit(self, data: Data, run: Run, warm: "LinearRankerPart | None" = None) -> "LinearRankerPart":
        """Weights by L-BFGS, at most `epochs` steps. Raises ConfigError without examples."""
        if data.examples is None:
            raise ConfigError(
                "linear_ranker: there are no labelled examples; put it behind a retriever in a scenario"
            )
        view = run.view or StillView.of(data)
        counts = np.bincount(data.histories["item"], minlength=data.size)
        popularity = np.log1p(counts).astype(np.float32)
        sources = tuple(
            sorted(n.removeprefix("rank:") for n in data.examples.slates.columns if n[:5] == "rank:")
        )
        facts = Facts(sources, popularity, data.catalogue, self._conversion(data, counts))
        values_NF, labels, offsets = self._training(data.examples, facts, run.rng())
        if not len(labels):
            run.warnings.append(
                "linear_ranker: no candidate was what came next; it follows its sources alone"
            )
            mean, spread = np.zeros(values_NF.shape[1]), np.ones(values_NF.shape[1])
            named = names(sources, self.attributes)
            weights = np.array([name.startswith("place:") for name in named], np.float64)
        else:
            mean, spread = values_NF.mean(0), values_NF.std(0)
            spread = np.where(spread < 1e-6, 1, spread)
            values_NF = (values_NF - mean) / spread
            weights = conditional_logit(values_NF, labels, offsets, l2=self.l2, steps=self.epochs)
        fitted = (mean.astype(np.float32), (weights / spread).astype(np.float32))
        return LinearRankerPart(Model(sources, popularity, *fitted, facts.attributes), view)

    def load(self, state: State, run: Run) -> "LinearRankerPart":
        """The weights as saved. Raises BundleError when one is missing, ConfigError without a view."""
        if run.view is None:
            raise ConfigError(
                "linear_ranker: loading needs Run(view=...), the catalogue it reads ages from"
            )
        sources = tuple(state.meta.get("sources", ()))
        for name in ("popularity", "mean", "weights"):
            if name not in state.tensors:
                raise BundleError(f"linear_ranker: tensor {name!r} is missing; fit the scenario again")
        attributes = Conversion.load(unpack(state, "attributes"))
        if len(state.tensors["weights"]) != len(names(sources, attributes.plan)):
            raise BundleError(
                "linear_ranker: the weights do not belong to its sources; fit the scenario again"
            )
        popularity, mean, weights = (state.tensors[name] for name in ("popularity", "mean", "weights"))
        return LinearRankerPart(Model(sources, popularity, mean, weights, attributes), run.view)

    def _conversion(self, data: Data, counts: Array) -> Conversion:
        """Scalings of the attributes, by the items that have events."""
        columns = numbers(data.catalogue, self.attributes, np.arange(data.size, dtype=np.int32))
        return fit_conversion(self.attributes, columns, counts > 0)

    def _training(
        self, examples: Examples, facts: Facts, rng: np.random.Generator
    ) -> tuple[Floats, Floats, NDArray[np.int64]]:
        """Features (N, F) and labels (N,) of the drawn candidates, and where each slate starts."""
        width = len(names(facts.sources, self.attributes))
        values, kept, lengths = [np.zeros((0, width), np.float32)], [], []
        for queries, block, labels, chosen in drawn(examples, self.negatives, rng):
            values.append(features(queries, block, facts)[chosen])
            kept.append(labels[chosen])
            lengths.append(np.bincount(block.rows()[chosen], minlength=len(block)))
        if not kept:
            return values[0], np.zeros(0, np.float32), np.zeros(1, np.int64)
        return np.concatenate(values), np.concatenate(kept), offsets_of(np.concatenate(lengths))


@dataclass(frozen=True, slots=True)
class Model:
    """What was learned. Shapes: `popularity` (n,), `mean` and `weights` (F,) of the features."""

    sources: tuple[str, ...]
    popularity: Floats
    mean: Floats
    weights: Floats
    attributes: Conversion


class LinearRankerPart:
    """The learned weights, with a view for the age and attributes of items."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.SCORES, Effect.ORDERS})

    def __init__(self, model: Model, view: View) -> None:
        self.model = model
        self.view = view

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates, best first; ties go to the lower code."""
        model = self.model
        facts = Facts(model.sources, model.popularity, self.view.catalogue, model.attributes)
        return slates.scored(self._scores(queries, slates, facts)).ordered()

    def _scores(self, queries: Queries, slates: Slates, facts: Facts) -> Floats:
        # Row by row in blocks, so that a large batch needs no more memory than a small one.
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(queries), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(queries)))
            few = len(rows) == len(queries)
            block, about = (slates, queries) if few else (slates.take(rows), queries.take(rows))
            values_NF = features(about, block, facts)
            parts.append(((values_NF - self.model.mean) * self.model.weights).sum(1))
        return np.concatenate(parts)

    def weights(self) -> dict[str, float]:
        """What one unit of each feature adds to the score."""
        known = names(self.model.sources, self.model.attributes.plan)
        return {
            name: round(float(weight), 6) for name, weight in zip(known, self.model.weights, strict=True)
        }

    def state(self) -> State:
        """Weights, scalings and the popularity of items as of the fit."""
        model = self.model
        scaling = pack({"attributes": model.attributes})
        tensors = {"popularity": model.popularity, "mean": model.mean, "weights": model.weights}
        meta = {"sources": list(model.sources), **scaling.meta}
        return State({**tensors, **scaling.tensors}, meta)
