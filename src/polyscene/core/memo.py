"""Work shared between the stages of one request, so that a history is encoded once."""

from collections.abc import Callable, Hashable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import TypeVar

T = TypeVar("T")
_open: ContextVar[dict[Hashable, object] | None] = ContextVar("polyscene_memo", default=None)


@contextmanager
def memo() -> Iterator[None]:
    """While open, `remember` keeps what it computed; an outer memo is kept in use."""
    if _open.get() is not None:
        yield
        return
    token = _open.set({})
    try:
        yield
    finally:
        _open.reset(token)


def remember(owner: object, about: object, compute: Callable[[], T]) -> T:
    """`compute()`, or what it gave before for the same two objects under the open memo.

    Both objects are kept alive by the memo, so identity is a safe key.
    """
    kept = _open.get()
    if kept is None:
        return compute()
    key = (id(owner), id(about))
    if key not in kept:
        kept[key] = (compute(), owner, about)
    value: T = kept[key][0]  # type: ignore[index]
    return value
