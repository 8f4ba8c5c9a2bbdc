"""Which items an expression lets through: column by column, over the whole catalogue at once."""

from collections.abc import Callable, Mapping
from operator import ge, gt, le, lt

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Bools, Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import nearest
from polyscene.rules.expression import All, Check, Expr, Node, Not, Some, Value, parse, problem

__all__ = ["Expr", "attributes", "mask", "parse"]

_ORDERED: Mapping[str, Callable[[Array, float], Bools]] = {"<": lt, "<=": le, ">": gt, ">=": ge}


def attributes(catalogue: Catalogue) -> dict[str, Column]:
    """What a filter may name: the catalogue's columns, ``kind``, and ``put_at`` in UTC ms."""
    return {
        "kind": Column("category", catalogue.kinds.astype(np.int32), catalogue.kind_names),
        "put_at": Column("number", catalogue.put_at.astype(np.float64)),
        **catalogue.columns,
    }


def mask(expr: Expr, catalogue: Catalogue) -> Bools:
    """(I,) where the expression holds; whether an item is active is not asked here.

    A missing value (NaN, ``""``, no tags, unknown category) satisfies no comparison, ``!=`` and
    ``not in`` included; ``not (...)`` turns the whole bracket round, missing values too.

    Raises:
        FilterError: An unknown attribute (with the nearest name), or an operator or value that its
            type can't be compared with.
    """
    return _walk(expr.node, attributes(catalogue), expr.text)


def _walk(node: Node, columns: Mapping[str, Column], text: str) -> Bools:
    if isinstance(node, Not):
        return ~_walk(node.part, columns, text)
    if isinstance(node, All | Some):
        join = np.logical_and if isinstance(node, All) else np.logical_or
        found = _walk(node.parts[0], columns, text)
        for part in node.parts[1:]:
            found = join(found, _walk(part, columns, text))
        return found
    if node.name not in columns:
        raise problem(text, node.at, f"unknown attribute {node.name!r}{nearest(node.name, columns)}")
    return _check(node, columns[node.name], text)


def _check(check: Check, column: Column, text: str) -> Bools:
    present = _present(column)
    if check.op == "present":
        return present
    if check.op == "missing":
        return ~present
    if isinstance(column.values, Ragged):
        return _tags(check, column.values, column.vocabulary, text)
    if check.op in ("has any", "has all"):
        raise problem(text, check.at, f"{check.name!r} is a {column.type}, not tags; use '=' or 'in [..]'")
    if check.op in _ORDERED:
        if column.type != "number":
            raise problem(
                text, check.at, f"{check.name!r} is a {column.type}: it has no order; use '=' or 'in [..]'"
            )
        return present & _ORDERED[check.op](column.values, _number(check, check.values[0], text))
    equal = _equal(check, column, column.values, text)
    return present & (~equal if check.op in ("!=", "not in") else equal)


def _present(column: Column) -> Bools:
    if isinstance(column.values, Ragged):
        return column.values.lengths > 0
    if column.type == "number":
        return ~np.isnan(column.values)
    found: Bools = column.values >= 0 if column.type == "category" else column.values != ""
    return found


def _equal(check: Check, column: Column, values: Array, text: str) -> Bools:
    """(I,) where the column equals one of the values."""
    if column.type == "number":
        return np.isin(values, [_number(check, value, text) for value in check.values])
    words = [_word(check, value, text) for value in check.values]
    if column.type == "category":
        return np.isin(values, _places(words, column.vocabulary))
    return np.isin(values.astype(str), words)


def _tags(check: Check, tags: Ragged, vocabulary: tuple[str, ...], text: str) -> Bools:
    if check.op not in ("has any", "has all"):
        raise problem(text, check.at, f"{check.name!r} holds tags; use 'has any [..]' or 'has all [..]'")
    words = sorted({_word(check, value, text) for value in check.values})
    wanted = _places(words, vocabulary)
    if check.op == "has all" and len(wanted) < len(words):
        return np.zeros(len(tags), bool)
    rows = tags.rows()
    hits = [np.bincount(rows[tags.values == tag], minlength=len(tags)) > 0 for tag in wanted]
    if not hits:
        return np.zeros(len(tags), bool)
    join = np.logical_and if check.op == "has all" else np.logical_or
    found: Bools = join.reduce(hits)
    return found


def _places(words: list[str], vocabulary: tuple[str, ...]) -> NDArray[np.int32]:
    known = set(words)
    return np.array([place for place, word in enumerate(vocabulary) if word in known], np.int32)


def _number(check: Check, value: Value, text: str) -> float:
    """The value as a number; true is 1 and false 0."""
    if isinstance(value, str):
        raise problem(
            text, check.at, f"{check.name!r} is a number and can't be compared with the text {value!r}"
        )
    return float(value)


def _word(check: Check, value: Value, text: str) -> str:
    """The value as a text; true and false are words where the column holds words."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if not isinstance(value, str):
        raise problem(text, check.at, f"{check.name!r} holds words; put the value {value:g} in quotes")
    return value
