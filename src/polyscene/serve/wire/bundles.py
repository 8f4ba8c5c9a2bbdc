"""Scenarios and their bundles."""

from typing import Any

import msgspec


class Scenarios(msgspec.Struct, frozen=True, kw_only=True):
    """The scenarios that can be asked for."""

    scenarios: list[dict[str, Any]]


class Bundles(msgspec.Struct, frozen=True, kw_only=True):
    """The saved scenarios; of each scenario one is current."""

    bundles: list[dict[str, Any]]
