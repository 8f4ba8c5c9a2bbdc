"""Looks at everything a workspace stands on and says what is well, odd or broken."""

import platform
import shutil
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Literal

import polyscene
from polyscene.core.clock import SystemClock, show_time
from polyscene.core.errors import NotFoundError, PolysceneError
from polyscene.jobs.workspace import Workspace

Verdict = Literal["ok", "warn", "fail"]
LOW_DISK = 1 << 30
LIBRARIES = (
    "torch",
    "numpy",
    "scipy",
    "polars",
    "implicit",
    "faiss-cpu",
    "safetensors",
    "starlette",
    "uvicorn",
)


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing looked at: `found` says what is there and, where it is not well, what to do."""

    verdict: Verdict
    what: str
    found: str


def examine(root: Path) -> list[Finding]:
    """Every finding about the environment and the workspace at `root`; never raises a known error."""
    findings = [*_environment()]
    try:
        space = Workspace.open(root)
    except NotFoundError as problem:
        return [*findings, Finding("warn", "workspace", str(problem))]
    except PolysceneError as problem:
        return [*findings, Finding("fail", "workspace", str(problem))]
    findings.append(Finding("ok", "workspace", str(root)))
    for what, look in (
        ("disk", _disk),
        ("log", _log),
        ("scenarios", _scenarios),
        ("bundles", _bundles),
    ):
        findings.extend(_guarded(what, look, space))
    return findings


def _guarded(
    what: str, look: Callable[[Workspace], Iterator[Finding]], space: Workspace
) -> Iterator[Finding]:
    try:
        yield from look(space)
    except PolysceneError as problem:
        yield Finding("fail", what, str(problem))


def _environment() -> Iterator[Finding]:
    python = platform.python_version()
    good = sys.version_info >= (3, 11)
    yield Finding(
        "ok" if good else "fail", "python", python if good else f"{python}; 3.11 or newer is needed"
    )
    yield Finding("ok", "polyscene", polyscene.__version__)
    for name in LIBRARIES:
        try:
            yield Finding("ok", name, version(name))
        except PackageNotFoundError:
            yield Finding("fail", name, f"not installed; run `pip install {name}`")


def _disk(space: Workspace) -> Iterator[Finding]:
    free = shutil.disk_usage(space.root).free
    verdict: Verdict = "ok" if free > LOW_DISK else "warn"
    advice = "" if verdict == "ok" else "; free some: a full disk stops ingest and fits"
    yield Finding(verdict, "disk", f"{free / (1 << 30):.1f} GiB free{advice}")


def _log(space: Workspace) -> Iterator[Finding]:
    with space.reader() as log:
        position = log.position
        newest = log.newest_time()
        facts = f"{position:,} records, {len(log.user_ids()):,} users, {len(log.item_ids()):,} items"
    yield Finding(
        "ok" if position else "warn", "log", facts if position else "empty; run `polyscene ingest`"
    )
    for doubt in space.store.doubts(space.root):
        yield Finding("warn", "log server", doubt)
    now = SystemClock().now()
    if newest is not None and newest > now:
        yield Finding(
            "warn", "clock", f"newest event is from {show_time(newest)}, later than now; set the clock"
        )
    else:
        yield Finding("ok", "clock", show_time(now))


def _scenarios(space: Workspace) -> Iterator[Finding]:
    scenarios = space.scenarios()
    yield Finding(
        "ok" if scenarios else "warn",
        "scenarios",
        ", ".join(sorted(scenarios)) or f"none; put a .toml file into {space.root / 'scenarios'}",
    )


def _bundles(space: Workspace) -> Iterator[Finding]:
    shelf = space.shelf()
    for name in sorted(space.scenarios()):
        bundle = shelf.current(name)
        if bundle is None:
            yield Finding("warn", f"bundle of {name}", f"none; run `polyscene train {name}`")
        else:
            shelf.read(name, bundle)
            yield Finding("ok", f"bundle of {name}", f"{bundle}, files match their digests")
