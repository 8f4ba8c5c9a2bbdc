"""How a source is to be read: which files and columns are what, and which cleaning rules hold.

A mapping file says it once for `ingest`, `data check`, `data report` and `evaluate`::

    [tables]
    events = ["orders.csv", "returns.csv"]
    items = "products.csv"

    [events]
    user = "customer_no"
    item = "sku"
    action = "@file"            # the name of the file

    [items]
    item = "sku"
    title = "label"

    [rules]
    repeats = "first"
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from polyscene.core.config import fill, load_toml
from polyscene.core.errors import ConfigError, nearest
from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.load import DEFAULT_RULES
from polyscene.dataset.schema import SCHEMA


@dataclass(frozen=True, slots=True)
class Reading:
    """`mapping` as `load_tables` takes it; `rules`: the cleaning rules that are set, by name."""

    mapping: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, object] = field(default_factory=dict)

    def cleaning(self, base: CleaningRules = DEFAULT_RULES) -> CleaningRules:
        """`base` with the rules that are set.

        Raises:
            ConfigError: Unknown rule (with the nearest known one) or a value that can't be one.
        """
        known = {name: getattr(base, name) for name in base.__struct_fields__}
        return fill(CleaningRules, {**known, **self.rules}, "rule")

    def over(self, other: "Reading") -> "Reading":
        """This reading, and what it leaves open from the other one."""
        return Reading({**other.mapping, **self.mapping}, {**other.rules, **self.rules})


def rules_from_texts(texts: Mapping[str, str]) -> dict[str, object]:
    """Rules from a command line: ``scale=1,5``, ``mend_items=case,zeros``, ``bot_per_day=null``."""
    return {name: _value(name, text) for name, text in texts.items()}


def _value(name: str, text: str) -> object:
    if name.startswith("mend_") or name == "scale":
        return [_literal(part.strip()) for part in text.split(",")] if text != "null" else None
    return _literal(text)


def _literal(text: str) -> object:
    try:
        value: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        return text
    return value


def read_reading(path: Path) -> Reading:
    """The reading that a mapping file says.

    Raises:
        ConfigError: It can't be read, or holds an unknown table or a value of the wrong type.
    """
    raw = load_toml(path)
    mapping: dict[str, str] = {}
    for section, content in raw.items():
        if section not in (*SCHEMA, "tables", "rules") or not isinstance(content, dict):
            known = ("tables", *SCHEMA, "rules")
            raise ConfigError(f"{path}: unknown section [{section}]{nearest(section, known)}")
        if section != "rules":
            mapping |= _flat(path, section, content)
    rules = raw.get("rules", {})
    fill(CleaningRules, rules, f"{path} [rules]")
    return Reading(mapping, rules)


def _flat(path: Path, section: str, content: Mapping[str, Any]) -> dict[str, str]:
    flat: dict[str, str] = {}
    for key, value in content.items():
        names = value if isinstance(value, list) and section == "tables" else [value]
        if not all(isinstance(name, str) for name in names):
            raise ConfigError(f"{path} [{section}] {key}: got {value!r}, expected a text in quotes")
        flat[key if section == "tables" else f"{section}.{key}"] = ",".join(names)
    return flat


def reading_to_toml(reading: Reading, comments: Mapping[str, str]) -> str:
    """The text of a mapping file; `comments`: by key of the mapping, written behind its line."""
    sections: dict[str, list[str]] = {"tables": [], **{table: [] for table in SCHEMA}, "rules": []}
    for key, value in reading.mapping.items():
        table, dot, name = key.rpartition(".")
        shown = value.split(",") if not dot and "," in value else value
        line = f"{name} = {json.dumps(shown, ensure_ascii=False)}"
        note = comments.get(key, "").replace("\n", " ")
        sections[table if dot else "tables"].append(f"{line}  # {note}" if note else line)
    sections["rules"] = [f"{name} = {json.dumps(value)}" for name, value in reading.rules.items()]
    return "\n".join(f"[{name}]\n" + "\n".join(lines) + "\n" for name, lines in sections.items() if lines)
