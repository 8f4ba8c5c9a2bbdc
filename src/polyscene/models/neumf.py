"""NeuMF: how a user and an item go together, learned by a product and by dense layers at once.

Legend: B users, C items of each, D width of a vector, E = 2 D, F first hidden width, K negatives, N touched
items of a batch, R item rows.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.answer import answer
from polyscene.core.arrays import Floats, Scores
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.errors import BundleError
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows, log_share
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn import loop, machine
from polyscene.nn.bags import Bag, Bags
from polyscene.nn.checkpoint import identity
from polyscene.nn.clicks import Widths
from polyscene.nn.fields import Mlp
from polyscene.nn.layers import linear, table
from polyscene.nn.products import product
from polyscene.nn.trained import Positive, Share, Trained
from polyscene.nn.weights import put_tensors, take_over, tensors_of

BLOCK = 32, 1024
"""Users and items whose hidden values are held at once (8 MB where the first layer is 64 wide)."""


class Neumf(Trained, frozen=True, kw_only=True, tag="neumf"):
    """Whether a user touches an item, by binary cross-entropy against `negatives` drawn beside each touch.

    Two sides, each with vectors of its own, `dim` wide: the product of user's and item's (GMF), and dense
    layers of widths `hidden` over both. A last layer weighs what the two sides bring. `batch_size` counts
    users. See `Trained` for how it learns. Order is not read; unknown items of a history are skipped; an
    empty history gets the log popularity. Items put after the fit are not scored.

    Source: He et al. 2017, "Neural collaborative filtering". Ours has no rows of users: a user is the sum
    of vectors of what they touched over the root of its count, without the item in question, as in FISM
    (Kabbur et al. 2013), so that unknown users are ordinary. Both sides learn at once from the start.
    """

    dim: Positive = 32
    hidden: Annotated[Widths, msgspec.Meta(min_length=1)] = (64, 32, 16)
    dropout: Share = 0.0
    negatives: Positive = 4
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 20
    batch_size: Positive = 32
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-2
    average: Share = 0.99

    def fit(self, data: Data, run: Run, warm: "NeumfPart | None" = None) -> "NeumfPart":
        """Learns from every touch; `warm` gives the first weights.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        seen = data.histories["item"]
        seen = seen[seen >= 0]
        rows = Rows(np.unique(seen))
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = Network(self, len(rows), chance)
            self.start(network, chance)
            if warm is not None:
                take_over(network, warm.network, warm.rows.of(rows.codes), BY_ITEM)
            part = NeumfPart(rows, network, log_share(rows.of(seen), len(rows)))
            self._train(part, data, run)
        return part

    def load(self, state: State, run: Run) -> "NeumfPart":
        """The part as it was saved.

        Raises:
            BundleError: A tensor is missing, or its shape is not this config's.
        """
        for name in ("codes", "prior"):
            if name not in state.tensors:
                raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        rows = Rows(state.tensors["codes"])
        network = Network(self, len(rows), torch.Generator(machine.device_of(run)))
        put_tensors(network, state.tensors)
        return NeumfPart(rows, network.eval().requires_grad_(False), state.tensors["prior"])

    def _train(self, part: "NeumfPart", data: Data, run: Run) -> None:
        judge, network = run.validate, part.network
        batches = Bags(
            interactions(data.histories, part.rows),
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=run.seed,
            device=network.items.device,
        )
        if not batches.steps:
            run.warnings.append("neumf: no history has an item, so there was nothing to learn from")
        loop.train(
            network,
            batches,
            lambda bag: touches(network, bag, self.negatives),
            self.plan("neumf", identity(self, data)),
            run,
            None if judge is None else lambda: judge(part),
        )


BY_ITEM = ("history", "items")


class Network(nn.Module):
    """Vectors (R, E) of items as what a user is made of and as candidates, the product's half first."""

    def __init__(self, config: Neumf, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.history, self.items = (table(rows, 2 * config.dim, chance) for _ in BY_ITEM)
        # One layer over both vectors side by side, in two parts: one is made once a user, one once an item.
        self.user_first = linear(config.dim, config.hidden[0], chance)
        self.item_first = linear(config.dim, config.hidden[0], chance, bias=False)
        self.layers = Mlp(config.hidden[0], config.hidden[1:], config.dropout, chance)
        self.fused = linear(config.dim + self.layers.width, 1, chance)
        self.chance = chance

    def forward(self, users_BE: Tensor, items_BCE: Tensor) -> Tensor:
        """(B, C) logits of each user's own C items."""
        (gmf_BD, mlp_BD), (gmf_BCD, mlp_BCD) = users_BE.chunk(2, -1), items_BCE.chunk(2, -1)
        deep_BC = self._deep(self.user_first(mlp_BD)[:, None] + self.item_first(mlp_BCD))
        wide_BC: Tensor = (gmf_BCD @ self._weighed(gmf_BD)[:, :, None])[..., 0]
        return wide_BC + deep_BC

    def every(self, users_BE: Tensor) -> Tensor:
        """(B, R) logits of all items, in blocks."""
        (gmf_BD, mlp_BD), (gmf_RD, mlp_RD) = users_BE.chunk(2, -1), self.items.chunk(2, -1)
        logits_BR = self._weighed(gmf_BD) @ gmf_RD.mT
        users_BF, items_RF = self.user_first(mlp_BD), self.item_first(mlp_RD)
        for row in range(0, len(users_BF), BLOCK[0]):
            users_B1F = users_BF[row : row + BLOCK[0], None]
            for column in range(0, len(items_RF), BLOCK[1]):
                deep = self._deep(users_B1F + items_RF[column : column + BLOCK[1]])
                logits_BR[row : row + BLOCK[0], column : column + BLOCK[1]] += deep
        return logits_BR

    def _weighed(self, gmf_BD: Tensor) -> Tensor:
        return gmf_BD * self.fused.weight[0, : gmf_BD.shape[1]]

    def _deep(self, sum_BCF: Tensor) -> Tensor:
        """(B, C) what the dense side adds, with the last layer's bias."""
        hidden = self.layers(self.layers.drop(functional.relu(sum_BCF)))
        logits: Tensor = hidden @ self.fused.weight[0, -hidden.shape[-1] :] + self.fused.bias
        return logits


def touches(network: Network, bag: Bag, negatives: int) -> Tensor:
    """Mean binary cross-entropy over the items of a batch and as many random others of each as asked.

    An item is no part of the user that it is held against; what the user touched counts 0 as another.
    """
    owner_N, items = bag.owners(), len(network.items)
    sums_BE = functional.embedding_bag(bag.rows, network.history, bag.starts, mode="sum")
    counts_N1 = bag.counts[owner_N, None].to(sums_BE.dtype)
    rest_NE = sums_BE[owner_N] - functional.embedding(bag.rows, network.history)
    whole_NE = sums_BE[owner_N] * counts_N1.rsqrt()
    others_NK = torch.randint(
        items, (len(owner_N), negatives), generator=network.chance, device=owner_N.device
    )
    touched_N = owner_N * items + bag.rows
    other_NK = owner_N[:, None] * items + others_NK
    # Users follow one another and so do the rows of each, so the keys are sorted.
    place_NK = torch.searchsorted(touched_N, other_NK).clamp_max(len(touched_N) - 1)
    fresh_NK = touched_N[place_NK] != other_NK
    own_N1 = network(
        rest_NE * (counts_N1 - 1).clamp_min(1).rsqrt(),
        functional.embedding(bag.rows[:, None], network.items),
    )
    logits_NK = network(whole_NE, functional.embedding(others_NK, network.items))
    loss = functional.softplus(-own_N1).sum() + (functional.softplus(logits_NK) * fresh_NK).sum()
    return loss / (len(owner_N) * (1 + negatives))


@dataclass(frozen=True, slots=True, eq=False)
class NeumfPart:
    """A fitted NeuMF.

    Shapes: `prior` (R,) log share of each item's interactions, the answer to an empty history.
    """

    rows: Rows
    network: Network
    prior: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items that the history's owner touches most likely."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) logits of being touched; -inf for codes not in the training events."""
        touched_BR = interactions(queries.history, self.rows)
        counts_B = np.diff(touched_BR.indptr)
        sums_BE = product(touched_BR, self.network.history.detach().cpu().numpy())
        users_BE = torch.from_numpy(sums_BE / np.sqrt(np.maximum(counts_B, 1, dtype=np.float32))[:, None])
        with torch.inference_mode():
            scores_BR = self.network.every(users_BE.to(self.network.items.device)).cpu().numpy()
        scores_BR[counts_B == 0] = self.prior
        return self.rows.spread(scores_BR, queries.allowed.size)

    def state(self) -> State:
        """Codes, prior and every weight."""
        return State({"codes": self.rows.codes, "prior": self.prior, **tensors_of(self.network)})
