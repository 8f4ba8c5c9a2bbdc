"""The filter language: its words, and text made into an expression by hand-written recursive descent.

genre = "Comedy" and (year >= 1990 or tags has any ["classic", "cult"]) and runtime is not missing

test:  name = value · != · < · <= · > · >= · in [..] · not in [..]
       name has any [..] · has all [..] · is missing · is not missing
joins: not (binds closest) · and · or · parentheses
value: "text" · 'text' · number · true · false;  a name with odd characters stands in `backquotes`
"""

import re
from dataclasses import dataclass
from typing import Literal

from polyscene.core.errors import FilterError

MAX_LENGTH = 4_000
MAX_DEPTH = 32
MAX_VALUES = 1_000

Op = Literal["=", "!=", "<", "<=", ">", ">=", "in", "not in", "has any", "has all", "missing", "present"]
Value = str | float | bool


@dataclass(frozen=True, slots=True)
class Check:
    """One attribute against some values; `at` is the place of the name in the text, for errors."""

    name: str
    op: Op
    values: tuple[Value, ...] = ()
    at: int = 0


@dataclass(frozen=True, slots=True)
class All:
    """True where every part is."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Some:
    """True where at least one part is."""

    parts: tuple["Node", ...]


@dataclass(frozen=True, slots=True)
class Not:
    """True where the part is not: also for a missing value, which fails every comparison."""

    part: "Node"


Node = Check | All | Some | Not


@dataclass(frozen=True, slots=True)
class Expr:
    """A parsed filter with the text it came from."""

    text: str
    node: Node


@dataclass(frozen=True, slots=True)
class _Token:
    sort: str
    text: str
    at: int


_TOKENS = re.compile(
    r"""(?P<space>\s+)
      | (?P<number>-?\d+(?:\.\d+)?(?:[eE][+-]?\d+)?)
      | (?P<string>"(?:[^"\\]|\\.)*"|'(?:[^'\\]|\\.)*')
      | (?P<name>[^\W\d][\w.]*|`[^`]+`)
      | (?P<op>==|!=|<=|>=|[=<>])
      | (?P<mark>[()\[\],])""",
    re.VERBOSE,
)
_WORDS = frozenset({"and", "or", "not", "in", "has", "any", "all", "is", "missing", "true", "false"})
_COMPARISONS: dict[str, Op] = {"=": "=", "==": "=", "!=": "!=", "<": "<", "<=": "<=", ">": ">", ">=": ">="}


def parse(text: str) -> Expr:
    """The expression that a filter text stands for.

    Raises:
        FilterError: The text is too long, too deep or no filter; the message points at the place.
    """
    if len(text) > MAX_LENGTH:
        raise FilterError(f"filter: {len(text)} characters; at most {MAX_LENGTH} are read")
    return Expr(text, _Parser(text).whole())


def problem(text: str, at: int, message: str) -> FilterError:
    """An error that shows the line and a caret under the place."""
    start = text.rfind("\n", 0, at) + 1
    end = text.find("\n", at)
    line = text[start : end if end >= 0 else len(text)].replace("\t", " ")
    left = max(0, at - start - 60)
    caret = " " * (at - start - left) + "^"
    return FilterError(f"filter: {message} (character {at + 1})\n  {line[left : left + 120]}\n  {caret}")


class _Parser:
    """One method per rule of the grammar; `depth` counts open parentheses and nots."""

    def __init__(self, text: str) -> None:
        self.text = text
        self.tokens = self._split()
        self.place = 0
        self.depth = 0

    def whole(self) -> Node:
        node = self._either()
        if self._now.sort != "end":
            raise self._problem(f"expected 'and', 'or' or the end, got {self._now.text!r}")
        return node

    def _split(self) -> list[_Token]:
        tokens, at = [], 0
        while at < len(self.text):
            match = _TOKENS.match(self.text, at)
            if match is None:
                raise problem(self.text, at, f"can't read {self.text[at]!r}; is a quote missing?")
            sort, found = str(match.lastgroup), match.group()
            if sort == "name" and found.lower() in _WORDS:
                sort, found = "word", found.lower()
            if sort != "space":
                tokens.append(_Token(sort, found, at))
            at = match.end()
        return [*tokens, _Token("end", "the end", len(self.text))]

    @property
    def _now(self) -> _Token:
        return self.tokens[self.place]

    def _problem(self, message: str) -> FilterError:
        return problem(self.text, self._now.at, message)

    def _take(self, *texts: str) -> bool:
        """Steps over the next token if it is one of these words or marks."""
        found = self._now.sort in ("word", "mark") and self._now.text in texts
        self.place += found
        return found

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise self._problem(f"expected {text!r}, got {self._now.text!r}")

    def _either(self) -> Node:
        parts = [self._both()]
        while self._take("or"):
            parts.append(self._both())
        return parts[0] if len(parts) == 1 else Some(tuple(parts))

    def _both(self) -> Node:
        parts = [self._one()]
        while self._take("and"):
            parts.append(self._one())
        return parts[0] if len(parts) == 1 else All(tuple(parts))

    def _one(self) -> Node:
        self.depth += 1
        if self.depth > MAX_DEPTH:
            raise self._problem(f"more than {MAX_DEPTH} parentheses and nots inside each other")
        node: Node
        if self._take("not"):
            node = Not(self._one())
        elif self._take("("):
            node = self._either()
            self._expect(")")
        else:
            node = self._test()
        self.depth -= 1
        return node

    def _test(self) -> Check:
        token = self._now
        if token.sort != "name":
            raise self._problem(f"expected the name of an attribute, got {token.text!r}")
        self.place += 1
        name = token.text.strip("`")
        if self._now.sort == "op":
            op = _COMPARISONS[self._now.text]
            self.place += 1
            return Check(name, op, (self._value(),), token.at)
        if self._take("in"):
            return Check(name, "in", self._values(), token.at)
        if self._take("not"):
            self._expect("in")
            return Check(name, "not in", self._values(), token.at)
        if self._take("has"):
            op = "has any" if self._take("any") else "has all"
            if op == "has all":
                self._expect("all")
            return Check(name, op, self._values(), token.at)
        if self._take("is"):
            op = "present" if self._take("not") else "missing"
            self._expect("missing")
            return Check(name, op, (), token.at)
        raise self._problem(
            f"expected a comparison, 'in', 'has' or 'is' after {name!r}, got {self._now.text!r}"
        )

    def _values(self) -> tuple[Value, ...]:
        self._expect("[")
        values = [self._value()]
        while self._take(","):
            values.append(self._value())
            if len(values) > MAX_VALUES:
                raise self._problem(f"more than {MAX_VALUES} values in one list")
        self._expect("]")
        return tuple(values)

    def _value(self) -> Value:
        token = self._now
        self.place += 1
        if token.sort == "number":
            return float(token.text)
        if token.sort == "string":
            return re.sub(r"\\(.)", r"\1", token.text[1:-1])
        if token.sort == "word" and token.text in ("true", "false"):
            return token.text == "true"
        self.place -= 1
        raise self._problem(f"expected a text in quotes, a number, true or false, got {token.text!r}")
