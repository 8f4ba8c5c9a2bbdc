"""A small language model that reads from left to right.

Legend: N rows, L places, D width, V pieces.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.layers import Shape, Trunk, table
from polyscene.nn.tokens import Tokens


class Causal(nn.Module):
    """Pieces and places through a trunk of blocks; the piece vectors are also what the next one is told by.

    Source: GPT-2 (Radford et al. 2019), with the gated blocks of `layers` in place of its own.
    """

    def __init__(self, pieces: int, places: int, shape: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.pieces = table(pieces, shape.dim, chance)
        self.places = table(places, shape.dim, chance)
        self.trunk = Trunk(shape, chance)

    def forward(self, tokens: Tokens, *, second: bool = False) -> tuple[Tensor, Tensor]:
        """(P,) log-likelihood of each piece behind those before it, and (P,) its row.

        Of all pieces but the first of a row; with `second` of the second text's alone, its end included.
        """
        hidden_NLD = (
            functional.embedding(tokens.pieces, self.pieces) + self.places[: tokens.pieces.shape[1]]
        )
        # What stands before a piece sees nothing behind it, so padding on the right needs no mask.
        hidden_NLD = self.trunk(hidden_NLD)[:, :-1]
        wanted_NL = tokens.real[:, 1:] & (tokens.segments[:, 1:] > 0 if second else True)
        logits_PV = hidden_NLD[wanted_NL] @ self.pieces.mT
        told_P = -functional.cross_entropy(logits_PV, tokens.pieces[:, 1:][wanted_NL], reduction="none")
        return told_P, wanted_NL.nonzero()[:, 0]
