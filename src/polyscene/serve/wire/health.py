"""Whether the process lives and answers."""

import msgspec


class Health(msgspec.Struct, frozen=True, kw_only=True):
    """Whether the process answers."""

    status: str
