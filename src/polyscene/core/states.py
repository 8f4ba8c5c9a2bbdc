"""Several states kept in one, by name."""

from collections.abc import Mapping
from typing import Protocol

from polyscene.core.contracts import State


class Keeps(Protocol):
    """Anything that can be saved."""

    def state(self) -> State:
        """All it knows."""
        ...


def pack(parts: Mapping[str, Keeps]) -> State:
    """The states of several parts as one: tensors as ``name/tensor``, meta by name."""
    states = {name: part.state() for name, part in parts.items()}
    return State(
        {f"{name}/{key}": array for name, state in states.items() for key, array in state.tensors.items()},
        {name: dict(state.meta) for name, state in states.items()},
    )


def unpack(state: State, name: str) -> State:
    """What `pack` put under a name."""
    start = f"{name}/"
    tensors = {
        key.removeprefix(start): array for key, array in state.tensors.items() if key.startswith(start)
    }
    return State(tensors, state.meta.get(name, {}))
