"""Masked-event denoising beside the next item: hidden events are to be named again.

Legend: B sequences, L positions, D width, R item rows.
"""

import torch
from torch import Tensor, nn

from polyscene.nn.layers import linear
from polyscene.nn.losses import full_softmax

MASKED = 0.8
"""Share of the hidden events that become the mask row; the others become a random item."""


def corrupt(
    rows_BL: Tensor, real_BL: Tensor, share: float, chance: torch.Generator, mask_row: int
) -> tuple[Tensor, Tensor]:
    """Rows with a `share` of the real events hidden, and where they are (B, L) bool.

    The items are rows below `mask_row`. Padding stays as it is.

    Source: Devlin et al. 2019 (BERT), without the tenth that they hide as itself: a causal trunk copies it.
    """
    draw_BL = torch.rand(rows_BL.shape, generator=chance, device=rows_BL.device)
    hidden_BL = real_BL & (draw_BL < share)
    random_BL = torch.randint(mask_row, rows_BL.shape, generator=chance, device=rows_BL.device)
    noise_BL = torch.where(draw_BL < share * MASKED, mask_row, random_BL)
    return torch.where(hidden_BL, noise_BL, rows_BL), hidden_BL


class Denoiser(nn.Module):
    """Names hidden events from a causal trunk's output at their own places.

    The trunk sees what came before the event and that it is hidden, not what came after, so this asks for
    the same knowledge as the next item, one step later, and with holes in the history.
    """

    def __init__(self, dim: int, chance: torch.Generator) -> None:
        super().__init__()
        self.project = linear(dim, dim, chance)

    def loss(self, trunk_BLD: Tensor, items_RD: Tensor, rows_BL: Tensor, hidden_BL: Tensor) -> Tensor:
        """Mean cross-entropy of the true `rows_BL` where `hidden_BL`; 0 where nothing is hidden."""
        targets_N = rows_BL[hidden_BL]
        if not len(targets_N):
            return trunk_BLD.new_zeros(())
        return full_softmax(self.project(trunk_BLD[hidden_BL]), items_RD, targets_N)
