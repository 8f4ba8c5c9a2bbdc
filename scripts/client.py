"""Writes the typed methods of the Python client from the route table, for threads and for asyncio.

Run it after a route changed; a test fails while the files in `src/polyscene/client` say something else.
"""

import inspect
import re
import subprocess
import sys
import types
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec

from polyscene.serve.app import OPERATIONS
from polyscene.serve.operations import NDJSON, Operation, group_of

FOLDER = Path(__file__).parents[1] / "src" / "polyscene" / "client"
HOLE = re.compile(r"\{(\w+)(?::\w+)?\}")
PRODUCT = {
    "event",
    "events",
    "items",
    "users",
    "edges",
    "recommend",
    "similar",
    "popular",
    "page",
    "requests",
}
"""Groups of routes that a product calls; the rest, and what needs the role admin, is for operators."""
SKIPPED = {"session"}
"""For browsers only: programs send a key."""
HEAD = '''"""{title}, written by scripts/client.py from the route table: don't edit."""

{imports}


class {name}({base}):
    """{what}

    A method per route, with its arguments and its reply. All raise InputError (what to mend stands in the
    text), AccessError (the key), NotFoundError, ConflictError, BusyError (after all tries) and ServiceError
    (the service failed or can't be reached).
    """
'''


class Writer:
    """Renders types as they are written in source, and remembers what must be imported for them."""

    def __init__(self) -> None:
        self.imports: dict[str, set[str]] = {"typing": {"Any"}}

    def type(self, kind: Any) -> str:
        """The source of a type, its bounds left out."""
        origin, inner = typing.get_origin(kind), typing.get_args(kind)
        if origin is typing.Annotated:
            return self.type(inner[0])
        if origin in (typing.Union, types.UnionType):
            return " | ".join(dict.fromkeys(self.type(each) for each in inner))
        if origin is typing.Literal:
            self.imports["typing"].add("Literal")
            return f"Literal[{', '.join(map(repr, inner))}]"
        if origin is not None:
            return f"{origin.__name__}[{', '.join(self.type(each) for each in inner)}]"
        return self._name(kind)

    def _name(self, kind: Any) -> str:
        if kind is type(None) or kind is None:
            return "None"
        if kind is not Any and kind.__module__ != "builtins":
            self.imports.setdefault(kind.__module__, set()).add(kind.__name__)
        return "Any" if kind is Any else str(kind.__name__)

    def default(self, field: msgspec.structs.FieldInfo) -> str:
        """How a parameter says that it may be left out; empty where it may not."""
        if field.default is not msgspec.NODEFAULT:
            value = field.default
            return f" = {type(value).__name__}()" if isinstance(value, msgspec.Struct) else f" = {value!r}"
        return "" if field.default_factory is msgspec.NODEFAULT else " = None"


def method(operation: Operation, writer: Writer, *, waits: bool) -> str:
    """One method of the client."""
    holes = HOLE.findall(operation.path)
    lines = operation.body_media == NDJSON
    arguments, building = [f"{hole}: str" for hole in holes], []
    fields: list[str] = []
    for what, shape in (("query", operation.params), ("body", None if lines else operation.body)):
        if shape is not None:
            given, made = _struct(shape, writer, taken=holes, asks=operation.role == "read")
            fields += given
            building.append(f"query=query_of({made})" if what == "query" else f"body=encode({made})")
    if lines:
        writer.imports.setdefault("collections.abc", set()).add("Iterable")
        arguments.append(f"lines: Iterable[{writer.type(operation.body)}]")
        building.append("lines=lines")
    if operation.once and not lines:
        building.append("key=new_id()")
    required = [field for field in fields if "=" not in field]
    rest = [field for field in fields if "=" in field]
    signature = ", ".join(["self", *arguments, *required, *(["*"] if rest else []), *rest])
    reply = "bytes" if operation.reply is None else writer.type(operation.reply)
    path = (
        f'filled("{operation.path}", {", ".join(f"{hole}={hole}" for hole in holes)})'
        if holes
        else f'"{operation.path}"'
    )
    call = ", ".join([f'"{operation.method}"', path, reply, *building])
    head, wait = ("async def", "await ") if waits else ("def", "")
    return (
        f"    {head} {operation.name}({signature}) -> {reply}:\n"
        f'        """{operation.summary}."""\n'
        f"        return {wait}self.send(Call({call}))\n"
    )


def _struct(shape: Any, writer: Writer, *, taken: list[str], asks: bool) -> tuple[list[str], str]:
    """Arguments for the fields of a struct, and the expression that makes it of them.

    What asks for a slate gets a request id, so that a second try gives the same answer.
    """
    given, made = [], []
    for field in msgspec.structs.fields(shape):
        name = f"{field.name}_" if field.name in taken else field.name
        default, kind = writer.default(field), writer.type(field.type)
        fresh = field.default_factory is not msgspec.NODEFAULT
        given.append(f"{name}: {kind}{' | None' if fresh else ''}{default}")
        value = f"{name} or {field.default_factory()!r}" if fresh else name
        value = f"{name} or new_id()" if asks and field.name == "request_id" else value
        made.append(f"{field.name}={value}")
    return given, f"{writer.type(shape)}({', '.join(made)})"


def source(*, admin: bool, waits: bool) -> str:
    """A whole module, before it is formatted."""
    writer = Writer()
    methods = [method(each, writer, waits=waits) for each in OPERATIONS if audience(each) == admin]
    prefix, module = ("Async", "waiting") if waits else ("", "plain")
    base = f"{prefix}Client" if admin else f"{prefix}Sender"
    home = f"polyscene.client.{module}" if admin else "polyscene.client.sending"
    writer.imports["polyscene.client.calls"] = {"Call", "filled", "new_id", "query_of"}
    writer.imports[home] = {base}
    imports = [
        f"from {module} import {', '.join(sorted(names))}"
        for module, names in sorted(writer.imports.items())
    ]
    imports.append("from msgspec.json import encode")
    head = HEAD.format(
        title="What operators call" if admin else "What a product calls",
        imports="\n".join(imports),
        name=f"{prefix}AdminClient" if admin else f"{prefix}Client",
        base=base,
        what="A service as its operator sees it" + ("; every method is awaited." if waits else ".")
        if admin
        else "A service as a product sees it" + ("; every method is awaited." if waits else "."),
    )
    return "\n".join([head, *methods])


def audience(operation: Operation) -> bool | None:
    """Whether a route is for operators rather than for products; None: for no program."""
    group = group_of(operation.path)
    return None if group in SKIPPED else operation.role == "admin" or group not in PRODUCT


def formatted(text: str) -> str:
    """The text as ruff would leave it."""
    ruff = Path(sys.executable).with_name("ruff")
    name = ["--quiet", "--stdin-filename", str(FOLDER / "plain.py"), "-"]
    for command in (["check", "--select", "I,F401", "--fix-only", *name], ["format", *name]):
        done = subprocess.run([ruff, *command], input=text, capture_output=True, text=True, check=True)
        text = done.stdout
    return text


def files() -> Iterator[tuple[Path, str]]:
    """Each file with what must stand in it."""
    for stem, waits in (("plain", False), ("waiting", True)):
        yield FOLDER / f"{stem}.py", formatted(source(admin=False, waits=waits))
        yield FOLDER / f"{stem}_admin.py", formatted(source(admin=True, waits=waits))


if __name__ == "__main__":
    for path, text in files():
        path.write_text(text, encoding="utf-8")
        sys.stdout.write(f"{path.name}: {len(inspect.cleandoc(text).splitlines())} lines\n")
