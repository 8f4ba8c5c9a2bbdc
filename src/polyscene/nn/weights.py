"""All parameters of a model as one vector, their moving average, and their way in and out of a bundle.

Legend: P parameters in all.
"""

from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager

import torch
from torch import nn

from polyscene.core.arrays import Array
from polyscene.core.errors import BundleError


class Weights:
    """Every parameter of a model as a window onto one vector, so that a step touches one array, not fifty.

    Shapes: `flat` (P,) the parameter to optimise, `average` (P,) its exponential moving average.
    """

    def __init__(self, model: nn.Module) -> None:
        parameters = list(model.parameters())
        self.flat = nn.Parameter(torch.cat([each.detach().reshape(-1) for each in parameters]))
        self.flat.grad = torch.zeros_like(self.flat)
        start = 0
        for each in parameters:
            window = slice(start, start + each.numel())
            each.data = self.flat.data[window].view_as(each)
            each.grad = self.flat.grad[window].view_as(each)
            start = window.stop
        self.average = self.flat.detach().clone()

    def follow(self, decay: float) -> None:
        """Moves the average toward the present weights; `decay` near 1 moves it little."""
        self.average.lerp_(self.flat.detach(), 1 - decay)

    @contextmanager
    def averaged(self) -> Iterator[None]:
        """While open, the model computes with the average."""
        present = self.flat.detach().clone()
        self.flat.data.copy_(self.average)
        try:
            yield
        finally:
            self.flat.data.copy_(present)


def tensors_of(model: nn.Module) -> dict[str, Array]:
    """Every parameter by name, as arrays of their own."""
    return {name: value.detach().cpu().numpy().copy() for name, value in model.named_parameters()}


def put_tensors(model: nn.Module, tensors: Mapping[str, Array]) -> None:
    """Copies saved arrays into a model of the same shape.

    Raises:
        BundleError: One is missing or of another shape.
    """
    for name, parameter in model.named_parameters():
        if name not in tensors:
            raise BundleError(f"tensor {name!r} is missing from the bundle; fit the model again")
        if tensors[name].shape != tuple(parameter.shape):
            raise BundleError(
                f"tensor {name!r} has shape {tensors[name].shape}, but the config asks for"
                f" {tuple(parameter.shape)}; load the bundle with the config it was fitted with"
            )
        parameter.data.copy_(torch.from_numpy(tensors[name]))


def take_over(model: nn.Module, older: nn.Module, home_R: Array, by_item: Collection[str]) -> None:
    """Copies what fits of an older model: weights of equal shape, rows of the items that both know.

    `by_item` names the weights with a row for each item; `home_R`: the older row of each item, -1 for none.
    """
    theirs = dict(older.named_parameters())
    home = torch.from_numpy(home_R)
    known_R = home >= 0
    for name, mine in model.named_parameters():
        if name not in theirs:
            continue
        if name in by_item and theirs[name].shape[1:] == mine.shape[1:]:
            mine.data[known_R] = theirs[name].data[home[known_R]].to(mine.device)
        elif name not in by_item and theirs[name].shape == mine.shape:
            mine.data.copy_(theirs[name])
