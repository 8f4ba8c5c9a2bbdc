"""A cross-encoder: what was asked and a candidate read as one text.

Legend: N pairs.
"""

from typing import ClassVar

from torch import Tensor

from polyscene.nn.lessons import Judged, slate_loss
from polyscene.rank.encoder import Encoder


class CrossEncoder(Encoder, frozen=True, kw_only=True, tag="cross_encoder"):
    """Candidates of one slate against each other, by how well their text goes with the query's.

    What was typed is the query, where the request's context has a ``query``; else the history is. Learned
    by the softmax over the candidates taught of each slate, so that only their order counts and no chance
    is promised. See `Encoder` and `Language`.

    Source: Nogueira and Cho 2019, "Passage re-ranking with BERT"; the loss of Gao, Dai and Callan 2021.
    """

    searches: ClassVar[bool] = True

    def loss(self, scores_N: Tensor, batch: Judged) -> Tensor:
        """See `slate_loss`."""
        return slate_loss(scores_N, batch)
