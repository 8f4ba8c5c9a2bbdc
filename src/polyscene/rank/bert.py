"""BERT as a ranker: how likely an action is, from "history, item, action" read as text.

Legend: N pairs.
"""

from torch import Tensor
from torch.nn import functional

from polyscene.nn.lessons import Judged
from polyscene.rank.encoder import Encoder
from polyscene.rank.language import Count


class Bert(Encoder, frozen=True, kw_only=True, tag="bert"):
    """Candidates by the chance that the action follows, learned pair by pair as a yes or no.

    A score is a logit; its chance is that among candidates drawn as the taught ones were, `negatives` to
    each label. See `Encoder` for what is read before, and `Language` for what is told; ``reading = 0``
    leaves the domain's language unread. Items put after the fit are read as any other.

    Source: Devlin et al. 2019, "BERT"; as a recommender: Qiu et al. 2021, "U-BERT", and Penha and Hauff
    2020. Ours starts the score from next-sentence prediction instead of a new head.
    """

    reading: Count = 2_000

    def loss(self, scores_N: Tensor, batch: Judged) -> Tensor:
        """Mean binary cross-entropy of all pairs."""
        return functional.binary_cross_entropy_with_logits(scores_N, batch.labels)
