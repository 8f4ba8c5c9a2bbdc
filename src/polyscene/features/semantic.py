"""Which semantic id each item has, and which one an item gets that came later.

Legend: R item rows of the training events, N of those and the items that came later, S semantic levels,
C = S + 1 levels of an id.
"""

from dataclasses import asdict, dataclass

import msgspec
import numpy as np

from polyscene.core.arrays import Codes
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError
from polyscene.core.rows import Rows
from polyscene.core.states import pack, unpack
from polyscene.features.item_space import FittedItemSpace, ItemSpace
from polyscene.nn.rqvae import load_rq_vae
from polyscene.nn.semantic_ids import Quality, Quantiser, with_ordinals


@dataclass(frozen=True, slots=True, eq=False)
class SemanticIds:
    """Ids given at the fit, and what gives more. Shapes: `ids` (R, C), the id of each row."""

    rows: Rows
    ids: Codes
    space: FittedItemSpace
    quantiser: Quantiser
    quality: Quality

    def over(self, catalogue: Catalogue) -> tuple[Rows, Codes]:
        """Rows and ids (N, C) of the fit, then those of all other items of the catalogue, by code.

        These take the semantic codes in use that are nearest to their content, so the model has learned
        about all their codes but the last. An id depends on no item with a higher code.
        """
        codes = np.arange(catalogue.size, dtype=np.int32)
        later = codes[self.rows.of(codes) < 0]
        if not len(later) or not len(self.rows):
            return self.rows, self.ids
        homes_PS = np.unique(self.ids[:, :-1], axis=0)
        semantic_nS = self.quantiser.adopt(self.space.vectors(catalogue, later), homes_PS)
        ids_nC = with_ordinals(semantic_nS, self.ids)
        return Rows(np.concatenate([self.rows.codes, later])), np.concatenate([self.ids, ids_nC])

    def kept(self, catalogue: Catalogue, rows: Rows) -> "SemanticIds":
        """The same ids, given for other rows, all of which the catalogue has."""
        everything, ids_NC = self.over(catalogue)
        return SemanticIds(
            rows, ids_NC[everything.of(rows.codes)], self.space, self.quantiser, self.quality
        )

    def state(self) -> State:
        """Everything `load` needs."""
        inner = pack({"space": self.space})
        tensors = {"codes": self.rows.codes, "ids": self.ids, "codebooks": self.quantiser.codebooks}
        tensors |= {f"vae/{name}": tensor for name, tensor in self.quantiser.tensors.items()}
        return State({**inner.tensors, **tensors}, {**inner.meta, "quality": asdict(self.quality)})

    @classmethod
    def load(cls, space: ItemSpace, state: State) -> "SemanticIds":
        """The ids whose state this is.

        Raises:
            BundleError: Something is missing or of another shape.
        """
        tensors = state.tensors
        for name in ("codes", "ids", "codebooks"):
            if name not in tensors:
                raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        try:
            quality = msgspec.convert(state.meta.get("quality"), Quality)
        except msgspec.ValidationError as problem:
            raise BundleError(f"quality of the ids: {problem}; fit the model again") from problem
        learned = {name.removeprefix("vae/"): each for name, each in tensors.items() if name[:4] == "vae/"}
        books = tensors["codebooks"]
        return cls(
            Rows(tensors["codes"]),
            tensors["ids"],
            space.load(unpack(state, "space")),
            load_rq_vae(learned, *books.shape[:2]) if learned else Quantiser(books),
            quality,
        )
