"""The choice as a TOML file: a model's, or a whole scenario's with the model in its place."""

import json
from collections.abc import Mapping
from typing import Any

from polyscene.jobs.tune.ground import with_stage


def model_file(kind: str, settings: Mapping[str, Any]) -> str:
    """What ``--model FILE`` takes."""
    return _lines({"kind": kind, **settings})


def scenario_file(raw: Mapping[str, Any], stage: str, kind: str, settings: Mapping[str, Any]) -> str:
    """The scenario's file with the model of these settings where `stage` stood; comments are not kept."""
    turned = with_stage(raw, stage, {"kind": kind, **settings})
    stages = turned.pop("stages")
    return "\n".join([_lines(turned), *(f"[[stages]]\n{_lines(each)}" for each in stages)])


def _lines(table: Mapping[str, Any]) -> str:
    return "".join(f"{_key(key)} = {_value(value)}\n" for key, value in table.items())


def _value(value: Any) -> str:
    """TOML writes texts, numbers and lists as JSON does, and tables within a line in its own way."""
    if isinstance(value, Mapping):
        inner = ", ".join(f"{_key(key)} = {_value(each)}" for key, each in value.items())
        return f"{{ {inner} }}"
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    return json.dumps(value)


def _key(key: str) -> str:
    return key if key.replace("_", "").replace("-", "").isalnum() and key.isascii() else json.dumps(key)
