"""Item vectors from identity and content: what was trained on has both, what came later content alone.

Legend: R item rows, N items, C content dimensions, D width, F hidden width.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.layers import linear, table


class ItemTable(nn.Module):
    """A vector per item row: its id's and its projected content's; without content it is the id table.

    In training, a share `id_dropout` of the rows has the vector of an unknown id in place of its own, drawn
    anew at every step, so that content learns to stand alone and what no content tells (how popular a
    new item is, where its logit stands against those of known ones) is learned from items that play new.
    `content_RC` is input, not state: a part that loads its weights gives it again.

    Source: the DropoutNet idea (Volkovs et al. 2017) on the item table of a sequence model.
    """

    content: Tensor | None

    def __init__(
        self,
        rows: int,
        dim: int,
        chance: torch.Generator,
        content_RC: Tensor | None = None,
        id_dropout: float = 0.0,
    ) -> None:
        super().__init__()
        self.ids = table(rows, dim, chance)
        self.id_dropout, self.chance = id_dropout, chance
        self.register_buffer("content", content_RC, persistent=False)
        if content_RC is not None:
            self.unknown = nn.Parameter(torch.zeros(dim, device=chance.device))
            self.hidden = linear(content_RC.shape[1], 2 * dim, chance)
            self.output = linear(2 * dim, dim, chance, bias=False)
            nn.init.zeros_(self.output.weight)

    def forward(self) -> Tensor:
        """(R, D) all rows; made once per step, for input and output alike."""
        if self.content is None:
            return self.ids
        ids_RD: Tensor = self.ids
        if self.training and self.id_dropout:
            draws_R1 = torch.rand(len(ids_RD), 1, generator=self.chance, device=ids_RD.device)
            ids_RD = torch.where(draws_R1 < self.id_dropout, self.unknown, ids_RD)
        return ids_RD + self._project(self.content)

    def cold(self, content_NC: Tensor) -> Tensor:
        """(N, D) vectors of items never trained on; with no content table, zeros (N, D)."""
        if self.content is None:
            return self.ids.new_zeros(len(content_NC), self.ids.shape[1])
        return self.unknown + self._project(content_NC)

    def _project(self, content_NC: Tensor) -> Tensor:
        projected: Tensor = self.output(functional.silu(self.hidden(content_NC)))
        return projected
