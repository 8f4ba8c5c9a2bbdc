"""Typed configs: frozen structs whose `kind` is looked up in one explicit table, never code from data."""

import tomllib
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, TypeVar, get_args, get_origin, get_type_hints

import msgspec

from polyscene.core.errors import ConfigError, nearest
from polyscene.core.known_as import known_as


class Config(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True, tag_field="kind"):
    """Root of all configs; a subclass names its kind.

    ``class Ease(Config, frozen=True, kw_only=True, tag="ease")``.

    A field typed `Config` or ``tuple[Config, ...]`` holds nested configs.
    """


C = TypeVar("C", bound=msgspec.Struct)
Kinds = Mapping[str, str]
"""kind -> ``"package.module:ClassName"``; imported on first use."""


def kind_of(config: Config) -> str:
    """The word that names this config's class in a scenario file."""
    return str(type(config).__struct_config__.tag)


def find(kinds: Kinds, kind: object, where: str) -> type[Config]:
    """The config class of a kind.

    Raises:
        ConfigError: The kind is not in the table.
    """
    if not isinstance(kind, str) or kind not in kinds:
        hint = known_as(str(kind), kinds) or nearest(str(kind), kinds)
        raise ConfigError(f"{where}: unknown kind {kind!r}{hint}")
    module, _, name = kinds[kind].partition(":")
    found: type[Config] = getattr(import_module(module), name)
    return found


def read(kinds: Kinds, raw: object, where: str) -> Config:
    """A config from a mapping with a ``kind``; `where` names the place in every error.

    Raises:
        ConfigError: Unknown kind or key (with the nearest known one), missing key, wrong type or range.
    """
    if not isinstance(raw, Mapping):
        raise ConfigError(f"{where}: expected a table with a 'kind', got {type(raw).__name__}")
    if "kind" not in raw:
        raise ConfigError(f"{where}: 'kind' is missing; known: {', '.join(sorted(kinds))}")
    cls = find(kinds, raw["kind"], where)
    return fill(cls, {key: value for key, value in raw.items() if key != "kind"}, where, kinds)


def load_config(path: Path, kinds: Kinds) -> Config:
    """The config of a TOML file with a ``kind``. Raises ConfigError as `read` and `load_toml` do."""
    return read(kinds, load_toml(path), str(path))


def load_toml(path: Path) -> dict[str, Any]:
    """The tables of a TOML file. Raises ConfigError where it can't be read."""
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as problem:
        raise ConfigError(f"{path}: can't be read as TOML: {problem}") from problem


def fill(cls: type[C], raw: Mapping[str, object], where: str, kinds: Kinds | None = None) -> C:
    """A config of a known class from its keys. Raises as `read` does."""
    fields = {field.name: field for field in msgspec.structs.fields(cls)}
    for key in raw:
        if key not in fields:
            raise ConfigError(f"{where}: unknown key {key!r}{nearest(key, fields)}")
    hints = get_type_hints(cls, include_extras=True)
    values = {key: _value(hints[key], value, f"{where}.{key}", kinds or {}) for key, value in raw.items()}
    missing = [name for name, field in fields.items() if field.required and name not in values]
    if missing:
        raise ConfigError(f"{where}: missing key {missing[0]!r}")
    try:
        return cls(**values)
    except (TypeError, ValueError) as problem:
        raise ConfigError(f"{where}: {problem}") from problem


def _value(hint: Any, value: object, where: str, kinds: Kinds) -> object:
    if isinstance(hint, type) and issubclass(hint, Config):
        return value if isinstance(value, Config) else read(kinds, value, where)
    if get_origin(hint) is tuple and get_args(hint)[:1] == (Config,):
        if not isinstance(value, list | tuple):
            raise ConfigError(f"{where}: expected a list of tables, got {type(value).__name__}")
        return tuple(_value(Config, each, f"{where}[{place}]", kinds) for place, each in enumerate(value))
    try:
        return msgspec.convert(value, hint)
    except msgspec.ValidationError as problem:
        raise ConfigError(f"{where}: {problem}; got {value!r}") from problem


def to_json(config: Config) -> dict[str, Any]:
    """The config as JSON data, ``kind`` included; `read` gives it back."""
    data: dict[str, Any] = msgspec.to_builtins(config)
    return data


def with_settings(config: C, settings: Mapping[str, str], where: str, kinds: Kinds | None = None) -> C:
    """The config with ``key=value`` texts from a command line applied; values are read by the field's type.

    Nested configs are given as JSON (``of=[{"kind": "ease"}]``), and a dot leads into those that are there:
    ``of.0.epochs=5``.

    Raises:
        ConfigError: Unknown key or unreadable value.
    """
    fields = {field.name for field in msgspec.structs.fields(type(config))}
    hints = get_type_hints(type(config), include_extras=True)
    changes: dict[str, Any] = {}
    deeper: dict[str, dict[str, str]] = {}
    for key, text in settings.items():
        name, dot, rest = key.partition(".")
        if name not in fields:
            raise ConfigError(f"{where}: unknown key {name!r}{nearest(name, fields)}")
        if dot:
            deeper.setdefault(name, {})[rest] = text
        else:
            changes[name] = _read_text(text, hints[name], f"{where}.{name}", kinds or {})
    for name, inside in deeper.items():
        value = changes.get(name, getattr(config, name))
        changes[name] = _with_inner(value, inside, f"{where}.{name}", kinds)
    return msgspec.structs.replace(config, **changes)


def _with_inner(value: object, settings: Mapping[str, str], where: str, kinds: Kinds | None) -> object:
    """A nested config, or a tuple of them by number, with settings applied."""
    if isinstance(value, msgspec.Struct):
        return with_settings(value, settings, where, kinds)
    members = list(value) if isinstance(value, tuple) else []
    grouped: dict[int, dict[str, str]] = {}
    for key, text in settings.items():
        number, _, rest = key.partition(".")
        place = int(number) if number.isdecimal() else len(members)
        if place >= len(members) or not isinstance(members[place], Config):
            raise ConfigError(
                f"{where}: nothing can be set at {key!r}; it holds {len(members)} configs, from 0"
            )
        grouped.setdefault(place, {})[rest] = text
    for place, inside in grouped.items():
        members[place] = with_settings(members[place], inside, f"{where}[{place}]", kinds)
    return tuple(members)


def _read_text(text: str, hint: Any, where: str, kinds: Kinds) -> object:
    """The value that a text stands for: as JSON where the field takes that, else the text itself."""
    try:
        literal: object = msgspec.json.decode(text)
    except msgspec.DecodeError:
        literal = text
    if _is_nested(hint):
        return _value(hint, literal, where, kinds)
    try:
        value: object = msgspec.convert(literal, hint, strict=False)
    except msgspec.ValidationError as problem:
        try:
            value = msgspec.convert(text, hint, strict=False)
        except msgspec.ValidationError:
            raise ConfigError(f"{where}: {problem}; got {text!r}") from problem
    return value


def _is_nested(hint: Any) -> bool:
    """Whether a field holds a config or a tuple of them."""
    whole = isinstance(hint, type) and issubclass(hint, Config)
    return whole or (get_origin(hint) is tuple and get_args(hint)[:1] == (Config,))
