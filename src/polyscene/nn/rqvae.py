"""RQ-VAE: an autoencoder whose narrow middle is a sum of codes, one a level, each finer than the last.

Legend: N items, V dimensions of a vector, W of the middle, S semantic levels, K codes a level.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.arrays import Array, Floats
from polyscene.core.contracts import Run, Training
from polyscene.nn import loop
from polyscene.nn.layers import linear
from polyscene.nn.semantic_ids import Quantiser, nearest, residual_kmeans
from polyscene.nn.weights import put_tensors, tensors_of

HIDDEN = 256
MIDDLE = 32
COMMITMENT = 0.25
"""How strongly the encoder is drawn to the codes, against the codes to the encoder."""
EPOCHS = 60
BATCH_SIZE = 512
LEARNING_RATE = 2e-3


class RqVae(nn.Module):
    """Encoder, codebooks and decoder."""

    def __init__(self, width: int, levels: int, codes: int, chance: torch.Generator) -> None:
        super().__init__()
        self.encoder = nn.Sequential(
            linear(width, HIDDEN, chance), nn.SiLU(), linear(HIDDEN, MIDDLE, chance)
        )
        self.decoder = nn.Sequential(
            linear(MIDDLE, HIDDEN, chance), nn.SiLU(), linear(HIDDEN, width, chance)
        )
        self.books = nn.Parameter(torch.zeros(levels, codes, MIDDLE, device=chance.device))

    def forward(self, x_NV: Tensor) -> tuple[Tensor, Tensor]:
        """The loss, and the codes (N, S) that were used."""
        encoded_NW = self.encoder(x_NV)
        left_NW, loss, codes = encoded_NW, x_NV.new_zeros(()), []
        for book_KW in self.books:
            codes.append(nearest(left_NW.detach(), book_KW.detach()))
            code_NW = book_KW[codes[-1]]
            loss = loss + functional.mse_loss(code_NW, left_NW.detach())
            loss = loss + COMMITMENT * functional.mse_loss(left_NW, code_NW.detach())
            left_NW = left_NW - code_NW.detach()
        # What is left over is subtracted without a gradient: the decoder sees codes, the encoder learns.
        decoded_NV = self.decoder(encoded_NW - left_NW.detach())
        return loss + functional.mse_loss(decoded_NV, x_NV), torch.stack(codes, 1)


def rq_vae(vectors_NV: Floats, levels: int, codes: int, run: Run) -> Quantiser:
    """Codebooks and encoder learned together, from residual k-means of a random encoder on.

    Source: RQ-VAE (Lee et al. 2022) as in TIGER (Rajput et al. 2023). A code that an epoch did not use
    moves to a random item's left-over.
    """
    chance = torch.Generator().manual_seed(run.seed)
    model = RqVae(vectors_NV.shape[1], levels, codes, chance)
    with torch.no_grad():
        start_NW = model.encoder(torch.from_numpy(vectors_NV)).numpy()
        model.books.copy_(torch.from_numpy(residual_kmeans(start_NW, levels, codes, run.seed).codebooks))
    batches = _Shuffled(model, torch.from_numpy(vectors_NV), chance)
    plan = loop.Plan(epochs=EPOCHS, learning_rate=LEARNING_RATE, l2=0.0, average=0.99, label="semantic ids")
    loop.train(model, batches, batches.loss, plan, replace(run, training=Training()))
    return _quantiser(model)


def load_rq_vae(tensors: Mapping[str, Array], levels: int, codes: int) -> Quantiser:
    """The quantiser whose `tensors` these are.

    Raises:
        BundleError: One is missing or of another shape.
    """
    first = tensors.get("encoder.0.weight", np.zeros((HIDDEN, 0)))
    model = RqVae(first.shape[1], levels, codes, torch.Generator())
    put_tensors(model, tensors)
    return _quantiser(model.eval().requires_grad_(False))


def _quantiser(model: RqVae) -> Quantiser:
    def through(layers: nn.Module, x: Floats) -> Floats:
        with torch.inference_mode():
            output: Floats = layers(torch.from_numpy(x)).numpy()
        return output

    return Quantiser(
        model.books.detach().numpy().copy(),
        lambda vectors: through(model.encoder, vectors),
        lambda middle: through(model.decoder, middle),
        tensors_of(model),
    )


class _Shuffled:
    """Batches of vectors, and what an epoch used of the codes."""

    def __init__(self, model: RqVae, x_NV: Tensor, chance: torch.Generator) -> None:
        self.model, self.x_NV, self.chance = model, x_NV, chance
        self.used_SK = torch.ones(model.books.shape[:2], dtype=torch.bool)

    @property
    def steps(self) -> int:
        return -(-len(self.x_NV) // BATCH_SIZE)

    def epoch(self, number: int) -> Iterator[Tensor]:
        self._revive()
        self.used_SK.zero_()
        mixed_N = torch.randperm(len(self.x_NV), generator=self.chance)
        for start in range(0, len(mixed_N), BATCH_SIZE):
            yield self.x_NV[mixed_N[start : start + BATCH_SIZE]]

    def loss(self, x_nV: Tensor) -> Tensor:
        loss: Tensor
        loss, codes_nS = self.model(x_nV)
        self.used_SK[torch.arange(codes_nS.shape[1]), codes_nS] = True
        return loss

    def _revive(self) -> None:
        """Moves unused codes to what the levels before leave over of random items."""
        if bool(self.used_SK.all()):
            return
        drawn = torch.randint(len(self.x_NV), (self.used_SK.shape[1],), generator=self.chance)
        with torch.no_grad():
            left_KW = self.model.encoder(self.x_NV[drawn])
            for book_KW, used_K in zip(self.model.books, self.used_SK, strict=True):
                book_KW[~used_K] = left_KW[~used_K]
                left_KW = left_KW - book_KW[nearest(left_KW, book_KW)]
