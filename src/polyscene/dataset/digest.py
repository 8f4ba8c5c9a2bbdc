"""Digests of data, so that two fits are known to have learned from the same."""

from hashlib import sha256

import msgspec
import numpy as np

from polyscene.core.arrays import Array, Ragged
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Edges


def digest_of(data: Data) -> str:
    """Sha256 (hex) of the histories that a fit learns from."""
    digest = sha256(np.ascontiguousarray(data.users).tobytes())
    digest.update(data.histories.offsets.tobytes())
    for name in sorted(data.histories.columns):
        digest.update(np.ascontiguousarray(data.histories[name]).tobytes())
    return digest.hexdigest()


def digest_of_edges(edges: Edges | None) -> str:
    """Sha256 (hex) of all edges, in their order; of none it is empty."""
    if edges is None:
        return ""
    digest = sha256()
    for values in (edges.source, edges.relation, edges.target, edges.weight, edges.users, edges.items):
        digest.update(_bytes(values))
    return digest.hexdigest()


def digest_of_items(catalogue: Catalogue) -> str:
    """Sha256 (hex) of all that is known of the items, or of the users."""
    digest = sha256(msgspec.json.encode(catalogue.kind_names))
    for values in (catalogue.put_at, catalogue.active, catalogue.kinds):
        digest.update(_bytes(values))
    for name, column in sorted(catalogue.columns.items()):
        digest.update(msgspec.json.encode([name, column.type, column.vocabulary]))
        digest.update(_bytes(column.values))
    return digest.hexdigest()


def _bytes(values: Array | Ragged) -> bytes:
    if isinstance(values, Ragged):
        return _bytes(values.offsets) + _bytes(values.values)
    if values.dtype == object:
        return msgspec.json.encode(values.tolist())
    return np.ascontiguousarray(values).tobytes()
