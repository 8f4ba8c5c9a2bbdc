"""Rankers whose network is a BERT: published weights or from scratch, read on, then taught.

Legend: N pairs, D width, V pieces of the domain.
"""

from typing import Annotated, Any

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.config import kind_of
from polyscene.core.errors import ConfigError
from polyscene.features import minilm
from polyscene.features.wordpiece import WordPiece, fit_pieces
from polyscene.nn.bert import Bert, Shape, Upper
from polyscene.nn.layers import linear
from polyscene.nn.lessons import Masked, Reading
from polyscene.nn.reading import Guesser, reading_loss
from polyscene.nn.tokens import Tokens
from polyscene.nn.trained import Positive, Share
from polyscene.rank.language import Language, Learner, TextNetwork

PIECES = 8_000
"""Most pieces of a vocabulary that is learned."""


class Encoder(Language, frozen=True, kw_only=True):
    """Base of rankers that read both texts at once with a BERT and score them by one logit.

    With `pretrained` the encoder is the lowest `layers` of a published one (extra ``bert``; English, 6
    layers, `dim` 384, 12 `heads`), of which the embedding and the lowest `frozen` layers stay as they are.
    Without, it is learned whole from the data's own texts, vocabulary and all, which takes far more texts.

    Reading is what BERT was pre-trained by: guessing masked pieces, and whether the second text follows
    the first, an event's item its history. The logit of that question is where the score starts from.
    """

    pretrained: bool = True
    layers: Positive = 6
    dim: Positive = minilm.DIM
    heads: Positive = minilm.HEADS
    frozen: Annotated[int, msgspec.Meta(ge=0)] = 3
    dropout: Share = 0.1
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-4

    def __post_init__(self) -> None:
        kind = kind_of(self)
        published = (minilm.DIM, minilm.HEADS)
        if self.pretrained and ((self.dim, self.heads) != published or self.layers > minilm.LAYERS):
            raise ConfigError(
                f"{kind}: the published weights have dim {minilm.DIM}, {minilm.HEADS} heads and"
                f" {minilm.LAYERS} layers; leave dim and heads, lower layers, or set pretrained to false"
            )
        if self.pretrained and self.frozen > self.layers:
            raise ConfigError(f"{kind}.frozen: {self.frozen} of {self.layers} layers; at most all can be")
        if self.dim % self.heads:
            raise ConfigError(
                f"{kind}.dim: {self.dim} can't be shared by {self.heads} heads; take a multiple"
            )

    def first(self, texts: list[str], chance: torch.Generator) -> tuple[WordPiece, TextNetwork]:
        """The published encoder, or one from scratch with a vocabulary of the texts."""
        if self.pretrained:
            pieces, bert = minilm.minilm(self.layers, self.max_len, self.dropout, chance)
            return pieces, Scorer(bert, chance)
        pieces = fit_pieces(texts, PIECES)
        network = self.network(len(pieces), chance)
        self.start(network, chance)
        return pieces, network

    def network(self, pieces: int, chance: torch.Generator) -> "Scorer":
        """An encoder with random weights, and the layer that scores."""
        shape = Shape(pieces, self.dim, self.layers, self.heads, 4 * self.dim, self.max_len, self.dropout)
        return Scorer(Bert(shape, chance), chance)

    def reader(self, network: Any, reading: Reading, chance: torch.Generator) -> Learner:
        """Masked pieces and following texts."""
        bert, score = network.bert, network.score
        known = torch.from_numpy(np.unique(reading.events.texts.values)).to(chance.device)
        guesser = Guesser(bert, known, chance)

        def loss(batch: Masked) -> Tensor:
            return reading_loss(bert, score, guesser, batch)

        return Learner(Upper(bert, self._still, score, guesser), loss)

    def taught(self, network: Any) -> nn.Module:
        """The encoder above the frozen layers, and the score."""
        return Upper(network.bert, self._still, network.score)

    @property
    def _still(self) -> int:
        return self.frozen if self.pretrained else 0


class Scorer(TextNetwork):
    """An encoder, and a logit of each row as a whole."""

    def __init__(self, bert: Bert, chance: torch.Generator) -> None:
        super().__init__()
        self.bert = bert
        self.score = linear(bert.shape.dim, 1, chance)

    def forward(self, tokens: Tokens) -> Tensor:
        """(N,) logits."""
        hidden_NLD = self.bert(tokens)
        logits_N: Tensor = self.score(self.bert.pooled(hidden_NLD))[:, 0]
        return logits_N
