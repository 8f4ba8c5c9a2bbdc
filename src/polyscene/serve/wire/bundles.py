"""Scenarios and their bundles."""

from typing import Annotated, Any

import msgspec

from polyscene.artifacts.shelf import Promotion
from polyscene.serve.wire.base import Strict

BundleId = Annotated[str, msgspec.Meta(min_length=1, max_length=100, pattern=r"^[A-Za-z0-9._-]+$")]


class Scenarios(msgspec.Struct, frozen=True, kw_only=True):
    """The scenarios that can be asked for."""

    scenarios: list[dict[str, Any]]


class Bundles(msgspec.Struct, frozen=True, kw_only=True):
    """The saved scenarios; of each scenario one is current."""

    bundles: list[dict[str, Any]]


class Promotions(msgspec.Struct, frozen=True, kw_only=True):
    """Which bundle took the place of which, when and how, newest first."""

    promotions: list[Promotion]


class PromoteBody(Strict, frozen=True, kw_only=True):
    """The bundle that shall serve.

    `instead_of`: the one that the caller believes current; 409 if another is. `force`: also if it fails the
    checks; the history says so.
    """

    bundle: BundleId
    instead_of: BundleId | None = None
    force: bool = False


class RollBackBody(Strict, frozen=True, kw_only=True):
    """The bundle that the caller believes current and wants to leave; 409 if another is."""

    instead_of: BundleId
