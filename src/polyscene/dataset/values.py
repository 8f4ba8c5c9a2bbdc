"""Raw columns to typed ones: ids, words, numbers, attributes. What is corrected is booked."""

import numpy as np
import polars as pl

from polyscene.core.errors import DataError
from polyscene.dataset.ledger import Ledger
from polyscene.dataset.schema import TAGS, TEXTS, fold

ID_LENGTH = 512
MISSING = ("", "\\N", "NULL", "null", "NaN", "nan")
"""Ids that mean "no id" in exports of databases and data frames."""
_CONTROL = r"[\x00-\x1f\x7f-\x9f]"
_ODD = r"[^!-~]"
"""What ids must have to need any care at all: spaces, control characters, letters beyond ASCII."""
_CATEGORICAL = pl.Categorical()


def read_ids(
    raw: pl.Series,
    name: str,
    where: str,
    ledger: Ledger,
    *,
    whole: bool | None = None,
    kind: pl.Categorical = _CATEGORICAL,
) -> pl.Series:
    """Ids as Categorical: numbers by their digits, texts trimmed and in Unicode NFC; null where missing.

    `whole`: for a piece of a column of floats, whether all of the column is whole; None: the piece tells.
    `kind`: the categories to use.

    Raises:
        DataError: The column holds lists, truths or dates; `where` names file and column.
    """
    texts = _texts(raw, where, is_whole(raw) if whole is None else whole).alias(name)
    ids = texts.cast(kind)
    distinct = _distinct(ids)
    odd = distinct.filter(distinct.str.contains(_ODD))
    if (odd.str.strip_chars().str.normalize("NFC") != odd).any():
        fixed = texts.str.strip_chars()
        ledger.change(f"{name}: spaces around it cut", int((fixed != texts).sum()))
        normal = fixed.str.normalize("NFC")
        ledger.change(f"{name}: Unicode brought to NFC", int((normal != fixed).sum()))
        texts, ids = normal, normal.cast(kind)
        distinct = _distinct(ids)
    if distinct.is_in(MISSING).any():
        kept = pl.when(~pl.col(name).is_in(MISSING)).then(pl.col(name))
        ids = texts.to_frame().select(kept).to_series().cast(kind)
    return ids


def _distinct(ids: pl.Series) -> pl.Series:
    """The different ids of a Categorical column as texts; by a table of their numbers, without hashing."""
    there = ids.drop_nulls()
    numbers = there.to_physical().to_numpy()
    place = np.full(int(numbers.max(initial=0)) + 1, -1)
    place[numbers] = np.arange(len(numbers))
    return there.gather(place[place >= 0]).cast(pl.String)


def is_whole(raw: pl.Series) -> bool:
    """Whether no value has a fraction; of a column that holds no floats it is taken to be so."""
    return not raw.dtype.is_float() or bool((raw.cast(pl.Int64, strict=False) == raw).all())


def _texts(raw: pl.Series, where: str, whole: bool) -> pl.Series:
    if raw.dtype == pl.String or raw.dtype in (pl.Categorical, pl.Enum):
        return raw.cast(pl.String)
    if raw.dtype.is_float():
        return (raw.cast(pl.Int64, strict=False) if whole else raw).cast(pl.String)
    if raw.dtype.is_integer() or raw.dtype == pl.Null:
        return raw.cast(pl.String)
    raise DataError(f"{where}: holds {raw.dtype}, which can't be an id; expected texts or whole numbers")


def id_faults(frame: pl.DataFrame, name: str) -> list[tuple[str, pl.Expr]]:
    """Causes to drop a row for its id: missing, too long, or with control characters."""
    column = pl.col(name)
    faults = [(f"{name} is missing", column.is_null())]
    distinct = _distinct(frame[name])
    long = distinct.filter(distinct.str.len_chars() > ID_LENGTH)
    if len(long):
        faults.append((f"{name} is longer than {ID_LENGTH} characters", _among(column, long)))
    distinct = distinct.filter(distinct.str.contains(_ODD))
    control = distinct.filter(distinct.str.contains(_CONTROL))
    if len(control):
        faults.append((f"{name} holds a control character", _among(column, control)))
    broken = distinct.filter(distinct.str.contains("\ufffd"))
    if len(broken):
        faults.append((f"{name} holds a broken letter (U+FFFD)", _among(column, broken)))
    return faults


def _among(column: pl.Expr, ids: pl.Series) -> pl.Expr:
    return column.cast(pl.String).is_in(ids.implode())


def read_words(raw: pl.Series, name: str, default: str, ledger: Ledger) -> pl.Series:
    """Names such as actions as Categorical, trimmed; `default` where missing."""
    texts = raw.cast(pl.String).str.strip_chars().alias(name)
    empty = texts.is_null() | (texts == "")
    if empty.any():
        filled = pl.when(empty).then(pl.lit(default)).otherwise(pl.col(name)).alias(name)
        if default:
            ledger.change(f"{name}: missing, set to {default!r}", int(empty.sum()))
        texts = texts.to_frame().select(filled).to_series()
    return texts.cast(pl.Categorical)


def read_numbers(raw: pl.Series, name: str, where: str) -> pl.Series:
    """Numbers as Float64: null where missing, NaN where there is something that is no finite number.

    Raises:
        DataError: The column holds lists, dates or the like.
    """
    if raw.dtype == pl.String:
        plain = raw.cast(pl.Float64, strict=False)
        if plain.null_count() == raw.null_count() and plain.is_finite().all():
            return plain.alias(name)
        # 2,5 is a number in half of the world; 1,234 may be a thousand, so nobody can tell: not a number
        raw = raw.str.strip_chars().str.replace(r"^([+-]?\d+),(\d{1,2}|\d{4,})$", "$1.$2")
        numbers = raw.cast(pl.Float64, strict=False)
        missing = raw.is_null() | (raw == "")
    elif raw.dtype.is_numeric() or raw.dtype in (pl.Boolean, pl.Null):
        numbers, missing = raw.cast(pl.Float64), raw.is_null()
    else:
        raise DataError(f"{where}: holds {raw.dtype}, which is no number; map another column")
    pair = pl.DataFrame({"n": numbers, "missing": missing})
    n = pl.col("n")
    value = pl.when(pl.col("missing")).then(None).when(n.is_finite()).then(n).otherwise(float("nan"))
    return pair.select(value.alias(name)).to_series()


def read_attribute(raw: pl.Series, kind: str, ledger: Ledger) -> pl.Series | None:
    """An attribute as Float64, Boolean, String or List(String); None for what can't be one (structs).

    Text that is all numbers becomes numbers, unless a number starts with a zero, as zip codes do. Text of
    a column known to list words (genres, tags) is split at ``|``; `kind` ``token_seq`` splits at spaces.
    Whole numbers in a column whose name ends in "id" are names, not amounts. Numbers that are not finite
    become null.
    """
    dtype = raw.dtype
    if isinstance(dtype, pl.List | pl.Array):
        return raw.cast(pl.List(pl.String)).list.drop_nulls()
    if dtype == pl.Boolean or (dtype.is_integer() and fold(raw.name).endswith("id")):
        return raw if dtype == pl.Boolean else raw.cast(pl.String)
    if dtype.is_numeric():
        return _finite(raw.cast(pl.Float64), ledger)
    if dtype.is_temporal():
        return raw.cast(pl.Datetime("ms")).dt.epoch("ms").cast(pl.Float64)
    if dtype in (pl.String, pl.Categorical, pl.Enum):
        return _text_attribute(raw.cast(pl.String), fold(raw.name), kind, ledger)
    return None


def _text_attribute(raw: pl.Series, name: str, kind: str, ledger: Ledger) -> pl.Series:
    trimmed = raw.str.strip_chars()
    column = pl.col(raw.name)
    texts = trimmed.to_frame().select(pl.when(column != "").then(column)).to_series()
    separator = _separator(texts, name, kind)
    if separator:
        return texts.str.split(separator).list.eval(
            pl.element().str.strip_chars().filter(pl.element().str.strip_chars() != "")
        )
    if name in TEXTS:
        return texts
    numbers = texts.cast(pl.Float64, strict=False)
    padded = texts.str.contains(r"^[+-]?0\d").any()
    if len(texts) > texts.null_count() == numbers.null_count() and not padded:
        return _finite(numbers, ledger)
    return texts


def _separator(texts: pl.Series, name: str, kind: str) -> str | None:
    if name in TEXTS:
        return None
    if kind == "token_seq":
        return " "
    return "|" if name in TAGS and texts.str.contains("|", literal=True).any() else None


def _finite(numbers: pl.Series, ledger: Ledger) -> pl.Series:
    odd = numbers.is_not_null() & ~numbers.is_finite()
    ledger.change(f"{numbers.name}: not finite, set to missing", int(odd.sum()))
    column = pl.col(numbers.name)
    return numbers.to_frame().select(pl.when(column.is_finite()).then(column)).to_series()
