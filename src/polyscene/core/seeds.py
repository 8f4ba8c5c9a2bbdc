"""Chance that can be replayed: every random number is a hash of (seed, item)."""

from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Seeds

_GOLDEN = np.uint64(0x9E3779B97F4A7C15)
_MIX_1 = np.uint64(0xBF58476D1CE4E5B9)
_MIX_2 = np.uint64(0x94D049BB133111EB)


def seed_of(text: str, salt: str = "") -> int:
    """A 64-bit seed from an outside id, such as a request id."""
    return int.from_bytes(blake2b(text.encode(), digest_size=8, key=salt.encode()[:64]).digest(), "little")


def mix(seeds: Seeds | Array, keys: Array) -> Seeds:
    """64-bit hashes of seeds and keys, which broadcast; stable across versions and machines.

    Source: SplitMix64 (Steele, Lea and Flood, 2014) as a hash of ``seed + (key + 1) * golden``.
    """
    with np.errstate(over="ignore"):
        z = np.asarray(seeds, np.uint64) + (np.asarray(keys).astype(np.uint64) + np.uint64(1)) * _GOLDEN
        z = (z ^ (z >> np.uint64(30))) * _MIX_1
        z = (z ^ (z >> np.uint64(27))) * _MIX_2
        mixed: Seeds = z ^ (z >> np.uint64(31))
    return mixed


def uniform(seeds: Seeds | Array, keys: Array) -> NDArray[np.float64]:
    """Numbers in [0, 1) from seeds and keys, which broadcast; equal inputs give equal numbers."""
    unit: NDArray[np.float64] = (mix(seeds, keys) >> np.uint64(11)).astype(np.float64) / float(1 << 53)
    return unit
