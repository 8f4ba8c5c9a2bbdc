"""HSTU: pointwise gated attention over a history with its times predicts the next item.

Legend: B sequences, L positions, D width, R item rows.
"""

from typing import Annotated

import msgspec
import torch
from torch import Tensor
from torch.nn import functional

from polyscene.core.errors import ConfigError
from polyscene.lean.reading import TIME_BUCKETS, Clock
from polyscene.nn.batching import Padded
from polyscene.nn.events import pair_buckets
from polyscene.nn.layers import Shape, Trunk, table
from polyscene.nn.next_item import HistoryNetwork, Learning, NextItemModel, Positive


class Hstu(NextItemModel, frozen=True, kw_only=True, tag="hstu"):
    """Gated attention by SiLU over the newest `max_len` events, with biases for distance and for time.

    `clock`: ``"query"`` knows when the question is asked, as the published model does, ``"last"`` only the
    times of the events, ``"order"`` none; data without times is read by order. Vectors of history and item
    have unit length and their cosine is divided by `temperature`; 0 takes the plain inner product. See
    `NextItemConfig` for what it learns by, `Trained` for how. Unknown items of a history are skipped; an
    empty history gets the log popularity. Items put after the fit are not scored.

    Source: Zhai et al. 2024 ("Actions speak louder than words"), as in its public experiments on MovieLens
    with items alone; full softmax in place of 128 negatives, and attention divided by the number of
    positions seen in place of the longest length.
    """

    layers: Positive = 2
    heads: Positive = 1
    clock: Clock = "query"
    temperature: Annotated[float, msgspec.Meta(ge=0)] = 0.05

    def __post_init__(self) -> None:
        if self.dim % self.heads:
            raise ConfigError(
                f"hstu: dim {self.dim} can't be cut into {self.heads} heads; choose a multiple"
            )

    def network(self, rows: int, chance: torch.Generator) -> "Network":
        """Items, and what reads them."""
        return Network(self, rows, chance)

    def learning(self) -> Learning["Network"]:
        """See `NextItemModel.learning`; it reads times where there are any."""
        return Learning(self, self.network, self.clock)


class Network(HistoryNetwork):
    """Item table, position table and a trunk that knows distances and times."""

    def __init__(self, config: Hstu, rows: int, chance: torch.Generator) -> None:
        super().__init__()
        self.temperature = config.temperature
        self.items = table(rows, config.dim, chance)
        self.positions = table(config.max_len, config.dim, chance)
        buckets = TIME_BUCKETS if config.clock != "order" else 0
        shape = Shape(
            config.dim, config.layers, config.heads, "hstu", config.dropout, config.max_len, buckets
        )
        self.trunk = Trunk(shape, chance)

    def forward(self, sequences: Padded, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`."""
        x_BLD = self.items[sequences.rows] * self.items.shape[1] ** 0.5 + self.positions[sequences.ages]
        buckets_BLL = None
        if sequences.times is not None:
            then_BL, now_BL = sequences.times
            buckets_BLL = pair_buckets(now_BL, then_BL)
        output_xD: Tensor = self.trunk(x_BLD, sequences.last if newest else None, buckets_BLL)
        if not self.temperature:
            return output_xD
        return functional.normalize(output_xD, dim=-1) / self.temperature

    def outputs(self) -> Tensor:
        """(R, D) item vectors, of unit length where the score is a cosine."""
        return functional.normalize(self.items, dim=-1) if self.temperature else self.items
