"""KGIN: why people touch items, told by what a knowledge graph says of them.

Legend: A intents, D width, E facts both ways, K negatives, N entity rows (items above others), P relations,
R item rows, U users.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor, nn
from torch.nn import functional

from polyscene.core.contracts import Data, Run
from polyscene.nn.contrast import bpr
from polyscene.nn.graph import Spread, averaging
from polyscene.nn.layers import Dropout
from polyscene.nn.neighbourly import GraphModel, GraphNetwork, Neighbourly, People
from polyscene.nn.pairs import PairBatch, Touched
from polyscene.nn.trained import Positive, Share
from polyscene.nn.triples import Triples, choosing


class Kg(GraphModel, frozen=True, kw_only=True, tag="kg"):
    """Items as what the facts about them say within `layers` steps, users as what their items say.

    ``data.edges`` is the graph: an end that is an item's id is that item, all others are entities; facts
    are read both ways. A fact brings its relation's vector times what stands at its other end; each step is
    the mean over an item's facts, scaled to length 1, and an item is the sum of its steps. Users weigh
    `intents`, each a mixture of relations kept apart from the others (`apart` times their squared
    cosines), and take the mean of their items coloured by these. `translation` times a margin loss on
    source + relation = target keeps first vectors true to the graph (TransE). `graph` off learns from
    histories alone, to see what the graph is worth.

    `negatives`: items not touched beside each one touched; `batch_size` counts touched ones. See `Trained`
    for how it learns. What the items of a history say counts at query time; known users add a vector and
    intents of their own, so the part holds users; others weigh all intents alike. Order is not read;
    unknown items are skipped; who has neither gets the log popularity. Items put after the fit are not
    scored.

    Source: KGIN, Wang et al. 2021, "Learning intents behind interactions with knowledge graph"; users are
    not scaled to length 1 between steps, so that they follow from any history. Bordes et al. 2013 (TransE).
    """

    layers: Positive = 2
    intents: Positive = 4
    apart: Annotated[float, msgspec.Meta(ge=0)] = 1e-3
    translation: Annotated[float, msgspec.Meta(ge=0)] = 0.0
    dropout: Share = 0.1
    graph: bool = True
    learning_rate: Annotated[float, msgspec.Meta(gt=0)] = 0.01

    def network(self, touched: Touched, data: Data, run: Run, chance: torch.Generator) -> "Network":
        """Vectors of users, entities and relations; warns where no fact is of use."""
        triples = Triples.near(touched.items, data.edges if self.graph else None, self.layers)
        if self.graph and len(touched.items) and not len(triples.heads):
            run.warnings.append(
                "kg: no edge is about an item of the histories, so it learned from these alone; give edges "
                "whose ends are item ids (and links of items to entities, if these have ids of their own)"
            )
        return Network(self, touched, triples, chance)


class Network(GraphNetwork):
    """First vectors of users (U, D), entities (N, D) and relations (P, D); intents as logits (A, P)."""

    def __init__(self, config: Kg, touched: Touched, triples: Triples, chance: torch.Generator) -> None:
        super().__init__(touched)
        device, width = chance.device, config.dim
        shapes = (len(touched.users), width), (triples.entities, width), (triples.kinds, width)
        self.users, self.entities, self.relations = (
            nn.Parameter(nn.init.normal_(torch.empty(*shape, device=device), std=0.1, generator=chance))
            for shape in shapes
        )
        self.mixtures = nn.Parameter(
            nn.init.normal_(torch.empty(config.intents, triples.kinds, device=device), generator=chance)
        )
        self.config, self.chance, self.triples = config, chance, triples
        self.heads = Spread(averaging(choosing(triples.heads, triples.entities).T.tocsr()), device)
        self.tails = Spread(choosing(triples.tails, triples.entities), device)
        self.said = Spread(choosing(triples.relations, triples.kinds), device)
        self.history = Spread(averaging(touched.cells), device)
        self.drop = Dropout(config.dropout, chance)

    def layers(self) -> list[Tensor]:
        """Entities (N, D) at first, and after every step along the facts."""
        found: list[Tensor] = [self.entities]
        relations_ED = self.said(self.relations)
        for _ in range(self.config.layers if self.triples.kinds else 0):
            told_ND = self.heads(self.tails(found[-1]) * relations_ED)
            found.append(self.drop(functional.normalize(told_ND)))
        return found

    def wishes(self) -> Tensor:
        """(A, D) the intents, each a mixture of relations."""
        return torch.softmax(self.mixtures, 1) @ self.relations

    def tastes(self, intents_AD: Tensor) -> Tensor:
        """(U, D) by what each user's history is multiplied."""
        return 1 + torch.softmax(self.users @ intents_AD.mT, 1) @ intents_AD

    def loss(self, batch: PairBatch) -> Tensor:
        """BPR between final vectors; intents apart; facts kept."""
        layers, intents_AD = self.layers(), self.wishes()
        items_RD, words_RD = self._sums(layers)
        users_UD = self.users + self.tastes(intents_AD) * self.history(words_RD)
        users_ND = users_UD[batch.users]
        loss = bpr(
            (users_ND * items_RD[batch.items]).sum(1),
            (users_ND[:, None] * items_RD[batch.others]).sum(2),
        )
        if self.config.apart:
            loss = loss + self.config.apart * overlap(intents_AD)
        if self.config.translation and self.triples.kinds:
            loss = loss + self.config.translation * self._untrue(len(batch))
        return loss

    def part(self) -> Neighbourly:
        """What answers with the present weights."""
        with torch.no_grad():
            items_RD, words_RD = self._sums(self.layers())
            intents_AD = self.wishes()
            tastes_UD = self.tastes(intents_AD)
            found = items_RD, words_RD, self.users, tastes_UD, 1 + intents_AD.mean(0)
            items, words, own, taste, stranger = (each.cpu().numpy().copy() for each in found)
        people = People(self.touched.users, own, taste, stranger)
        return Neighbourly(self.touched.items, items, words, self.touched.prior, 1.0, people)

    def _sums(self, layers: list[Tensor]) -> tuple[Tensor, Tensor]:
        """(R, D) items as the sum of all layers, and of those that users take from: all but the last."""
        count = len(self.touched.items)
        heard = layers[:-1] if len(layers) > 1 else layers
        return sum_of([each[:count] for each in layers]), sum_of([each[:count] for each in heard])

    def _untrue(self, count: int) -> Tensor:
        """Mean margin loss of `count` facts drawn by chance, each against another tail."""
        facts = torch.randint(
            len(self.triples.heads), (count,), generator=self.chance, device=self.chance.device
        )
        other = torch.randint(
            self.triples.entities, (count,), generator=self.chance, device=self.chance.device
        )
        picked = facts.cpu().numpy()
        head, kind, tail = (
            torch.from_numpy(each[picked]).to(other.device)
            for each in (self.triples.heads, self.triples.relations, self.triples.tails)
        )
        aim_ND = self.entities[head] + self.relations[kind]
        near_N, far_N = ((aim_ND - self.entities[rows]).square().sum(1) for rows in (tail, other))
        return functional.relu(1 + near_N - far_N).mean()


def sum_of(layers: list[Tensor]) -> Tensor:
    """Their sum, as a tensor."""
    return torch.stack(layers).sum(0)


def overlap(intents_AD: Tensor) -> Tensor:
    """Sum of the squared cosines between different intents."""
    unit_AD = functional.normalize(intents_AD)
    return torch.triu(unit_AD @ unit_AD.mT, 1).square().sum()
