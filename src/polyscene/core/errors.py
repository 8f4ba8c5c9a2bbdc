"""The one exception tree.

    PolysceneError
    ├── InputError          what a person or a client gave is wrong; HTTP 4xx, exit code 2
    │   ├── ConfigError     a config or scenario file
    │   ├── DataError       a table, a column, a row
    │   │   └── UnclearError  which file or column is which can't be told
    │   ├── FilterError     a filter expression
    │   └── ConflictError   an id that already stands for something else; HTTP 409
    ├── NotFoundError       a name that does not exist; HTTP 404, exit code 2
    ├── BundleError         an artifact that is damaged, foreign or too new
    │   └── CanaryError     a bundle that failed the checks before its promotion; HTTP 409
    ├── StoreError          the disk or database refused; HTTP 503, exit code 3
    │   └── FullError       the disk is full; HTTP 507
    ├── BusyError           more work than the limits allow; HTTP 503
    ├── AccessError         a key is missing, wrong, or not allowed this; HTTP 401, 403
    └── ServiceError        a service that is called failed, or can't be reached

A message says where, what came, what was expected and what to do next.
"""

from collections.abc import Iterable
from difflib import get_close_matches


class PolysceneError(Exception):
    """Root of all errors raised on purpose."""


class InputError(PolysceneError):
    """What a person or a client gave can't be used as it is."""


class ConfigError(InputError):
    """A config value or scenario file is wrong."""


class DataError(InputError):
    """A table, column or row is wrong."""


class UnclearError(DataError):
    """Which file is which table, or which column which field, can't be told from names alone."""


class FilterError(InputError):
    """A filter expression can't be parsed or names an unknown attribute."""


class ConflictError(InputError):
    """An id was sent again with other content than it stands for."""


class NotFoundError(PolysceneError):
    """A name (scenario, bundle, user, data set) does not exist."""


class BundleError(PolysceneError):
    """An artifact is damaged, foreign, or of a newer format."""


class CanaryError(BundleError):
    """A bundle failed the checks before its promotion; the one before stays."""


class StoreError(PolysceneError):
    """The disk or the database refused; nothing was acknowledged."""


class FullError(StoreError):
    """The disk is full: nothing was kept, reading goes on, and so does writing once there is space."""


class BusyError(PolysceneError):
    """More work arrived than the limits allow; try again later."""


class AccessError(PolysceneError):
    """A service wants a key, or another one."""


class ServiceError(PolysceneError):
    """A service that is called failed or can't be reached."""


def nearest(word: str, known: Iterable[str]) -> str:
    """A hint for a mistyped `word`: ``; did you mean 'x'?`` or the list of what is known."""
    names = sorted(known)
    close = get_close_matches(word, names, n=1)
    if close:
        return f"; did you mean {close[0]!r}?"
    return f"; known: {', '.join(names)}" if names else ""
