"""Rankers that read a history and a candidate as text: what all kinds share.

Legend: N candidates.
"""

from abc import abstractmethod
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import sha256
from typing import Annotated, Any, ClassVar

import msgspec
import numpy as np
import torch
from torch import Tensor, nn

from polyscene.core.arrays import Floats, Ragged, offsets_of
from polyscene.core.config import kind_of, to_json
from polyscene.core.contracts import Data, Effect, Examples, Run, State, StillView, View
from polyscene.core.errors import ConfigError, nearest
from polyscene.core.queries import Queries
from polyscene.core.slates import Slates
from polyscene.core.states import pack, unpack
from polyscene.features.texts import item_texts, told
from polyscene.features.wordpiece import WordPiece
from polyscene.nn import lessons, loop, machine
from polyscene.nn.lessons import Judged, Masked, Reading, Slated
from polyscene.nn.tokens import Pairs, Tokens
from polyscene.nn.trained import Positive, Trained
from polyscene.nn.weights import put_tensors, tensors_of
from polyscene.rank.examples import BLOCK, drawn
from polyscene.rank.phrasing import Book, Phrasing

ROWS = 64
"""Pairs that are read at once, alike in length."""
Length = Annotated[int, msgspec.Meta(ge=8, le=512)]
Count = Annotated[int, msgspec.Meta(ge=0)]


class TextNetwork(nn.Module):
    """A network that scores pairs of texts."""

    @abstractmethod
    def forward(self, tokens: Tokens) -> Tensor:
        """(N,) higher for a second text that goes better with the first."""


@dataclass(frozen=True, slots=True)
class Learner:
    """What learns of a network, and by which loss."""

    module: nn.Module
    loss: Callable[[Masked], Tensor]


class Language(Trained, frozen=True, kw_only=True):
    """Base of rankers that learn from labelled slates (``Data.examples``), all told in words.

    At most `slates` of those that hold a label are learned from, drawn by chance; of each, the labelled
    candidates and `negatives` others. A query is told as the texts of its newest `history` events with
    their actions, a candidate as its own; together they have `max_len` pieces at most. `attributes` are
    what is told of an item, in this order; by default its texts, then its categories and tags. `action` is
    what a candidate's text asks for where there are several; by default the most frequent one.

    Before that, `reading` stretches of history with what came next are read in each of `reading_epochs` for
    their language alone, at `reading_rate`. `batch_size` counts slates; twice as many stretches are read at
    once as a slate has candidates taught. See `Trained` for how it learns.
    """

    needs_examples: ClassVar[bool] = True
    searches: ClassVar[bool] = False
    """Whether what was typed is read where there is something."""
    strangers: ClassVar[bool] = True
    """Whether reading shows texts that do not follow, too."""

    attributes: tuple[str, ...] | None = None
    action: str | None = None
    history: Positive = 4
    max_len: Length = 64
    slates: Positive = 300
    negatives: Positive = 7
    reading: Count = 0
    reading_epochs: Count = 1
    reading_rate: Annotated[float, msgspec.Meta(gt=0)] = 1e-4
    epochs: Count = 2
    batch_size: Positive = 4
    clip: Annotated[float, msgspec.Meta(gt=0)] | None = 1.0

    @abstractmethod
    def first(self, texts: list[str], chance: torch.Generator) -> tuple[WordPiece, TextNetwork]:
        """The pieces to read with and a network before it learned; `texts` are those of all items."""

    @abstractmethod
    def network(self, pieces: int, chance: torch.Generator) -> TextNetwork:
        """A network of the shape that `first` gives for so many pieces."""

    @abstractmethod
    def reader(self, network: Any, reading: Reading, chance: torch.Generator) -> Learner:
        """What learns while reading."""

    @abstractmethod
    def taught(self, network: Any) -> nn.Module:
        """What learns from slates."""

    @abstractmethod
    def loss(self, scores_N: Tensor, batch: Judged) -> Tensor:
        """Of the scores of some slates."""

    def fit(self, data: Data, run: Run, warm: "LanguagePart | None" = None) -> "LanguagePart":
        """The network trained; `warm` is not used, for what was learned once is soon forgotten.

        Raises:
            ConfigError: There are no examples or no texts, an attribute or action is unknown, published
                weights are not installed, or the loss diverged.
        """
        kind = kind_of(self)
        if data.examples is None:
            raise ConfigError(
                f"{kind}: there are no labelled examples; put it behind a retriever in a scenario"
            )
        attributes, asked = told(data.catalogue, self.attributes, kind), self._asked(data)
        texts = item_texts(data.catalogue, data.catalogue.codes(), attributes)
        with machine.settled(run) as device:
            chance = torch.Generator(device).manual_seed(run.seed)
            pieces, network = self.first(texts, chance)
            phrasing = Phrasing(pieces, attributes, data.actions, asked, self.history, self.searches)
            known = self._known(phrasing, data, data.examples, run)
            if not len(known.labels):
                run.warnings.append(f"{kind}: no candidate was what came next; it learned nothing")
            share = run if run.budget_s is None else replace(run, budget_s=run.budget_s / 2)
            if self.reading and self.reading_epochs:
                self._read(network, self._reading(phrasing, data, run, device), share, chance)
            self._learn(network, phrasing, known, share)
        network.eval().requires_grad_(False)
        return LanguagePart(phrasing, network, self.max_len, run.view or StillView.of(data))

    def load(self, state: State, run: Run) -> "LanguagePart":
        """The network as saved. Raises BundleError when a tensor is missing, ConfigError without a view."""
        if run.view is None:
            raise ConfigError(f"{kind_of(self)}: loading needs Run(view=...), the catalogue it reads from")
        phrasing = Phrasing.load(unpack(state, "phrasing"))
        network = self.network(len(phrasing.pieces), torch.Generator(machine.device_of(run)))
        put_tensors(network, unpack(state, "network").tensors)
        return LanguagePart(phrasing, network.eval().requires_grad_(False), self.max_len, run.view)

    def _asked(self, data: Data) -> str:
        if self.action is None:
            actions = data.histories["action"]
            return data.actions[int(np.bincount(actions[actions >= 0], minlength=1).argmax())]
        if self.action not in data.actions:
            where = f"{kind_of(self)}.action"
            raise ConfigError(
                f"{where}: no event is called {self.action!r}{nearest(self.action, data.actions)}"
            )
        return self.action

    def _known(self, phrasing: Phrasing, data: Data, examples: Examples, run: Run) -> Slated:
        """The slates that are learned from, in words."""
        rng = run.rng()
        taught = np.unique(examples.slates.rows()[examples.labels > 0])
        rows = np.sort(rng.permutation(taught)[: self.slates])
        labels = Ragged(examples.slates.offsets, examples.labels).take(rows).values
        few = Examples(examples.queries.take(rows), examples.slates.take(rows), labels)
        firsts, seconds, owners, judged, lengths, count = [], [], [], [], [], 0
        for queries, block, wanted, chosen in drawn(few, self.negatives, rng):
            rising = np.sort(chosen)
            sizes = np.bincount(block.rows()[rising], minlength=len(block))
            pairs = phrasing.pairs(queries, block.at(rising, sizes), data.catalogue)
            firsts.append(pairs.firsts)
            seconds.append(pairs.seconds)
            owners.append(pairs.owner + count)
            judged.append(wanted[rising])
            lengths.append(sizes)
            count += len(block)
        none = np.zeros(0, np.int64)
        owner = np.concatenate([none, *owners])
        found = Pairs(_joined(firsts), _joined(seconds), owner)
        said = np.concatenate([none, *judged]) > 0
        return Slated(found, said.astype(np.float32), offsets_of(np.concatenate([none, *lengths])))

    def _reading(self, phrasing: Phrasing, data: Data, run: Run, device: torch.device) -> Reading:
        book = Book.of(phrasing, data.catalogue, data.histories["item"])
        return Reading(
            book.events(data.histories),
            book.rows(data.histories["item"]),
            phrasing.packer(self.max_len),
            rows=self.reading,
            most=self.history,
            batch_size=2 * (1 + self.negatives),
            seed=run.seed,
            device=device,
            strangers=self.strangers,
        )

    def _read(self, network: TextNetwork, reading: Reading, run: Run, chance: torch.Generator) -> None:
        learner = self.reader(network, reading, chance)
        label = f"{kind_of(self)} reading"
        plan = self.plan(label, self._identity(reading.digest()))
        plan = replace(plan, epochs=self.reading_epochs, learning_rate=self.reading_rate)
        loop.train(learner.module, reading, learner.loss, plan, run)

    def _learn(self, network: TextNetwork, phrasing: Phrasing, known: Slated, run: Run) -> None:
        device = next(network.parameters()).device
        packer = phrasing.packer(self.max_len)
        batches = lessons.Slates(known, packer, self.batch_size, run.seed, device)
        plan = self.plan(kind_of(self), self._identity(known.digest()))
        loop.train(
            self.taught(network), batches, lambda batch: self.loss(network(batch.tokens), batch), plan, run
        )

    def _identity(self, digest: str) -> str:
        """Sha256 (hex) of the config and what it learns from; see `Plan.identity`."""
        return sha256(msgspec.json.encode([to_json(self), digest])).hexdigest()


class LanguagePart:
    """A trained network and how it is told of candidates, with a view for what items say of themselves."""

    effect: ClassVar[frozenset[Effect]] = frozenset({Effect.SCORES, Effect.ORDERS})

    def __init__(self, phrasing: Phrasing, network: TextNetwork, max_len: int, view: View) -> None:
        self.phrasing, self.network, self.view = phrasing, network, view
        self.packer = phrasing.packer(max_len)

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        """The same candidates by the network's score; ties go to the lower code."""
        parts = [np.zeros(0, np.float32)]
        for start in range(0, len(queries), BLOCK):
            rows = np.arange(start, min(start + BLOCK, len(queries)))
            pairs = self.phrasing.pairs(queries.take(rows), slates.take(rows), self.view.catalogue)
            parts.append(self._scores(pairs))
        return slates.scored(np.concatenate(parts)).ordered()

    def _scores(self, pairs: Pairs) -> Floats:
        """(N,); pairs are read with others of their length, so that little is padded."""
        device = next(self.network.parameters()).device
        order = np.argsort(self.packer.lengths(pairs), kind="stable")
        scores = np.zeros(len(pairs), np.float32)
        with torch.inference_mode():
            for start in range(0, len(order), ROWS):
                rows = order[start : start + ROWS]
                scores[rows] = self.network(self.packer(pairs.take(rows), device)).cpu().numpy()
        return scores

    def state(self) -> State:
        """Vocabulary, names and every weight."""
        phrasing = pack({"phrasing": self.phrasing})
        weights = {f"network/{name}": each for name, each in tensors_of(self.network).items()}
        return State({**phrasing.tensors, **weights}, phrasing.meta)


def _joined(parts: list[Ragged]) -> Ragged:
    lengths = [part.lengths for part in parts]
    values = [part.values for part in parts]
    none = np.zeros(0, np.int64)
    return Ragged(offsets_of(np.concatenate([none, *lengths])), np.concatenate([none, *values]))
