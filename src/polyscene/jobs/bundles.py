"""Lists and collects the bundles of a workspace."""

from pathlib import Path
from typing import Any

from polyscene.artifacts.shelf import Shelf
from polyscene.jobs.workspace import Workspace


def listing(root: Path) -> list[dict[str, Any]]:
    """Every bundle of every scenario of a workspace, newest first within one."""
    return on_shelf(Workspace.open(root).shelf())


def on_shelf(shelf: Shelf) -> list[dict[str, Any]]:
    """Every bundle of every scenario, newest first within one."""
    return [
        {
            "scenario": name,
            "bundle": bundle.id,
            "current": bundle.id == shelf.current(name),
            "created": bundle.manifest.created,
            "metrics": dict(bundle.manifest.metrics),
        }
        for name in shelf.names()
        for bundle in shelf.list(name)
    ]


def collect(root: Path) -> dict[str, list[str]]:
    """Deletes old bundles; gives what went, by scenario."""
    space = Workspace.open(root)
    shelf = space.shelf()
    return {name: shelf.collect(name, keep=space.train.keep_bundles) for name in shelf.names()}
