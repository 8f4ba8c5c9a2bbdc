"""SVD: what somebody would rate an item, from biases and inner products; also as SVD++.

Legend: B users, C items of a batch, D width, E = D + 1, N ratings of a batch, R item rows.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, ClassVar

import msgspec
import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.answer import answer
from polyscene.core.arrays import Codes, Floats, Ragged, Scores
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


class Svd(Trained, frozen=True, kw_only=True, tag="svd"):
    """A rating is the mean, a bias of the user, one of the item, and the product of their vectors.

    With `implicit`, which makes it SVD++, what somebody rated speaks beside how: a vector of each of these
    items is added to the user's, over the root of their number. Every rating adds `ridge` times the
    squares of the user's and item's part in it to the loss. Users are learned with and not kept: a query's
    bias and vector are the least-squares solution for its history under the same `ridge`, so unknown users
    and ratings of a second ago are ordinary. An empty history gets mean and item bias; items never rated
    are not scored. Ranks by rating, which is not what people touch next: `ials` or `bpr` learn that.
    `batch_size` counts users. See `Trained` for how it learns.

    Source: Koren 2008, "Factorization meets the neighborhood" (SVD++), and Koren, Bell and Volinsky 2009
    (biased SVD). Ours takes batches and Adam in place of single ratings, and one `ridge` for all vectors.
    """

    dim: Positive = 32
    implicit: bool = False
    ridge: Annotated[float, msgspec.Meta(gt=0)] = 0.1
    epochs: Annotated[int, msgspec.Meta(ge=0)] = 20
    batch_size: Positive = 64
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 5e-3
    l2: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    average: Share = 0.99

    def fit(self, data: Data, run: Run, warm: "SvdPart | None" = None) -> "SvdPart":
        """Learns to rebuild the ratings; of several of one item the highest counts.

        Raises:
            ConfigError: The device does not exist, or the loss diverged.
        """
        seen = data.histories["item"]
        rows = Rows(np.unique(seen[seen >= 0]))
        rated_UR = interactions(data.histories, rows, weighted=True)
        values = rated_UR.data if rated_UR.nnz else np.zeros(1, np.float32)
        scale = np.array([values.mean(), values.min(), values.max()], np.float32)
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            network = Network(self, rated_UR.shape, float(scale[0]), chance)
            self.start(network, chance)
            if warm is not None:
                network.start_from(warm, rows)
            self._train(network, lambda: self._part(rows, network, scale), rated_UR, data, run)
        return self._part(rows, network, scale)

    def load(self, state: State, run: Run) -> "SvdPart":
        """The part as it was saved."""
        tensors = state.tensors
        codes, vectors, implied = tensors["codes"], tensors["vectors"], tensors["implied"]
        return SvdPart(Rows(codes), vectors, implied, tensors["scale"], self.ridge)

    def _train(
        self,
        network: "Network",
        part: Callable[[], "SvdPart"],
        rated_UR: sparse.csr_matrix,
        data: Data,
        run: Run,
    ) -> None:
        device, judge = network.items.device, run.validate
        ratings = torch.from_numpy(rated_UR.data).to(device)
        first_U = torch.from_numpy(rated_UR.indptr[:-1].astype(np.int64)).to(device)
        batches = Bags(
            rated_UR, batch_size=self.batch_size, epochs=self.epochs, seed=run.seed, device=device
        )
        if not batches.steps:
            run.warnings.append("svd: no history has an item, so there was nothing to learn from")

        def loss(bag: Bag) -> Tensor:
            shift_B = first_U[bag.users] - bag.starts
            places_N = torch.arange(len(bag.rows), device=device) + shift_B.repeat_interleave(bag.counts)
            return network.loss(bag, ratings[places_N], self.ridge)

        plan = self.plan("svd", identity(self, data))
        loop.train(network, batches, loss, plan, run, None if judge is None else lambda: judge(part()))

    def _part(self, rows: Rows, network: "Network", scale: Floats) -> "SvdPart":
        tensors = tensors_of(network)
        vectors_RE = np.column_stack([tensors["items"], tensors["item_bias"]])
        none = np.zeros((0, self.dim), np.float32)
        return SvdPart(rows, vectors_RE, tensors.get("implied", none), scale, self.ridge)


class Network(nn.Module):
    """Vectors and biases of people and items, and with SVD++ what having rated an item implies."""

    def __init__(self, config: Svd, shape: tuple[int, int], mean: float, chance: torch.Generator) -> None:
        super().__init__()
        self.mean = mean
        self.users, self.items = (table(count, config.dim, chance) for count in shape)
        self.user_bias, self.item_bias = (
            nn.Parameter(torch.zeros(count, device=chance.device)) for count in shape
        )
        self.implied = table(shape[1], config.dim, chance) if config.implicit else None

    def start_from(self, older: "SvdPart", rows: Rows) -> None:
        """Takes over the items that an older part of the same form knows."""
        home_R = older.rows.of(rows.codes)
        known_R, home = torch.from_numpy(home_R >= 0), home_R[home_R >= 0]
        if older.vectors.shape[1] != self.items.shape[1] + 1:
            return
        theirs = torch.from_numpy(older.vectors[home])
        self.items.data[known_R], self.item_bias.data[known_R] = theirs[:, :-1], theirs[:, -1]
        if self.implied is not None and len(older.implied):
            self.implied.data[known_R] = torch.from_numpy(older.implied[home])

    def forward(self, bag: Bag) -> Tensor:
        """(N,) what each user of a bag would rate each of their items."""
        columns_C, place_N = torch.unique(bag.rows, return_inverse=True)
        tastes_BD = self.users[bag.users]
        if self.implied is not None:
            share_N = bag.counts.to(tastes_BD.dtype).rsqrt().repeat_interleave(bag.counts)
            tastes_BD = tastes_BD + functional.embedding_bag(
                bag.rows, self.implied, bag.starts, mode="sum", per_sample_weights=share_N
            )
        owners_N = bag.owners()
        products_BC = tastes_BD @ self.items[columns_C].mT
        own_N = products_BC.view(-1).gather(0, owners_N * len(columns_C) + place_N)
        bias_N = self.user_bias[bag.users][owners_N] + self.item_bias[columns_C][place_N]
        foretold_N: Tensor = self.mean + bias_N + own_N
        return foretold_N

    def loss(self, bag: Bag, ratings_N: Tensor, ridge: float) -> Tensor:
        """Mean over the ratings of the squared error and `ridge` times the squares of what made it."""
        columns_C, counts_C = torch.unique(bag.rows, return_counts=True)
        sizes_B = self.users[bag.users].square().sum(1) + self.user_bias[bag.users].square()
        sizes_C = self.items[columns_C].square().sum(1) + self.item_bias[columns_C].square()
        if self.implied is not None:
            sizes_C = sizes_C + self.implied[columns_C].square().sum(1)
        squares = bag.counts.to(sizes_B.dtype) @ sizes_B + counts_C.to(sizes_C.dtype) @ sizes_C
        error = (self(bag) - ratings_N).square().sum()
        mean: Tensor = (error + ridge * squares) / len(ratings_N)
        return mean


@dataclass(frozen=True, slots=True, eq=False)
class SvdPart:
    """Shapes: `vectors` (R, E), the last one the bias; `implied` (R, D), of no rows without SVD++.

    `scale` (3,): mean, lowest and highest rating learned from.
    """

    rows: Rows
    vectors: Floats
    implied: Floats
    scale: Floats
    ridge: float
    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.ADDS})

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """Adds the items with the highest ratings foretold."""
        return answer(self, queries, slates)

    def score_all(self, queries: Queries) -> Scores:
        """(B, I) ratings foretold, not cut to the scale; -inf for items never rated."""
        scores_BR = self._solve(queries) @ self._wide().T
        return self.rows.spread(scores_BR, queries.allowed.size)

    def rate(self, queries: Queries, items: Ragged) -> Floats:
        """See `Rates.rate`: within the scale; an item never rated has no bias and no vector."""
        rows_N = self.rows.of(items.values)
        wide_RE = np.vstack([self._wide(), np.zeros(self.vectors.shape[1] + 1, np.float32)])
        wide_RE[-1, -1] = 1
        users_BE = self._solve(queries)
        foretold_N = np.einsum("ne,ne->n", users_BE[items.rows()], wide_RE[rows_N])
        within_N: Floats = np.clip(foretold_N, self.scale[1], self.scale[2])
        return within_N

    def item_vectors(self) -> tuple[Codes, Floats]:
        """Codes (R,) and vector, bias and 1 of each, (R, D + 2)."""
        return self.rows.codes, self._wide()

    def query_vectors(self, queries: Queries) -> Floats:
        """(B, D + 2) vector, 1, and mean with bias; zeros where no item is known."""
        users_BE = self._solve(queries)
        users_BE[np.diff(interactions(queries.history, self.rows).indptr) == 0] = 0
        return users_BE

    def state(self) -> State:
        """Item vectors, their codes and the scale; nothing of the users."""
        tensors = {"codes": self.rows.codes, "vectors": self.vectors, "scale": self.scale}
        return State({**tensors, "implied": self.implied})

    def _wide(self) -> Floats:
        return np.column_stack([self.vectors, np.ones(len(self.rows), np.float32)])

    def _solve(self, queries: Queries) -> Floats:
        """(B, D + 2) what `query_vectors` gives, and the mean alone where no item is known."""
        rated_BR = interactions(queries.history, self.rows, weighted=True)
        count, dim = rated_BR.shape[0], self.vectors.shape[1] - 1
        users_BE = np.zeros((count, dim + 2), np.float32)
        users_BE[:, dim], users_BE[:, dim + 1] = 1, self.scale[0]
        ends = rated_BR.indptr
        given_BD = self._given(rated_BR)
        for row in np.flatnonzero(np.diff(ends)).tolist():
            cells = slice(ends[row], ends[row + 1])
            items_ND, bias_N = np.split(self.vectors[rated_BR.indices[cells]], [dim], axis=1)
            left_N = rated_BR.data[cells] - self.scale[0] - bias_N[:, 0] - items_ND @ given_BD[row]
            told_NE = np.column_stack([items_ND, np.ones_like(bias_N)])
            gram_EE = told_NE.T @ told_NE + len(told_NE) * self.ridge * np.eye(dim + 1, dtype=np.float32)
            found_E = np.linalg.solve(gram_EE, told_NE.T @ left_N)
            users_BE[row, :dim] = given_BD[row] + found_E[:-1]
            users_BE[row, -1] += found_E[-1]
        return users_BE

    def _given(self, rated_BR: sparse.csr_matrix) -> Floats:
        """(B, D) what having rated the items of each history implies; zeros without SVD++."""
        counts_B1 = np.maximum(np.diff(rated_BR.indptr), 1)[:, None].astype(np.float32)
        if not len(self.implied):
            return np.zeros((rated_BR.shape[0], self.vectors.shape[1] - 1), np.float32)
        ones_BR = sparse.csr_matrix(
            (np.ones_like(rated_BR.data), rated_BR.indices, rated_BR.indptr), shape=rated_BR.shape
        )
        given_BD: Floats = product(ones_BR, self.implied) / np.sqrt(counts_B1)
        return given_BD
