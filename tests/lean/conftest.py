"""Torch twins with weights far from their start, and histories to read."""

from collections.abc import Callable

import numpy as np
import pytest
import torch

from polyscene.core.arrays import RaggedTable
from polyscene.core.queries import history_of
from polyscene.core.rows import Rows
from polyscene.lean.backbone import LeanBackbone
from polyscene.lean.reading import Reading
from polyscene.lean.vectors import FloatVectors
from polyscene.nn.backbone import Backbone, Equipment
from polyscene.nn.content import ItemTable
from polyscene.nn.layers import Shape
from polyscene.nn.weights import tensors_of

ITEMS = 30
DIM = 16
ROWS = Rows(np.arange(ITEMS))


@pytest.fixture
def twins() -> Callable[..., tuple[Backbone, LeanBackbone, Reading]]:
    """Makes a torch backbone, its lean form and what both read."""

    def make(
        block="ligr",
        heads=1,
        layers=2,
        clock="order",
        positions="relative",
        max_len=12,
        seed=0,
        short_conv=2,
    ):
        edges = np.array([1, 2, 4], np.float32)
        reading = Reading(max_len, 3, 2, edges, clock)
        reach = max_len if positions in ("relative", "both") else 0
        buckets = 0 if clock == "order" else 66
        shape = Shape(DIM, layers, heads, block, 0.0, reach, buckets)
        chance = torch.Generator().manual_seed(seed)
        aged = max_len if positions in ("end", "both") else 0
        equipment = Equipment(reading.sizes, aged, short_conv)
        network = Backbone(ItemTable(ITEMS, DIM, chance), shape, equipment, chance)
        for parameter in network.parameters():
            parameter.data += torch.empty_like(parameter).normal_(std=0.3, generator=chance)
        network.eval().requires_grad_(False)
        lean = LeanBackbone.of(
            FloatVectors(network.items().numpy()), tensors_of(network), block, heads, max_len
        )
        return network, lean, reading

    return make


@pytest.fixture
def histories() -> Callable[..., RaggedTable]:
    """Makes histories of the given lengths, with all columns and seconds far and near."""

    def make(lengths, seed=0):
        rng = np.random.default_rng(seed)
        gaps = [np.exp(rng.uniform(0, 16, length)) * 1000 for length in lengths]
        table = history_of(
            [rng.integers(-1, ITEMS + 2, length).tolist() for length in lengths],
            [np.cumsum(gap).astype(np.int64).tolist() for gap in gaps],
        )
        count = len(table["item"])
        table.columns["action"][:] = rng.integers(-1, 4, count)
        table.columns["value"][:] = rng.uniform(0, 6, count)
        table.columns["scenario"][:] = rng.integers(-1, 3, count)
        return table

    return make
