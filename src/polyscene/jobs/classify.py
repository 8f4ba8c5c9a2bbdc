"""Tabular classification: from a file with a label column to a bundle that scores other files."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import numpy as np
import polars as pl

from polyscene.artifacts.bundle import Facts, read_bundle, write_bundle
from polyscene.core.arrays import Array, Bools, Floats
from polyscene.core.clock import SystemClock
from polyscene.core.config import to_json, with_settings
from polyscene.core.contracts import Progress, Run, silent
from polyscene.core.errors import BundleError, DataError, InputError, nearest
from polyscene.dataset.fields import Field, fields_of
from polyscene.dataset.readers import ROW, collect, scan
from polyscene.evaluate.intervals import ends
from polyscene.evaluate.pointwise import classifier, resampled_classifier
from polyscene.rank.classifier import Classifier, Table, classifier_config, fit_classifier

KIND = "classifier"
POSITIVE = ("1", "1.0", "true", "yes", "y", "t")
PARTS = ("train", "valid", "test")
LEAST = 10
"""Rows that training and test part need each."""
SUSPICIOUS = 0.999


@dataclass(frozen=True, slots=True)
class ClassifyRequest:
    """What to learn from which file.

    `columns`: roles told by name (see `dataset.fields`). `split`: column that says train, valid or test;
    without it `test_share` of the rows are drawn for the test, and `valid_share` of the others to stop by.
    `on`: the part that is measured; settings are to be tuned on ``"valid"``.
    """

    file: Path
    label: str
    model: str = "dcn"
    settings: Mapping[str, str] = field(default_factory=dict)
    columns: Mapping[str, str] = field(default_factory=dict)
    split: str | None = None
    test_share: float = 0.2
    valid_share: float = 0.1
    on: Literal["test", "valid"] = "test"
    seed: int = 0
    out: Path | None = None


def classify(request: ClassifyRequest, progress: Progress = silent) -> dict[str, Any]:
    """Learns, and gives figures with their 95 % intervals; see `_doubts` for what is warned of.

    Raises:
        DataError: The file can't be read, or the label or split column is none.
        ConfigError: Unknown model or setting, or the loss diverged.
        BundleError: `out` exists.
    """
    if request.out is not None and request.out.exists():
        raise BundleError(f"{request.out}: a bundle is never overwritten; give a new folder")
    config = with_settings(classifier_config(request.model), request.settings, request.model)
    frame, notes = read_table(request.file)
    table, words, more = _labelled(frame, request.label, str(request.file))
    train, valid, test = _parts(table.frame, request)
    aside = [name for name in (request.label, request.split) if name]
    fields = fields_of(table.frame.filter(train).drop(aside), request.columns)
    run = Run(seed=request.seed, progress=progress)
    began = time.process_time()
    part = replace(fit_classifier(config, fields, table, (train, valid), run), words=words)
    seconds = time.process_time() - began
    rows = np.flatnonzero(test if request.on == "test" else valid)
    chances = part.chances(table.frame[rows], table.where)
    figures = measured(table.labels[rows], chances, request.seed)
    warnings = [*notes, *more, *run.warnings, *_doubts(table.frame, part.fields, (train, test), figures)]
    result = {
        "file": str(request.file),
        "model": to_json(config),
        "label": {"column": request.label, "negative": words[0], "positive": words[1]},
        "rows": dict(zip(PARTS, (int(each.sum()) for each in (train, valid, test)), strict=True)),
        "columns": [{"name": each.name, "role": each.role, "why": each.why} for each in fields],
        "on": request.on,
        "figures": figures,
        "fit_cpu_s": seconds,
        "warnings": warnings,
        "bundle": request.out,
    }
    if request.out is not None:
        _save(part, request.out, figures, warnings)
    return result


def score(file: Path, bundle: Path, out: Path | None = None) -> dict[str, Any]:
    """Chances of another file's rows by a bundle of `classify`; written beside its columns into `out`.

    Raises:
        BundleError: The bundle is damaged or of another sort.
        DataError: The file can't be read or lacks a column.
    """
    manifest, state = read_bundle(bundle)
    if manifest.kind != KIND:
        raise BundleError(f"{bundle}: holds a {manifest.kind!r}; expected a bundle of `polyscene classify`")
    if out is not None and out.exists():
        raise InputError(f"{out}: exists; scores are never written over a file, give a new name")
    part = Classifier.load(state, Run())
    frame, notes = read_table(file)
    chances = part.chances(frame, str(file))
    if out is not None:
        scored = frame.with_columns(pl.Series("chance", chances))
        scored.write_parquet(out) if out.suffix == ".parquet" else scored.write_csv(out)
    return {
        "file": str(file),
        "rows": len(chances),
        "positive": part.words[1],
        "mean_chance": float(chances.mean()) if len(chances) else None,
        "chances": chances,
        "warnings": notes,
        "out": out,
    }


def read_table(file: Path) -> tuple[pl.DataFrame, list[str]]:
    """The rows of a file, and what there is to say of its broken lines. Raises DataError as `scan` does."""
    if not file.is_file():
        raise DataError(f"{file}: no such file; expected CSV, TSV, JSON lines or Parquet")
    raw = scan(file)
    frame, raw = collect(raw, list(raw.columns))
    notes = [f"{file}: {note}" for note in raw.notes]
    if raw.broken:
        first = raw.broken[0]
        notes.append(f"{file}: {len(raw.broken)} lines left out; row {first.row}: {first.cause}")
    return frame.drop(ROW), notes


def measured(labels: Array, chances: Floats, seed: int = 0) -> dict[str, dict[str, float]]:
    """AUC, log loss and accuracy, each with the ends of its 95 % bootstrap interval."""
    draws = resampled_classifier(labels, chances, seed=seed)
    found = classifier(labels, chances)
    figures = {}
    for name in ("auc", "log_loss", "accuracy"):
        low, high = ends(draws[name])
        figures[name] = {"value": found[name], "low": low, "high": high}
    return figures


def _labelled(frame: pl.DataFrame, label: str, where: str) -> tuple[Table, tuple[str, str], list[str]]:
    """The rows that have a label, what the two labels are called, and a note on those without one."""
    if label not in frame.columns:
        raise DataError(f"{where}: no column {label!r}{nearest(label, frame.columns)}")
    column = frame[label]
    if column.dtype.is_nested():
        raise DataError(f"{where}: column {label!r} holds {column.dtype}; expected two different values")
    texts = column.cast(pl.String).str.strip_chars()
    there = (texts.is_not_null() & (texts != "")).fill_null(value=False)
    words = sorted(set(texts.filter(there).to_list()))
    if len(words) != 2:
        shown = ", ".join(words[:6])
        raise DataError(
            f"{where}: column {label!r} has {len(words)} different values ({shown}); expected two. Make"
            " one with two, such as whether a rating is 4 or more"
        )
    known = [word for word in words if word.lower() in POSITIVE]
    positive = known[0] if len(known) == 1 else words[1]
    negative = words[0] if positive == words[1] else words[1]
    missing = len(frame) - int(there.sum())
    notes = [f"{missing:,} rows have no {label!r} and were left out"] if missing else []
    labels = (texts.filter(there) == positive).cast(pl.Float32).to_numpy()
    return Table(frame.filter(there), labels, where), (negative, positive), notes


def _parts(frame: pl.DataFrame, request: ClassifyRequest) -> tuple[Bools, Bools, Bools]:
    """(N,) masks of training, validation and test rows."""
    rng = np.random.default_rng(request.seed)
    if request.split is None:
        test = rng.random(len(frame)) < request.test_share
        valid = ~test & (rng.random(len(frame)) < request.valid_share)
    else:
        test, valid = _told_parts(frame, request.split, str(request.file))
        if not valid.any():
            valid = ~test & (rng.random(len(frame)) < request.valid_share)
    train = ~test & ~valid
    for name, part in (("training", train), ("test", test)):
        if part.sum() < LEAST:
            raise DataError(f"{request.file}: {int(part.sum())} rows for the {name} part; need {LEAST}")
    return train, valid, test


def _told_parts(frame: pl.DataFrame, split: str, where: str) -> tuple[Bools, Bools]:
    if split not in frame.columns:
        raise DataError(f"{where}: no column {split!r} to split by{nearest(split, frame.columns)}")
    words = frame[split].cast(pl.String)
    odd = set(words.unique().to_list()) - set(PARTS)
    if odd:
        raise DataError(
            f"{where}: column {split!r} says {min(map(str, odd))!r}; expected train, valid and test"
        )
    return (words == "test").to_numpy(), (words == "valid").to_numpy()


def _doubts(
    frame: pl.DataFrame,
    fields: tuple[Field, ...],
    parts: tuple[Bools, Bools],
    figures: Mapping[str, Mapping[str, float]],
) -> list[str]:
    """What makes the figures doubtful, as sentences."""
    doubts = []
    train, test = parts
    hashes = frame.select([each.name for each in fields]).hash_rows().to_numpy()
    share = float(np.isin(hashes[test], hashes[train]).mean())
    if share > 0.05:
        doubts.append(f"{share:.0%} of the test rows stand in the training part too, label aside")
    if figures["auc"]["value"] > SUSPICIOUS:
        doubts.append("too good to be true: look for a column that is made from the label")
    return doubts


def _save(part: Classifier, out: Path, figures: Mapping[str, Any], warnings: list[str]) -> None:
    facts = Facts(
        kind=KIND,
        created=SystemClock().now(),
        config=to_json(part.config),
        metrics={name: each["value"] for name, each in figures.items()},
        notes=tuple(warnings),
    )
    write_bundle(out, facts, part.state())
