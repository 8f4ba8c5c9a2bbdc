"""Long work: what may be asked for, and how far it is."""

from typing import Annotated, Any, Literal

import msgspec

from polyscene.jobs.record import Job
from polyscene.serve.wire.base import Cursor, Strict


class JobBody(Strict, frozen=True, kw_only=True):
    """A job to start.

    `arguments` of ``train``: scenarios, budget_s, holdout, force; of ``export``: scenario, k, users,
    format, filter, context, log_exposures, resume; of ``evaluate``: scenario, seed.
    """

    kind: Literal["train", "export", "evaluate", "quality", "backup"]
    arguments: dict[str, Any] = {}


class JobsParams(Strict, frozen=True, kw_only=True):
    """Which jobs to list."""

    cursor: Cursor | None = None
    n: Annotated[int, msgspec.Meta(ge=1, le=200)] = 20


class Jobs(msgspec.Struct, frozen=True, kw_only=True):
    """Jobs, newest first; `cursor` asks for the next ones and is empty at the end."""

    jobs: list[Job]
    cursor: str = ""
