"""Reading a domain's language before any task: masked pieces, and whether one text follows another.

Legend: B rows, L places, D width, P masked places, V pieces that occur in the domain.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.nn.bert import TINY, Bert
from polyscene.nn.layers import linear
from polyscene.nn.lessons import Masked


class Guesser(nn.Module):
    """Guesses masked pieces from what an encoder makes of their places, among the `known` (V,) alone.

    Pieces that no text of the domain has are no candidates: a vocabulary of 30,000 costs more than the
    encoder itself. The last product shares the encoder's piece vectors.
    """

    known: Tensor
    place_of: Tensor

    def __init__(self, bert: Bert, known: Tensor, chance: torch.Generator) -> None:
        super().__init__()
        dim = bert.shape.dim
        self.transform = linear(dim, dim, chance)
        self.norm = nn.LayerNorm(dim, eps=TINY, device=chance.device)
        self.bias = nn.Parameter(torch.zeros(len(known), device=chance.device))
        place_of = torch.zeros(bert.shape.pieces, dtype=torch.int64, device=chance.device)
        place_of[known] = torch.arange(len(known), device=chance.device)
        self.register_buffer("known", known, persistent=False)
        self.register_buffer("place_of", place_of, persistent=False)

    def forward(self, bert: Bert, hidden_BLD: Tensor, batch: Masked) -> Tensor:
        """Mean cross-entropy of the masked pieces; 0 when none was masked."""
        if not len(batch.places):
            return hidden_BLD.sum() * 0
        hidden_PD = hidden_BLD.flatten(0, 1)[batch.places]
        guess_PD = self.norm(functional.gelu(self.transform(hidden_PD)))
        logits_PV = functional.linear(guess_PD, bert.embedding.pieces[self.known], self.bias)
        return functional.cross_entropy(logits_PV, self.place_of[batch.wanted])


def reading_loss(bert: Bert, follows: nn.Module, guesser: Guesser, batch: Masked) -> Tensor:
    """Of masked pieces, and of whether the second text follows the first: the sum, as BERT was pre-trained.

    Source: Devlin et al. 2019; `follows` has one logit instead of two.
    """
    hidden_BLD = bert(batch.tokens)
    logits_B = follows(bert.pooled(hidden_BLD))[:, 0]
    told: Tensor = functional.binary_cross_entropy_with_logits(logits_B, batch.follows)
    guessed: Tensor = guesser(bert, hidden_BLD, batch)
    return told + guessed
