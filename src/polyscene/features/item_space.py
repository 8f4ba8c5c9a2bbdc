"""Item vectors to be quantised: what an item says of itself beside how people treat it.

Legend: R item rows, C content dimensions, V behaviour dimensions.
"""

from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Codes, Floats, Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.config import Config
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.core.states import pack, unpack
from polyscene.features.behaviour import behaviour_vectors
from polyscene.features.content import Content, ContentSpace

RIDGE = 1.0
"""Keeps the guess of behaviour from content modest where few items speak for it."""


class ItemSpace(Config, frozen=True, kw_only=True, tag="item_space"):
    """Content and behaviour side by side, centred, each of the same total variance times its weight.

    An item without behaviour gets what a ridge regression guesses from its content. `content` and
    `behaviour` are the most dimensions of each, `weight` is content's share of the distance, `window` how
    many places apart two items of a history are neighbours.
    """

    content: int = 64
    behaviour: int = 64
    weight: float = 0.5
    window: int = 5

    def fit(
        self, catalogue: Catalogue, codes: Codes, histories: Ragged, seed: int
    ) -> tuple["FittedItemSpace", Floats]:
        """The space, and the vectors (R, C + V) of the items `codes`; `histories` holds their rows."""
        space = Content(dim=self.content).fit(catalogue, codes, seed)
        content_RC = space.vectors(catalogue, codes)
        behaviour_RV = behaviour_vectors(
            histories, len(codes), dim=self.behaviour, window=self.window, seed=seed
        )
        behaviour_RV = _even(behaviour_RV)
        gram_CC = content_RC.T @ content_RC + RIDGE * np.eye(space.dim)
        guess_CV = np.linalg.solve(gram_CC, content_RC.T @ behaviour_RV).astype(np.float32)
        fitted = FittedItemSpace(space, guess_CV, self.weight)
        return fitted, fitted.joined(content_RC, behaviour_RV)

    def load(self, state: State) -> "FittedItemSpace":
        """The space whose state this is. Raises BundleError when something is missing."""
        if "guess" not in state.tensors:
            raise BundleError("item space: tensor 'guess' is missing from the bundle; fit it again")
        space = Content(dim=self.content).load(unpack(state, "content"))
        return FittedItemSpace(space, state.tensors["guess"], self.weight)


@dataclass(frozen=True, slots=True, eq=False)
class FittedItemSpace:
    """A fitted space. Shapes: `guess` (C, V) float32, from content to behaviour."""

    content: ContentSpace
    guess: Floats
    weight: float

    def vectors(self, catalogue: Catalogue, codes: Codes) -> Floats:
        """(n, C + V) of items without behaviour; zeros, which is the mean, where nothing is known."""
        content_nC = self.content.vectors(catalogue, codes)
        return self.joined(content_nC, content_nC @ self.guess)

    def joined(self, content_nC: Floats, behaviour_nV: Floats) -> Floats:
        """(n, C + V) both parts weighed; all C + V dimensions have mean square 1 on average."""
        C, V = self.guess.shape
        # A part of deviation 1 in each of its dimensions weighs as many as it has; here they weigh alike.
        shares = (self.weight if C else 0.0, 1 - self.weight if C else 1.0)
        parts = [
            part * np.sqrt(share * (C + V) / max(part.shape[1], 1))
            for part, share in zip((content_nC, behaviour_nV), shares, strict=True)
        ]
        return np.concatenate(parts, axis=1).astype(np.float32)

    def state(self) -> State:
        """Everything `ItemSpace.load` needs."""
        inner = pack({"content": self.content})
        return State({**inner.tensors, "guess": self.guess}, inner.meta)


def _even(vectors: Floats) -> Floats:
    """Centred, with one scale for all dimensions, so that weak ones, mostly noise, stay weak."""
    if not vectors.size:
        return vectors
    centred = vectors - vectors.mean(axis=0)
    return np.asarray(centred / max(float(np.sqrt((centred**2).mean())), 1e-6), np.float32)
