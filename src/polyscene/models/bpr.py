"""BPR: vectors of people and items such that what somebody touched stands above what they did not.

Legend: B users, C items of a batch, D width, N touched items of a batch, R item rows, S negatives each.
"""

from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import torch
from scipy import linalg, sparse
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, Scores
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries
from polyscene.core.rows import Rows
from polyscene.core.slates import Slates
from polyscene.dataset.matrix import interactions
from polyscene.nn import loop, machine
from polyscene.nn.bags import Bag, Bags
from polyscene.nn.checkpoint import identity
from polyscene.nn.layers import table
from polyscene.nn.products import product
from polyscene.nn.trained import Positive, Share, Trained
from polyscene.nn.weights import tensors_of

POOL = 1024
"""Random items that a batch draws its untouched ones from."""
RIDGE = 1e-3
"""Keeps the fold-in defined where users are fewer than dimensions."""


class Bpr(Trained, frozen=True, kw_only=True, tag="bpr"):
    """Matrix factorisation that ranks: each touched item against `negatives` untouched ones a pass.

    A score is the inner product of a user's and an item's vector, `dim` wide, plus the item's bias. The
    vectors of people are learned and not kept: a query's vector is a linear function of the mean vector of
    the items in its history, fitted by least squares to the learned ones, so unknown users and events of
    a second ago are ordinary. `batch_size` counts users. See `Trained` for how it learns. Items never
    touched, and queries whose history holds no touched item, are left unscored.

    Source: Rendle et al. 2009, "BPR: Bayesian personalized ranking from implicit feedback". Ours takes
    many pairs of many users a step, so that they share a matrix product, and decays all weights alike.
    """

    dim: Positive = 64
    negatives: Positive = 2
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 10
    batch_size: Positive = 64
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 2e-2
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.1
    average: Share = 0.99

    def fit(self, data: Data, run: Run, warm: "BprPart | None" = None) -> "BprPart":
        """Learns from pairs; `warm` gives the first vectors of the items it knows, and of all users.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        touched_UR = interactions(data.histories, rows)
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = Network(self.dim, touched_UR.shape, chance)
            self.start(network, chance)
            if warm is not None:
                network.start_from(
                    warm, rows, warm.query_vectors(Queries.of_histories(data.histories, data.size))
                )
            self._train(network, rows, touched_UR, data, run)
        return _part(rows, network, touched_UR)

    def load(self, state: State, run: Run) -> "BprPart":
        """The part as it was saved."""
        tensors = state.tensors
        return BprPart(Rows(tensors["codes"]), tensors["vectors"], tensors["fold"])

    def _train(
        self, network: "Network", rows: Rows, touched_UR: sparse.csr_matrix, data: Data, run: Run
    ) -> None:
        batches = Bags(
            touched_UR,
            batch_size=self.batch_size,
            epochs=self.epochs,
            seed=run.seed,
            device=network.items.device,
        )
        if not batches.steps:
            run.warnings.append("bpr: no history has an item, so there was nothing to learn from")
        judge = run.validate
        loop.train(
            network,
            batches,
            lambda bag: pairs(network, bag, self.negatives),
            self.plan("bpr", identity(self, data)),
            run,
            None if judge is None else lambda: judge(_part(rows, network, touched_UR)),
        )


class Network(nn.Module):
    """Vectors of people and items, the latter with a bias."""

    def __init__(self, dim: int, shape: tuple[int, int], chance: torch.Generator) -> None:
        super().__init__()
        self.users = table(shape[0], dim, chance)
        self.items = table(shape[1], dim, chance)
        self.bias = nn.Parameter(torch.zeros(shape[1], device=chance.device))
        self.chance = chance

    def start_from(self, older: "BprPart", rows: Rows, users_UE: Floats) -> None:
        """Takes over the vectors of known items and folded-in users of an older part of the same width."""
        if older.vectors.shape[1] != self.items.shape[1] + 1:
            return
        home_R = older.rows.of(rows.codes)
        known_R = torch.from_numpy(home_R >= 0)
        theirs = torch.from_numpy(older.vectors[home_R[home_R >= 0]])
        self.items.data[known_R], self.bias.data[known_R] = theirs[:, :-1], theirs[:, -1]
        known_U = torch.from_numpy(users_UE[:, -1] != 0)
        self.users.data[known_U] = torch.from_numpy(users_UE[:, :-1])[known_U]


def pairs(network: Network, bag: Bag, negatives: int) -> Tensor:
    """Mean of -log sigmoid(touched - untouched) over the items of a batch and as many others as asked.

    The others come from a pool of random items that the batch shares, all where they are few; what the
    user touched counts 0.
    """
    chance, device = network.chance, network.items.device
    pool = torch.arange(len(network.items), device=device)
    if len(pool) > POOL:
        pool = torch.randint(len(pool), (POOL,), generator=chance, device=device)
    columns_C = torch.unique(torch.cat([bag.rows, pool]))
    scores_BC = torch.addmm(network.bias[columns_C], network.users[bag.users], network.items[columns_C].mT)
    first_N = bag.owners() * len(columns_C)
    own_N = first_N + torch.searchsorted(columns_C, bag.rows)
    drawn_NS = torch.randint(len(pool), (len(own_N), negatives), generator=chance, device=device)
    other_NS = first_N[:, None] + torch.searchsorted(columns_C, pool)[drawn_NS]
    touched = torch.zeros(scores_BC.numel(), dtype=torch.bool, device=device)
    touched[own_N] = True
    scores = scores_BC.view(-1)
    margin_NS = scores.gather(0, own_N)[:, None] - scores.gather(0, other_NS.view(-1)).view_as(other_NS)
    return functional.softplus(-margin_NS)[~touched[other_NS]].sum() / max(1, other_NS.numel())


@dataclass(frozen=True, slots=True, eq=False)
class BprPart:
    """Shapes: `vectors` (R, D + 1), the last one the bias; `fold` (D + 1, D) from mean and 1 to a user."""

    rows: Rows
    vectors: Floats
    fold: Floats
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the largest inner product and bias."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) inner products with biases; -inf where history or item are unknown."""
        users_BE = self.query_vectors(queries)
        scores_BR: Scores = users_BE @ self.vectors.T
        scores_BR[users_BE[:, -1] == 0] = -np.inf
        return self.rows.spread(scores_BR, queries.allowed.size)

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) and vector and bias of each, (R, D + 1)."""
        return self.rows.codes, self.vectors

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D + 1) folded in from the histories, and a 1 for the bias; zeros where no item is known."""
        known_BE = means(interactions(queries.history, self.rows), self.vectors[:, :-1])
        return np.column_stack([known_BE @ self.fold, known_BE[:, -1]])

    def state(self) -> State:
        """Item vectors, their codes and the fold-in; nothing of the users."""
        return State({"codes": self.rows.codes, "vectors": self.vectors, "fold": self.fold})


def means(touched_BR: sparse.csr_matrix, vectors_RD: Floats) -> Floats:
    """(B, D + 1) mean vector of each user's items, and a 1; zeros where there is none."""
    counts_B1 = np.diff(touched_BR.indptr)[:, None].astype(np.float32)
    sums_BE = np.column_stack([product(touched_BR, vectors_RD), counts_B1])
    mean_BE: Floats = sums_BE / np.maximum(counts_B1, 1)
    return mean_BE


def _part(rows: Rows, network: Network, touched_UR: sparse.csr_matrix) -> BprPart:
    """The part of a network as it stands, with the fold-in that comes nearest to its users' vectors."""
    tensors = tensors_of(network)
    items_RD, users_UD = tensors["items"], tensors["users"]
    mean_UE = means(touched_UR, items_RD).astype(np.float64)
    gram_EE = mean_UE.T @ mean_UE + RIDGE * np.eye(mean_UE.shape[1])
    fold_ED = linalg.solve(gram_EE, mean_UE.T @ users_UD, assume_a="pos").astype(np.float32)
    return BprPart(rows, np.column_stack([items_RD, tensors["bias"]]), fold_ED)
