"""A language model as a ranker: how likely a candidate's text is behind the history's.

Legend: N pairs, P pieces of all second texts.
"""

from typing import Annotated, Any, ClassVar

import msgspec
import torch
from torch import Tensor, nn

from polyscene.core.errors import ConfigError
from polyscene.features.wordpiece import WordPiece, fit_pieces
from polyscene.nn.causal import Causal
from polyscene.nn.layers import Shape
from polyscene.nn.lessons import Judged, Masked, Reading, slate_loss
from polyscene.nn.tokens import Tokens
from polyscene.nn.trained import Positive, Share
from polyscene.rank.language import Count, Language, Learner, TextNetwork

PIECES = 8_000
"""Most pieces of the vocabulary."""


class LmRanker(Language, frozen=True, kw_only=True, tag="lm_ranker"):
    """Candidates by the mean log-likelihood of their texts' pieces behind the text of the history.

    A small model, of `layers` blocks of width `dim`, with a vocabulary and a language learned from the
    data's own texts: first it reads `reading` stretches of history an epoch piece by piece, then it is
    taught that of the candidates of a slate the text of the one that came be the most likely. The mean over
    pieces does not favour short texts. See `Language` for what is told.

    Source: GPT-2 (Radford et al. 2019); ranking by likelihood as in dos Santos et al. 2020, "Beyond
    [CLS] through ranking by generation", whose losses are other ones.
    """

    strangers: ClassVar[bool] = False

    dim: Positive = 128
    layers: Positive = 3
    heads: Positive = 4
    dropout: Share = 0.1
    slates: Positive = 1_000
    reading: Count = 5_000
    reading_epochs: Count = 3
    reading_rate: Annotated[float, msgspec.Meta(gt=0)] = 2e-3
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-3

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"lm_ranker.dim: {self.dim} can't be shared by {self.heads} heads; take a multiple"
            )

    def first(self, texts: list[str], chance: torch.Generator) -> tuple[WordPiece, TextNetwork]:
        """A vocabulary of the texts, and a random network."""
        pieces = fit_pieces(texts, PIECES)
        network = self.network(len(pieces), chance)
        self.start(network, chance)
        return pieces, network

    def network(self, pieces: int, chance: torch.Generator) -> "Likelihood":
        """A random network."""
        shape = Shape(self.dim, self.layers, self.heads, dropout=self.dropout)
        return Likelihood(Causal(pieces, self.max_len, shape, chance))

    def reader(self, network: Any, reading: Reading, chance: torch.Generator) -> Learner:
        """Every piece behind those before it."""

        def loss(batch: Masked) -> Tensor:
            told_P: Tensor = network.model(batch.plain)[0]
            return -told_P.mean()

        return Learner(network, loss)

    def taught(self, network: Any) -> nn.Module:
        """All of it."""
        network.requires_grad_(True)
        whole: nn.Module = network
        return whole

    def loss(self, scores_N: Tensor, batch: Judged) -> Tensor:
        """See `slate_loss`."""
        return slate_loss(scores_N, batch)


class Likelihood(TextNetwork):
    """A language model, asked how likely the second text is behind the first."""

    def __init__(self, model: Causal) -> None:
        super().__init__()
        self.model = model

    def forward(self, tokens: Tokens) -> Tensor:
        """(N,) mean log-likelihood of the second texts' pieces, their ends included."""
        told_P, row_P = self.model(tokens, second=True)
        sum_N = told_P.new_zeros(len(tokens)).index_add(0, row_P, told_P)
        mean_N: Tensor = sum_N / (tokens.segments > 0).sum(1).clamp_min(1)
        return mean_N
