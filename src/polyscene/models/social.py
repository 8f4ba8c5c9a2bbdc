"""DiffNet: taste passed on from those whom a user trusts.

Legend: D width, K negatives, N pairs, R item rows, U users.
"""

from typing import Annotated

import msgspec
import numpy as np
import torch
from scipy import sparse
from torch import Tensor, nn

from polyscene.core.contracts import Data, Edges, Run
from polyscene.core.rows import Rows
from polyscene.nn.contrast import bpr
from polyscene.nn.graph import Spread, averaging
from polyscene.nn.neighbourly import GraphModel, GraphNetwork, Neighbourly, People
from polyscene.nn.pairs import PairBatch, Touched
from polyscene.nn.trained import Positive


class Social(GraphModel, frozen=True, kw_only=True, tag="social"):
    """Users as what they learned of their own and from those they trust, plus the mean of their items.

    ``data.edges`` between users of the histories say who trusts whom, by weights above 0; other edges are
    not read. In each of `layers` steps everybody passes on what they got, first their whole vector, and
    gets the weighted mean of those they trust; what came is added up, as far as each step and channel has
    proved worth hearing. `trust` off learns from histories alone, to see what trust is worth.

    `negatives`: items not touched beside each one touched; `batch_size` counts touched ones. See `Trained`
    for how it learns; trained by BPR, where the paper has it. The items of the history at hand count at
    query time; what comes from trust is kept in a row for each known user, so the part holds users. Order
    is not read; unknown items are skipped; who has neither gets the log popularity. Items put after the
    fit are not scored.

    Source: Wu et al. 2019, "A neural influence diffusion model for social recommendation" (DiffNet).
    Theirs adds every step up whole, which cost accuracy on two sets (bench/README.md); here a learned
    number for each channel weighs it, 0 at the start. Ours has no attributes of users and items, and
    passes on what comes of a user's items too.
    """

    layers: Positive = 2
    trust: bool = True
    batch_size: Positive = 2048
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.005

    def network(self, touched: Touched, data: Data, run: Run, chance: torch.Generator) -> "Network":
        """Vectors of users and items, and trust; warns where no edge joins two users."""
        links = trusted(touched.users, data.edges if self.trust else None)
        if self.trust and len(touched.users) and not links.nnz:
            run.warnings.append(
                "social: no edge joins two users of the histories, so it learned from these alone; give "
                "edges whose ends are user ids"
            )
        return Network(self, touched, links, chance)


class Network(GraphNetwork):
    """Vectors of users (U, D) and items (R, D), links of trust, and what of each step is `heard`."""

    def __init__(
        self, config: Social, touched: Touched, links: sparse.csr_matrix, chance: torch.Generator
    ) -> None:
        super().__init__(touched)
        self.users, self.items = (
            nn.Parameter(
                nn.init.normal_(
                    torch.empty(len(rows), config.dim, device=chance.device), std=0.1, generator=chance
                )
            )
            for rows in (touched.users, touched.items)
        )
        steps = config.layers if links.nnz else 0
        self.heard = nn.Parameter(torch.zeros(steps, config.dim, device=chance.device))
        self.trusted = Spread(averaging(links), chance.device)
        self.history = Spread(averaging(touched.cells), chance.device)

    def own(self, said_UD: Tensor) -> Tensor:
        """(U, D) what users have beside what their items say: their own, and what came from others."""
        own_UD: Tensor = self.users
        passed_UD = self.users + said_UD
        for heard_D in self.heard:
            passed_UD = self.trusted(passed_UD)
            own_UD = own_UD + heard_D * passed_UD
        return own_UD

    def loss(self, batch: PairBatch) -> Tensor:
        """BPR between users and items."""
        said_UD = self.history(self.items)
        users_ND = (self.own(said_UD) + said_UD)[batch.users]
        return bpr(
            (users_ND * self.items[batch.items]).sum(1),
            (users_ND[:, None] * self.items[batch.others]).sum(2),
        )

    def part(self) -> Neighbourly:
        """What answers with the present weights."""
        with torch.no_grad():
            found = self.own(self.history(self.items)), self.items
            own, items = (each.detach().cpu().numpy().copy() for each in found)
        people = People(self.touched.users, own)
        return Neighbourly(self.touched.items, items, items, self.touched.prior, 1.0, people)


def trusted(users: Rows, edges: Edges | None) -> sparse.csr_matrix:
    """(U, U) how much each user (row) trusts each other; none themselves."""
    shape = len(users), len(users)
    if edges is None:
        return sparse.csr_matrix(shape, dtype=np.float32)
    source, target = users.of(edges.users[:, 0]), users.of(edges.users[:, 1])
    both = (source >= 0) & (target >= 0) & (source != target) & (edges.weight > 0)
    return sparse.csr_matrix((edges.weight[both], (source[both], target[both])), shape=shape)
