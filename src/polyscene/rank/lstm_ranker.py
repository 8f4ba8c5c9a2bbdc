"""LSTM ranker: the past read in order by two recurrent layers, then the candidate beside what they say.

Legend: B rows, M fields, D width, L places of the past, Q distinct pasts, H width of the second layer.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.fields import Batch, FieldVectors, Plan
from polyscene.nn.layers import Dropout, linear
from polyscene.nn.recurrent import recurrent
from polyscene.nn.trained import Positive
from polyscene.rank.interaction import Dense


class LstmRanker(Dense, frozen=True, kw_only=True, tag="lstm_ranker"):
    """Dense layers that also read the newest state of two LSTM layers over the last `max_len` items.

    `states`: widths of the two, the wide one below; `dropout` is behind each of them as behind each dense
    layer. The past does not depend on the candidate, so candidates of one history share its state. It is
    read from the codes' vectors, so these are not drawn to zero by default.

    Source: Hochreiter and Schmidhuber 1997 (LSTM), stacked as is usual in classifiers of clicks.
    """

    codes_l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    states: tuple[Positive, Positive] = (128, 64)
    max_len: Annotated[int, msgspec.Meta(ge=1, le=1_000)] = 20

    @property
    def places(self) -> int:
        """`max_len`."""
        return self.max_len

    def network(self, plan: Plan, chance: torch.Generator) -> "Network":
        """Recurrent layers over the past, and the dense ones."""
        return Network(self, plan, chance)


class Network(nn.Module):
    """Fields and the state of the past through dense layers."""

    def __init__(self, config: LstmRanker, plan: Plan, chance: torch.Generator) -> None:
        super().__init__()
        wide, narrow = config.states
        self.vectors = FieldVectors(plan, config.dim, chance)
        self.drop = Dropout(config.dropout, chance)
        self.wide = recurrent("lstm", config.dim, wide, 1, chance)
        self.narrow = recurrent("lstm", wide, narrow, 1, chance)
        self.layers = config.layers(plan.fields * config.dim + narrow, chance)
        self.output = linear(self.layers.width, 1, chance)

    def forward(self, batch: Batch) -> Tensor:
        """(B,) logits."""
        past_QL, owner_B = torch.unique(batch.past, dim=0, return_inverse=True)
        state_BH = self._state(past_QL)[owner_B]
        x_BX = torch.cat([self.vectors(batch).flatten(1), state_BH], 1)
        logits_B: Tensor = self.output(self.layers(x_BX))[:, 0]
        return logits_B

    def _state(self, past_QL: Tensor) -> Tensor:
        """(Q, H) after the newest event of each past; zeros where it has none."""
        counts_Q1 = (past_QL > 0).sum(1, keepdim=True)
        # Events stand at the end of their places; an LSTM that began with the empty ones would count them.
        place_L = torch.arange(past_QL.shape[1], device=past_QL.device)
        past_QL = past_QL.gather(1, (place_L - counts_Q1) % past_QL.shape[1])
        wide_QLX = self.drop(self.wide(functional.embedding(past_QL, self.vectors.codes))[0])
        narrow_QLH = self.narrow(wide_QLX)[0]
        newest_QH = narrow_QLH[torch.arange(len(past_QL), device=past_QL.device), counts_Q1[:, 0] - 1]
        state_QH: Tensor = self.drop(newest_QH * (counts_Q1 > 0))
        return state_QH
