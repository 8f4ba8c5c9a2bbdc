"""Items that nobody has touched yet: what their content earns them.

Legend: B queries, D width, N new items, R item rows of the part.
"""

from typing import Annotated

import msgspec
import numpy as np
from scipy import sparse

from polyscene.core.arrays import Floats, Scores

SHARPNESS = 8.0
"""Power of the cosine by which likeness counts."""
FLOOR = 80.0
"""Logits this far below the best lend nothing: their chance is no float32 beside it."""
PLAY_NEW = 10
"""One row in so many plays new when the margin is set."""
QUESTIONS = 500
"""Histories on which the margin is set."""


class Newcomers(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How an item without events is ranked.

    Its chance is the mean chance of its `neighbours` most alike known items, times what its own vector
    tells to the power of `own`. Alike is what learning made alike: the cosine of the vectors that items
    have by content alone. A margin sets how much new items get in all: `share` times what as many known
    items get, found on known items that play new. With 1 their scores mean what others' do; above it they
    are tried more, at others' cost.

    Source: ours (docs/adr/0017).
    """

    neighbours: Annotated[int, msgspec.Meta(ge=1)] = 10
    own: Annotated[float, msgspec.Meta(ge=0)] = 0.5
    share: Annotated[float, msgspec.Meta(gt=0)] = 1.0

    def likeness(self, new_ND: Floats, known_RD: Floats) -> sparse.csr_matrix:
        """(N, R) how much each known item speaks for each new one; a row sums to 1, or 0 if none does."""
        if not len(new_ND) or not len(known_RD):
            return sparse.csr_matrix((len(new_ND), len(known_RD)), dtype=np.float32)
        middle_D = known_RD.mean(0)
        cosine_NR = _unit(new_ND - middle_D) @ _unit(known_RD - middle_D).T
        count = min(self.neighbours, cosine_NR.shape[1])
        nearest_NK = np.argpartition(-cosine_NR, count - 1, axis=1)[:, :count]
        weights_NK = np.maximum(np.take_along_axis(cosine_NR, nearest_NK, 1), 0) ** SHARPNESS
        weights_NK /= np.maximum(weights_NK.sum(1, keepdims=True), 1e-12)
        offsets = np.arange(len(new_ND) + 1) * weights_NK.shape[1]
        return sparse.csr_matrix(
            (weights_NK.ravel(), nearest_NK.ravel().astype(np.int32), offsets), cosine_NR.shape
        )

    def scores(self, scores_BR: Scores, likeness_NR: sparse.csr_matrix, own_BN: Scores) -> Scores:
        """(B, N) scores on the scale of `scores_BR`, before the margin; `own_BN` by their own vectors."""
        best_B1 = scores_BR.max(1, keepdims=True)
        chances_RB = np.exp(np.maximum(scores_BR - best_B1, -FLOOR)).T
        lent_BN = np.log(np.maximum(likeness_NR @ chances_RB, np.exp(-FLOOR))).T + best_B1
        mixed: Scores = (lent_BN + self.own * own_BN).astype(np.float32)
        return mixed

    def margin(
        self, scores_BR: Scores, pseudo_RD: Floats, vectors_BD: Floats, popularity_R: Floats, seed: int
    ) -> float:
        """What is added to new items' scores so that they get their share.

        `scores_BR` of known items, -inf for what must not be asked for; `pseudo_RD` the vectors that these
        would have were they new; `popularity_R` log share of each.
        """
        R = len(pseudo_RD)
        if R < 2 or not len(scores_BR):
            return 0.0
        plays = np.zeros(R, bool)
        plays[np.random.default_rng(seed).permutation(R)[: max(1, R // PLAY_NEW)]] = True
        open_B = np.isfinite(scores_BR[:, ~plays]).any(1)  # who touched all of these tells nothing
        if not open_B.any():
            return 0.0
        scores_BR, vectors_BD = scores_BR[open_B], vectors_BD[open_B]
        old_BR = scores_BR[:, ~plays]
        new_BN = self.scores(
            old_BR,
            self.likeness(pseudo_RD[plays], pseudo_RD[~plays]),
            vectors_BD @ pseudo_RD[plays].T,
        )
        new_BN = np.where(np.isneginf(scores_BR[:, plays]), -np.inf, new_BN)
        best_B1 = np.maximum(old_BR.max(1), new_BN.max(1))[:, None]
        old_B, new_B = (np.exp(each - best_B1).sum(1, dtype=np.float64) for each in (old_BR, new_BN))
        aim = min(self.share * float(np.exp(popularity_R[plays]).sum()), 0.9)
        low, high = -20.0, 20.0
        for _ in range(40):
            middle = (low + high) / 2
            raised_B = new_B * np.exp(middle)
            low, high = (middle, high) if (raised_B / (old_B + raised_B)).mean() < aim else (low, middle)
        return (low + high) / 2


def _unit(x_ND: Floats) -> Floats:
    unit: Floats = x_ND / np.maximum(np.linalg.norm(x_ND, axis=1, keepdims=True), 1e-9)
    return unit
