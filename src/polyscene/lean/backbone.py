"""The backbone in NumPy: encodes a few histories at a time, at their newest event.

Legend: B histories, N events of all histories, M positions that ask, L positions that are seen, D width,
H heads, F numbers kept of an event, Q numbers of a query, P distances, T time buckets, R item rows.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace

import numpy as np
from numpy.lib.stride_tricks import as_strided

from polyscene.core.arrays import Array, Floats
from polyscene.core.errors import BundleError
from polyscene.lean.blocks import CLOSED, Block, BlockKind, absorbed, block_of, normed
from polyscene.lean.reading import Asked, pair_buckets
from polyscene.lean.vectors import Vectors

Kept = list[Floats]
"""For each layer what it keeps (N, F) of all events."""
Glance = tuple[slice, slice, Array | None]
"""M positions that ask, the L that they see, and the buckets (M, L) of the time between them."""
PIECE = 100
"""Positions that attend at once: half of 200, so that a quarter less is computed only to be closed."""


@dataclass(frozen=True, slots=True)
class Layer:
    """A block and what its attention adds to scores.

    Shapes: `near` (H, 2 max_len - 1) the bias by distance, from the farthest past to the farthest future,
    which is `CLOSED`; `when` (H, T) the bias by time bucket, None without any.
    """

    block: Block
    near: Floats
    when: Floats | None

    def bias(self, queries: int, keys: int, buckets_ML: Array | None) -> Floats:
        """(H, M, L) the biases of the newest positions of a history of `keys` events."""
        return self.timed(self.laid(queries, keys), buckets_ML)

    def laid(self, queries: int, keys: int) -> Floats:
        """(H, M, L) those by distance: a window onto `near` that moves back by one from row to row."""
        across, along = self.near.strides
        first = self.near.shape[1] // 2 - (keys - queries)
        return as_strided(
            self.near[:, first:],
            (len(self.near), queries, keys),
            (across, -along, along),
            writeable=False,
        )

    def timed(self, near_HML: Floats, buckets_ML: Array | None) -> Floats:
        """(H, M, L) the same biases plus those of time."""
        if self.when is None or buckets_ML is None:
            return near_HML
        return near_HML + self.when.take(buckets_ML, axis=1)


@dataclass(frozen=True, slots=True)
class LeanBackbone:
    """Twin of ``nn.backbone.Backbone`` at the newest event, equal within 1e-5.

    Shapes: `items` (R, D), of which scores are made too; `ages` (max_len, D) by position from the newest
    event, or None; `taps` (K, D) what an event takes over of the K before it, or None; `surface` tables
    by name; `level` scale and shift (D,) of the last norm.
    """

    items: Vectors
    ages: Floats | None
    taps: Floats | None
    surface: Mapping[str, Floats]
    layers: tuple[Layer, ...]
    level: tuple[Floats, Floats]

    @classmethod
    def of(
        cls, items: Vectors, tensors: Mapping[str, Array], block: BlockKind, heads: int, max_len: int
    ) -> "LeanBackbone":
        """From the item vectors and the other tensors of the torch twin, by its names.

        Raises:
            BundleError: A tensor is missing.
        """
        try:
            # A bundle without blocks lacks the tensors of the first, which is told like any other lack.
            *below, top = (
                _layer(_below(tensors, f"trunk.blocks.{number}"), block, heads, max_len)
                for number in range(max(1, len(_names(tensors, "trunk.blocks"))))
            )
            return cls(
                items,
                tensors.get("ages"),
                tensors.get("taps"),
                {name: tensors[f"surface.{name}"] for name in _names(tensors, "surface")},
                (*below, replace(top, block=absorbed(top.block))),
                (tensors["trunk.norm.weight"], tensors["trunk.norm.bias"]),
            )
        except KeyError as missing:
            raise BundleError(
                f"tensor {missing} is missing from the bundle; fit the model again"
            ) from missing

    @property
    def width(self) -> int:
        """Numbers in a vector (D)."""
        return self.items.shape[1]

    @property
    def reach(self) -> int:
        """How many events before it an event's input is made of (K)."""
        return 0 if self.taps is None else len(self.taps)

    def encode(self, asked: Asked, kept: Kept | None = None) -> Floats:
        """(B, D) what each history expects next; zeros for an empty one.

        `kept`, an empty list, receives what each layer keeps of the events.
        """
        vectors_BD = np.zeros((len(asked.offsets) - 1, self.width), np.float32)
        full = np.flatnonzero(np.diff(asked.offsets))
        if not len(full):
            return vectors_BD
        x_ND = self.inputs(asked)
        glances = self._glances(asked, full)
        for layer in self.layers:
            level_ND = normed(x_ND)
            kept_NF = layer.block.attention.keep(level_ND)
            if kept is not None:
                kept.append(kept_NF)
            if layer is self.layers[-1]:
                last_B = asked.offsets[1:][full] - 1
                x_ND, level_ND = x_ND[last_B], level_ND[last_B]
                glances = _last_ones(glances)
            q_MQ, again_MD = layer.block.attention.ask(level_ND)
            found_MD = np.empty_like(x_ND)
            for ask, seen, buckets_ML in glances:
                bias_HML = layer.bias(ask.stop - ask.start, seen.stop - seen.start, buckets_ML)
                found_MD[ask] = layer.block.attention.find(q_MQ[ask], kept_NF[seen], bias_HML)
            x_ND = layer.block.close(x_ND, found_MD, again_MD)
        vectors_BD[full] = self.leveled(x_ND)
        return vectors_BD

    def _glances(self, asked: Asked, full: Array) -> list[Glance]:
        """Every position once; those of a long history in pieces."""
        timed = self.layers[0].when is not None
        glances: list[Glance] = []
        for first, stop in zip(asked.offsets[full].tolist(), asked.offsets[full + 1].tolist(), strict=True):
            for start in range(first, stop, PIECE):
                ask = slice(start, min(start + PIECE, stop))
                seen = slice(first, ask.stop)
                buckets_ML = pair_buckets(asked.sight[ask], asked.seconds[seen]) if timed else None
                glances.append((ask, seen, buckets_ML))
        return glances

    def inputs(self, asked: Asked) -> Floats:
        """(N, D) what the events say, before any of them looks at another."""
        x_ND = self.items.of(asked.rows)
        if self.ages is not None:
            age_N = np.repeat(asked.offsets[1:], np.diff(asked.offsets)) - 1 - np.arange(len(x_ND))
            x_ND += self.ages[age_N]
        for name, codes_N in asked.surface.items():
            x_ND += self.surface[name][codes_N]
        x_ND *= np.float32(x_ND.shape[1] ** 0.5)
        if self.taps is None:
            return x_ND
        place_N = np.arange(len(x_ND)) - np.repeat(asked.offsets[:-1], np.diff(asked.offsets))
        mixed_ND = x_ND.copy()
        for back, tap_D in enumerate(self.taps, 1):
            taken_ND = tap_D * x_ND[:-back]
            taken_ND[place_N[back:] < back] = 0
            mixed_ND[back:] += taken_ND
        return mixed_ND

    def leveled(self, x_BD: Floats) -> Floats:
        """(B, D) through the last norm."""
        scale_D, shift_D = self.level
        leveled_BD: Floats = normed(x_BD) * scale_D + shift_D
        return leveled_BD


def _last_ones(glances: list[Glance]) -> list[Glance]:
    """The newest position of every history alone, the histories numbered."""
    newest = {seen.start: (seen, buckets_ML) for _, seen, buckets_ML in glances}
    return [
        (slice(number, number + 1), seen, None if buckets_ML is None else buckets_ML[-1:])
        for number, (seen, buckets_ML) in enumerate(newest.values())
    ]


def _layer(tensors: Mapping[str, Array], kind: BlockKind, heads: int, max_len: int) -> Layer:
    relative = _below(tensors, "relative" if kind == "hstu" else "attention.relative")
    distance_P = np.arange(max_len - 1, -max_len, -1)
    near_HP = np.zeros((heads, len(distance_P)), np.float32)
    if "near" in relative:
        reach = relative["near"].shape[1]
        near_HP += relative["near"][:, np.clip(distance_P, 0, reach - 1)]
    near_HP[:, distance_P < 0] = CLOSED
    return Layer(block_of(kind, tensors, heads), near_HP, relative.get("when"))


def _names(tensors: Mapping[str, Array], above: str) -> list[str]:
    """The distinct next words of all names under `above`."""
    heads = (name.removeprefix(f"{above}.") for name in tensors if name.startswith(f"{above}."))
    return sorted({head.split(".")[0] for head in heads})


def _below(tensors: Mapping[str, Array], above: str) -> dict[str, Array]:
    start = f"{above}."
    return {name.removeprefix(start): array for name, array in tensors.items() if name.startswith(start)}
