"""The networks of parts as graphs, by what they read: padded histories, events, or bags of items.

Legend: B queries, L positions, D width, R item rows.
"""

from collections.abc import Mapping
from copy import deepcopy
from typing import Any

import torch
from torch import Tensor, nn

from polyscene.core.arrays import Codes
from polyscene.lean.reading import TIME_BUCKETS, Reading
from polyscene.nn.batching import Padded
from polyscene.nn.events import Events, pair_buckets
from polyscene.nn.exported import Graph, Inputs

YEAR_S = 31_536_000
HISTORY = {"rows": ("batch", "length"), "last": ("batch",)}
"""Item rows, padded on the right, and the place of the newest event of each history."""
TIMES = {"seconds": ("batch", "length"), "sight": ("batch", "length")}
"""Seconds of the events, and of what each takes for now: the next event, or the question."""


class _OfHistories(nn.Module):
    """(B, R) logits of what `network` makes of padded histories."""

    def __init__(self, network: Any, items_RD: Tensor, *, timed: bool) -> None:
        super().__init__()
        self.network, self.timed = network, timed
        self.register_buffer("item_vectors", items_RD)

    def forward(self, inputs: Inputs) -> Tensor:
        rows_BL, last_B = inputs["rows"], inputs["last"]
        age_BL = last_B[:, None] - torch.arange(rows_BL.shape[1])
        times = (inputs["seconds"], inputs["sight"]) if self.timed else None
        sequences = Padded(rows_BL, age_BL.clamp(min=0), age_BL >= 0, last_B, times)
        logits_BR: Tensor = self.network(sequences, newest=True) @ self.get_buffer("item_vectors").mT
        return logits_BR


def history_graph(
    network: nn.Module, items_RD: Tensor, codes: Codes, longest: int, *, timed: bool
) -> Graph:
    """That of a network of padded histories; `timed` ones read seconds too."""
    axes = {**HISTORY, **TIMES} if timed else HISTORY

    def examples(batch: int, length: int) -> Inputs:
        return _histories(batch, length, len(items_RD), timed=timed)

    return Graph(_OfHistories(network, items_RD, timed=timed), examples, axes, longest, codes)


class _OfEvents(nn.Module):
    """(B, R) logits of a backbone; what was counted beside it is no part of them."""

    def __init__(self, network: Any, items_RD: Tensor, sizes: Mapping[str, int], *, timed: bool) -> None:
        super().__init__()
        self.network, self.names, self.timed = network, tuple(sizes), timed
        self.register_buffer("item_vectors", items_RD)

    def forward(self, inputs: Inputs) -> Tensor:
        rows_BL, last_B = inputs["rows"], inputs["last"]
        real_BL = last_B[:, None] >= torch.arange(rows_BL.shape[1])
        buckets = pair_buckets(inputs["sight"], inputs["seconds"]) if self.timed else None
        surface = {name: inputs[name] for name in self.names}
        items_RD = self.get_buffer("item_vectors")
        events = Events(rows_BL, real_BL, last_B, surface, buckets)
        logits_BR: Tensor = self.network(events, items_RD, newest=True) @ items_RD.mT
        return logits_BR


def event_graph(network: nn.Module, items_RD: Tensor, codes: Codes, reading: Reading) -> Graph:
    """That of a backbone that reads events as `reading` says."""
    sizes, timed = reading.sizes, reading.clock != "order"
    axes = {**HISTORY, **(TIMES if timed else {}), **dict.fromkeys(sizes, ("batch", "length"))}

    def examples(batch: int, length: int) -> Inputs:
        place_BL = torch.arange(batch * length).view(batch, length)
        surface = {name: place_BL % size for name, size in sizes.items()}
        return {**_histories(batch, length, len(items_RD), timed=timed), **surface}

    return Graph(_OfEvents(network, items_RD, sizes, timed=timed), examples, axes, reading.max_len, codes)


class _WholeBags(nn.Module):
    """Twin of ``nn.bags.BagSum`` for bags that are written out, (B, R) of zeros and ones."""

    def __init__(self, layer: Any) -> None:
        super().__init__()
        self.vectors, self.bias = layer.vectors, layer.bias

    def forward(self, touched_BR: Tensor, *, whole: bool = True) -> Tensor:
        counts_B1 = touched_BR.sum(1, keepdim=True).clamp(min=1)
        sum_BH: Tensor = (touched_BR * counts_B1.rsqrt()) @ self.vectors + self.bias
        return sum_BH


class _OfBags(nn.Module):
    """(B, R) what an autoencoder gives each item."""

    def __init__(self, network: Any) -> None:
        super().__init__()
        self.network = network

    def forward(self, inputs: Inputs) -> Tensor:
        scores_BR: Tensor = self.network.outputs(self.network.encode(inputs["touched"]))
        return scores_BR


def bag_graph(network: Any, codes: Codes) -> Graph:
    """That of an autoencoder: ``touched`` is (B, R), 1 where a user touched the item."""
    whole, rows = deepcopy(network), len(codes)
    whole.inputs = _WholeBags(network.inputs)

    def examples(batch: int, length: int) -> Inputs:
        touched = torch.arange(batch * rows).view(batch, rows) % (length + 1) == 0
        return {"touched": touched.float()}

    return Graph(_OfBags(whole), examples, {"touched": ("batch", None)}, rows, codes)


def _histories(batch: int, length: int, rows: int, *, timed: bool) -> Inputs:
    """Histories of all lengths up to one, with a gap of every size from a second to years."""
    place_BL = torch.arange(batch * length).view(batch, length)
    made = {"rows": place_BL * 7 % rows, "last": torch.arange(batch) * 3 % length}
    made["last"][0] = length - 1
    if timed:
        growth = torch.linspace(0, 1, length) ** TIME_BUCKETS
        made["seconds"] = (growth * YEAR_S).long().expand(batch, length).contiguous()
        made["sight"] = torch.cat([made["seconds"][:, 1:], made["seconds"][:, -1:] + 60], 1)
    return made
