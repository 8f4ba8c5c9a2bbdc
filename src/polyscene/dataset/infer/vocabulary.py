"""Words that columns and files go by, in several languages: what a name alone tells of its meaning."""

import re
import tomllib
from importlib.resources import files

from polyscene.dataset.schema import SCHEMA, fold

_BARE = frozenset(("col", "column", "field", "var"))
_SPLIT = re.compile(r"[^\w]+|_|(?<=[a-z])(?=[A-Z])|(?<=\D)(?=\d)|(?<=\d)(?=\D)")
_CJK = re.compile(r"[\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af]")
_WORDS = tomllib.loads(files("polyscene.dataset.infer").joinpath("words.toml").read_text(encoding="utf-8"))
_FILES = {table: frozenset(map(fold, words.split())) for table, words in _WORDS["files"].items()}
_SETS = {role: frozenset(map(fold, words.split())) for role, words in _WORDS["columns"].items()}
VERBS = frozenset(_WORDS["values"]["actions"].split())
"""Values that are actions."""
AMOUNTS = frozenset(_WORDS["parts"]["amounts"].split())
"""Parts of names of numbers that tell something else than how much a user liked an item."""
_EMPTY = frozenset(_WORDS["parts"]["empty"].split())


def _aliases(role: str) -> frozenset[str]:
    """The names that the loader itself knows a field by, but for those that mean a group or an order."""
    fields = (field for fields in SCHEMA.values() for field in fields if field.name == role)
    last = None if role == "item" else 2
    known = {alias for field in fields for tier in field.aliases[:last] for alias in tier}
    others = ("group", "order") if role == "user" else ("group", "order", "user")
    return frozenset(known.difference(*(_SETS[other] for other in others)))


for _role in ("user", "item", "value", "time", "action", "scenario", "source", "target", "relation"):
    _SETS[_role] |= _aliases(_role)


def tokens(name: str) -> list[str]:
    """The words in a name: ``kundenNr_2`` has ``kunden``, ``nr`` and ``2``."""
    return [fold(part) for part in _SPLIT.split(name) if part and fold(part)]


def bare(name: str) -> bool:
    """Whether a name says nothing at all: ``c3``, ``column_4``, ``x``."""
    return all(len(part) <= 2 or part.isdigit() or part in _BARE for part in tokens(name))


def named(name: str, role: str) -> float:
    """How much a column's name speaks for a role: 1 is the word itself, 0 nothing."""
    return _likeness(name, _SETS[role])


def file_named(name: str, table: str) -> float:
    """How much a file's name speaks for a table."""
    return _likeness(name, _FILES[table])


def _likeness(name: str, words: frozenset[str]) -> float:
    if fold(name) in words:
        return 1.0
    parts = tokens(name)
    content = [part for part in parts if part not in _EMPTY and not part.isdigit()]
    hits = sum(part in words for part in content)
    if hits:
        # the last word is what the thing is: `user_item` is an item's, `item_count` a count
        return 0.9 if len(content) == 1 else 0.7 if content[-1] in words else 0.55
    joined = "".join(parts)
    return (
        0.6
        if any(len(word) >= (2 if _CJK.search(word) else 5) and word in joined for word in words)
        else 0.0
    )
