"""Structured logs on standard error: JSON lines for machines, coloured lines for a terminal."""

import sys
from typing import TextIO

import structlog
from structlog.tracebacks import ExceptionDictTransformer
from structlog.typing import Processor


def set_up(level: str = "info", *, as_json: bool | None = None, to: TextIO | None = None) -> None:
    """Sends all logs at or above `level` to stderr (or `to`); call once, when a program starts.

    `as_json` None: JSON unless a person watches a terminal. Every line carries the time (ISO 8601, UTC),
    the level, and what ``structlog.contextvars`` holds, such as a request id. Loggers come from
    ``structlog.get_logger()``; events are short words, facts go in as key = value. One event is one line,
    whatever text it holds; tracebacks tell the lines of the program and never the values they worked on,
    which may be keys or what a user did.
    """
    stream = to or sys.stderr
    processors: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.processors.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True),
        structlog.processors.StackInfoRenderer(),
    ]
    if stream.isatty() if as_json is None else not as_json:
        processors.append(
            structlog.dev.ConsoleRenderer(
                colors=stream.isatty(),
                repr_native_str=True,
                exception_formatter=structlog.dev.plain_traceback,
            )
        )
    else:
        traces = ExceptionDictTransformer(show_locals=False)
        processors += [structlog.processors.ExceptionRenderer(traces), structlog.processors.JSONRenderer()]
    structlog.configure(
        processors=processors,
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(stream),
        cache_logger_on_first_use=False,
    )
