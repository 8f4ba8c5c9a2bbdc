"""LambdaMART: boosted trees over the features of the linear ranker."""

from dataclasses import dataclass
from typing import Annotated, Any, ClassVar, Literal

import msgspec
import numpy as np

from polyscene.core.arrays import Array, Floats
from polyscene.core.config import Config, read
from polyscene.core.contracts import Data, Effect, Examples, Run, State, StillView, View
from polyscene.core.errors import BundleError, ConfigError, nearest
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.convert import CONVERTERS, Conversion, fit_conversion
from polyscene.nn import machine
from polyscene.nn.trained import Positive, Share
from polyscene.rank.examples import BLOCK, drawn
from polyscene.rank.features import Facts, features, names, numbers
from polyscene.rank.interaction import LEAST_HELD
from polyscene.rank.trees import Grouped, Trees, grown


class LambdaMart(Config, frozen=True, kw_only=True, tag="lambdamart"):
    """Orders candidates by boosted trees, grown so that what came next stands high: nDCG of each slate.

    Learns from labelled slates (``Data.examples``): of each slate that holds a label, the labelled
    candidates compete with `negatives` others drawn by chance. The share `held_out` of these slates is kept
    back, and the trees end where their nDCG@10 has not risen for `patience` trees. A leaf holds at least
    `leaf_rows` candidates; a split is looked for among the share `columns` of the features, drawn anew for
    each tree. `monotone`: features (`LambdaMartPart.weights` names them) that may only raise (1) or lower
    (-1) a score. `attributes` as in the linear ranker.

    Source: Burges 2010, "From RankNet to LambdaRank to LambdaMART"; grown by LightGBM (Ke et al. 2017).
    """

    needs_examples: ClassVar[bool] = True

    trees: Positive = 400
    leaves: Annotated[int, msgspec.Meta(ge=2)] = 4
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.05
    leaf_rows: Positive = 200
    l2: Annotated[float, msgspec.Meta(ge=0)] = 10.0
    columns: Annotated[float, msgspec.Meta(gt=0, le=1)] = 0.8
    negatives: Positive = 100
    held_out: Share = 0.1
    patience: Positive = 40
    monotone: dict[str, Literal[-1, 1]] = msgspec.field(default_factory=dict)
    attributes: dict[str, dict[str, Any]] = msgspec.field(default_factory=dict)

    def __post_init__(self) -> None:
        for name, plan in self.attributes.items():
            read(CONVERTERS, plan, f"lambdamart.attributes.{name}")

    def fit(self, data: Data, run: Run, warm: "LambdaMartPart | None" = None) -> "LambdaMartPart":
        """The trees. Raises ConfigError without examples, without LightGBM, or for an unknown feature."""
        if data.examples is None:
            raise ConfigError(
                "lambdamart: there are no labelled examples; put it behind a retriever in a scenario"
            )
        facts = self._facts(data, data.examples)
        named = names(facts.sources, self.attributes)
        for name in self.monotone:
            if name not in named:
                raise ConfigError(f"lambdamart.monotone: no feature {name!r}{nearest(name, named)}")
        rows = self._taught(data.examples, facts, run)
        if not len(rows.labels):
            run.warnings.append("lambdamart: no candidate was what came next; it follows its sources alone")
        trees = Trees(self._grow(rows, named, run)) if len(rows.labels) else None
        known = Known(facts.sources, facts.popularity, facts.attributes, trees)
        return LambdaMartPart(known, run.view or StillView.of(data))

    def load(self, state: State, run: Run) -> "LambdaMartPart":
        """The trees as saved. Raises BundleError when something is missing, ConfigError without a view."""
        if run.view is None:
            raise ConfigError("lambdamart: loading needs Run(view=...), the catalogue it reads ages from")
        for name in ("popularity", "trees"):
            if name not in state.tensors:
                raise BundleError(f"lambdamart: tensor {name!r} is missing; fit the scenario again")
        attributes = Conversion.load(unpack(state, "attributes"))
        sources = tuple(state.meta.get("sources", ()))
        text = state.tensors["trees"].tobytes().decode()
        trees = Trees(text) if text else None
        if trees is not None and trees.width != len(names(sources, attributes.plan)):
            raise BundleError("lambdamart: the trees do not belong to its sources; fit the scenario again")
        return LambdaMartPart(Known(sources, state.tensors["popularity"], attributes, trees), run.view)

    def _facts(self, data: Data, examples: Examples) -> Facts:
        counts = np.bincount(data.histories["item"], minlength=data.size)
        every = np.arange(data.size, dtype=np.int32)
        columns = numbers(data.catalogue, self.attributes, every)
        return Facts(
            sources=tuple(sorted(name[5:] for name in examples.slates.columns if name[:5] == "rank:")),
            popularity=np.log1p(counts).astype(np.float32),
            catalogue=data.catalogue,
            attributes=fit_conversion(self.attributes, columns, counts > 0),
        )

    def _taught(self, examples: Examples, facts: Facts, run: Run) -> Grouped:
        """The drawn candidates of every slate that holds a label."""
        width = len(names(facts.sources, self.attributes))
        values, labels = [np.zeros((0, width), np.float32)], [np.zeros(0, np.float32)]
        lists, count = [np.zeros(0, np.int64)], 0
        for queries, block, wanted, chosen in drawn(examples, self.negatives, run.rng()):
            values.append(features(queries, block, facts)[chosen])
            labels.append(wanted[chosen])
            lists.append(count + block.rows()[chosen])
            count += len(block)
        return Grouped(np.concatenate(values), np.concatenate(labels), np.concatenate(lists))

    def _grow(self, rows: Grouped, named: list[str], run: Run) -> str:
        held = run.rng().random(int(rows.lists.max()) + 1) < self.held_out
        judged = None
        if held.sum() >= LEAST_HELD:
            judged = rows.take(np.flatnonzero(held[rows.lists]))
            rows = rows.take(np.flatnonzero(~held[rows.lists]))
        settings = {
            "objective": "lambdarank",
            "metric": "ndcg",
            "eval_at": [10],
            "num_iterations": self.trees,
            "early_stopping_round": self.patience,
            "num_leaves": self.leaves,
            "learning_rate": self.learning_rate,
            "min_data_in_leaf": self.leaf_rows,
            "lambda_l2": self.l2,
            "feature_fraction": self.columns,
            "monotone_constraints": [self.monotone.get(name, 0) for name in named],
            "seed": run.seed,
            "deterministic": True,
            "force_row_wise": True,
            "num_threads": run.threads or machine.paying_threads(),
            "verbosity": -1,
        }
        return grown(rows, judged, settings, run, "lambdamart")


@dataclass(frozen=True, slots=True)
class Known:
    """What was learned; no trees where nothing was labelled. Shapes: `popularity` (n,) as in `Facts`."""

    sources: tuple[str, ...]
    popularity: Floats
    attributes: Conversion
    trees: Trees | None


class LambdaMartPart:
    """Grown trees, with a view for the age and attributes of items; without any, places order."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.SCORES, Effect.ORDERS})

    def __init__(self, known: Known, view: View) -> None:
        self.known, self.view = known, view

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates, best first; ties go to the lower code."""
        known = self.known
        facts = Facts(known.sources, known.popularity, self.view.catalogue, known.attributes)
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(queries), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(queries)))
            few = len(rows) == len(queries)
            block, about = (slates, queries) if few else (slates.take(rows), queries.take(rows))
            parts.append(self._scores(features(about, block, facts)))
        return slates.scored(np.concatenate(parts)).ordered()

    def weights(self) -> dict[str, float]:
        """The share of each feature in all that the trees' splits gained; they sum to 1, or to 0."""
        gains = np.zeros(len(self._names())) if self.known.trees is None else self.known.trees.gains()
        return {name: round(float(gain), 6) for name, gain in zip(self._names(), gains, strict=True)}

    def state(self) -> State:
        """The trees as LightGBM's text, scalings, and the popularity of items as of the fit."""
        known = self.known
        scaling = pack({"attributes": known.attributes})
        text = "" if known.trees is None else known.trees.text
        kept: Array = np.frombuffer(text.encode(), np.uint8)
        tensors = {"popularity": known.popularity, "trees": kept, **scaling.tensors}
        return State(tensors, {"sources": list(known.sources), **scaling.meta})

    def _names(self) -> list[str]:
        return names(self.known.sources, self.known.attributes.plan)

    def _scores(self, values_NF: Floats) -> Floats:
        if self.known.trees is not None:
            return self.known.trees(values_NF)
        places = [name.startswith("place:") for name in self._names()]
        sums: Floats = values_NF[:, places].sum(1)
        return sums
