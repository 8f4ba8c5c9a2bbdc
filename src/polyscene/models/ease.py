"""EASE: every item's score is a linear function of the items in the history, solved in closed form."""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from msgspec import Meta

from polyscene.core.answer import answer
from polyscene.core.arrays import Array, Codes, Floats, Scores
from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.reasons import strongest
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn.gram import ease_weights, gram
from polyscene.nn.products import product


class Ease(Config, frozen=True, kw_only=True, tag="ease"):
    """Item-item weights that best rebuild every history from its other items; exact, no iterations.

    Needs memory and time for a dense matrix over the items touched in training: 8 bytes a cell while
    fitting, 4 afterwards. Of more than `max_items` the most touched get weights; the others, items never
    touched, and queries whose history holds no item with weights are left unscored.

    Source: Steck, "Embarrassingly Shallow Autoencoders for Sparse Data" (2019). The inverse is taken in
    float32 where a bound on the condition number allows (weights within 1e-5 on ML-1M), else in float64.
    """

    l2: Annotated[float, Meta(gt=0)] = 500.0
    max_items: Annotated[int, Meta(gt=0)] = 20_000

    def fit(self, data: Data, run: Run, warm: "EasePart | None" = None) -> "EasePart":
        """Solves for the weights."""
        touched, counts = np.unique(data.histories["item"], return_counts=True)
        if len(touched) > self.max_items:
            most = np.argsort(-counts, kind="stable")[: self.max_items]
            run.warnings.append(
                f"ease: of {len(touched)} items touched, the {self.max_items} most touched have weights; "
                "raise max_items for more (8 bytes a pair), or use item_knn for all"
            )
            touched = touched[np.sort(most)]
        rows = Rows(touched)
        return EasePart(rows, ease_weights(gram(data.histories, rows), self.l2))

    def load(self, state: State, run: Run) -> "EasePart":
        """The weights as they were saved."""
        return EasePart(Rows(state.tensors["codes"]), state.tensors["weights"])


@dataclass(frozen=True, slots=True)
class EasePart:
    """Shapes: `weights` (R, R); a history item's row is what it adds to every score."""

    rows: Rows
    weights: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the largest sum of weights."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) sums of the weights of the history's distinct items."""
        history_BR = interactions(queries.history, self.rows)
        scores_BR = product(history_BR, self.weights)
        scores_BR[np.diff(history_BR.indptr) == 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def because(self, queries: Queries, slates: Slates) -> Codes:
        """(N,) the history item with the largest positive weight for each candidate."""
        return strongest(queries, slates, self._shares)

    def state(self) -> State:
        """The weights and the codes of their rows."""
        return State({"codes": self.rows.codes, "weights": self.weights})

    def _shares(self, history: Codes, candidates: Codes) -> Array:
        from_rows, to_rows = self.rows.of(history), self.rows.of(candidates)
        known = (from_rows >= 0)[:, None] & (to_rows >= 0)
        return np.where(known, self.weights[from_rows[:, None], to_rows] if len(self.rows) else 0.0, 0.0)
