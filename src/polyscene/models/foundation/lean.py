"""The foundation model's lean form."""

import msgspec

from polyscene.core.contracts import State
from polyscene.lean.model import Form, LeanModel
from polyscene.models.foundation.part import FoundationPart
from polyscene.nn.layers import BlockKind


def lean_of(part: FoundationPart, block: BlockKind, heads: int) -> LeanModel:
    """The part without torch, made of these blocks; it shares the part's item vectors.

    Items that were put after the fit are left to the part: their vectors take a projection of content.
    """
    state = part.state()
    tensors = {name: each for name, each in state.tensors.items() if not name.startswith("items.")}
    form = Form(block=block, heads=heads, **state.meta["reader"])
    return LeanModel.of(State({**tensors, "items": part.items}, {"form": msgspec.to_builtins(form)}))
