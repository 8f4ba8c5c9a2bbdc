"""Forms of a matrix that take less room than its floats, and the way back.

A form is one or several tensors under the matrix's name, an end of it telling which is which, so a packed
model is tensors by name like any other. Forms nest: the ``:values`` of a thinned matrix may be bytes.

Legend: R rows, D columns, K kept cells of a row, M parts, C centres, P vectors of a pool, H hashes.
"""

from collections.abc import Callable, Mapping

import numpy as np

from polyscene.core.arrays import Array, Floats

SCALE = ":scale"
"""Ends the name of the tensor that has the scales of another one's rows."""
LARGE = ("items", ".weight", "evidence.ease", ":values", ":left", ":right")
"""Ends of the names of the tensors that are nearly all of a sequence model."""
LEAST = 8
"""Other matrices are worth packing from so many rows and columns on."""
COUNTED = (".counts", ".columns")
"""Ends of the names of counts and places, which need not be as wide as they are made."""
PRIMES = (2_654_435_761, 2_246_822_519, 3_266_489_917, 668_265_263)
"""One for each hash of a row number (the multipliers of xxHash)."""
Parts = Mapping[str, Array]


def packed(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The same tensors, large matrices of floats as int8 with a scale for each row beside them.

    Counts and places lose nothing: they become the narrowest whole numbers that hold them.
    """
    made: dict[str, Array] = {}
    for name, values in tensors.items():
        if is_large(name, values):
            scales = np.abs(values).max(1, initial=0) / np.float32(127)
            made[name] = np.rint(values / np.maximum(scales, 1e-30)[:, None]).astype(np.int8)
            made[name + SCALE] = scales
        elif name.endswith(COUNTED):
            made[name] = narrow(values)
        else:
            made[name] = values
    return made


def halved(tensors: Mapping[str, Array]) -> dict[str, Array]:
    """The same tensors, large matrices of floats as bfloat16: the upper half of each, rounded to even."""
    made: dict[str, Array] = {}
    for name, values in tensors.items():
        if is_large(name, values):
            bits = np.ascontiguousarray(values).view(np.uint32)
            made[f"{name}:bf16"] = ((bits + 0x7FFF + (bits >> 16 & 1)) >> 16).astype(np.uint16)
        else:
            made[name] = narrow(values) if name.endswith(COUNTED) else values
    return made


def is_large(name: str, values: Array) -> bool:
    """Whether a tensor is a matrix of floats that is worth packing."""
    matrix = values.dtype == np.float32 and values.ndim == 2
    return matrix and (name.endswith(LARGE) or min(values.shape) >= LEAST)


def narrow(values: Array) -> Array:
    """The same whole numbers in the narrowest type that holds them; other numbers stay as they are."""
    if not values.size or values.min() < 0 or (values != np.floor(values)).any():
        return values
    return values.astype(np.min_scalar_type(int(values.max())))


def hashes(count: int, pool: int, times: int) -> Array:
    """(H, R) int64 places in a pool that the rows share."""
    rows = np.arange(1, count + 1, dtype=np.uint64)
    mixed = [(rows * np.uint64(prime) >> np.uint64(7)) % np.uint64(pool) for prime in PRIMES[:times]]
    return np.array(mixed, np.int64).reshape(times, count)


def unpacked(tensors: Mapping[str, Array], keep: tuple[str, ...] = ()) -> dict[str, Array]:
    """Tensors of floats from packed or plain ones; forms whose parts end in `keep` stay as they are."""
    found = dict(tensors)
    for ends, floats in FORMS:
        if set(ends) & set(keep):
            continue
        for name in [name.removesuffix(ends[-1]) for name in found if name.endswith(ends[-1])]:
            found[name] = floats({end: found.pop(name + end) for end in ends})
    return found


def parts_of(tensors: Mapping[str, Array], name: str) -> dict[str, Array]:
    """The tensors that stand for one matrix, under their own names."""
    return {key: values for key, values in tensors.items() if key == name or key.startswith(f"{name}:")}


def _bytes(parts: Parts) -> Floats:
    floats: Floats = parts[""] * parts[SCALE][:, None]
    return floats


def _bf16(parts: Parts) -> Floats:
    return (parts[":bf16"].astype(np.uint32) << 16).view(np.float32)


def _product(parts: Parts) -> Floats:
    """Each of M parts of a row is one of C centres."""
    codes_RM, book_MCE = parts[":codes"], parts[":book"]
    floats: Floats = book_MCE[np.arange(len(book_MCE)), codes_RM].reshape(len(codes_RM), -1)
    return floats


def _low_rank(parts: Parts) -> Floats:
    floats: Floats = parts[":left"] @ parts[":right"]
    return floats


def _hashed(parts: Parts) -> Floats:
    """A row is the sum of a few vectors of a pool, weighted by its own weights."""
    shares_RH, pool_PD = parts[":shares"], parts[":pool"]
    places_HR = hashes(len(shares_RH), len(pool_PD), shares_RH.shape[1])
    floats: Floats = np.einsum("rh,hrd->rd", shares_RH, pool_PD[places_HR], dtype=np.float32)
    return floats


def _thinned(parts: Parts) -> Floats:
    """A square whose rows have K cells that are not zero."""
    columns_RK = parts[":columns"]
    floats_RR = np.zeros((len(columns_RK), len(columns_RK)), np.float32)
    np.put_along_axis(floats_RR, columns_RK.astype(np.int64), parts[":values"], 1)
    return floats_RR


FORMS: tuple[tuple[tuple[str, ...], Callable[[Parts], Floats]], ...] = (
    (("", SCALE), _bytes),
    ((":bf16",), _bf16),
    ((":codes", ":book"), _product),
    ((":left", ":right"), _low_rank),
    ((":shares", ":pool"), _hashed),
    ((":columns", ":values"), _thinned),
)
"""Ends of the names of each form's tensors, and what makes floats of them; the innermost stand first."""
