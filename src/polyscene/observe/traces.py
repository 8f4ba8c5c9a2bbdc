"""OpenTelemetry traces for who has a collector: off, and free of cost, until they are set up."""

import os
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from polyscene.core.errors import ConfigError

if TYPE_CHECKING:
    from opentelemetry.sdk.trace.export import SpanExporter
    from opentelemetry.trace import Tracer

ENDPOINTS = ("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_ENDPOINT")
_tracer: "Tracer | None" = None
_NOTHING: AbstractContextManager[None] = nullcontext()


def set_up(environ: Mapping[str, str] = os.environ, exporter: "SpanExporter | None" = None) -> bool:
    """Starts sending spans to the collector that the standard ``OTEL_*`` variables name; whether it did.

    Sampling, headers and the service's name are read from the same standard variables. Call once, when a
    program starts; `exporter` takes the spans instead of a collector.

    Raises:
        ConfigError: A collector is named, but the extra is not installed.
    """
    global _tracer  # noqa: PLW0603 (one tracer a process, as OpenTelemetry has it)
    if exporter is None and not any(environ.get(name) for name in ENDPOINTS):
        return False
    if find_spec("opentelemetry.sdk") is None:
        raise ConfigError(
            f"{ENDPOINTS[1]} is set, but OpenTelemetry is not installed; "
            "run `pip install 'polyscene[otel]'`, or unset it"
        )
    from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
    from opentelemetry.sdk.resources import Resource
    from opentelemetry.sdk.trace import TracerProvider
    from opentelemetry.sdk.trace.export import BatchSpanProcessor, SimpleSpanProcessor

    name = environ.get("OTEL_SERVICE_NAME", "polyscene")
    provider = TracerProvider(resource=Resource.create({"service.name": name}))
    provider.add_span_processor(
        SimpleSpanProcessor(exporter) if exporter else BatchSpanProcessor(OTLPSpanExporter())
    )
    _tracer = provider.get_tracer("polyscene")
    return True


def span(name: str, **facts: str | bool | float) -> AbstractContextManager[None]:
    """A span around the with statement, inside the one that is open; nothing where traces are off."""
    return _NOTHING if _tracer is None else _span(_tracer, name, facts, None)


def request_span(
    name: str, headers: Mapping[str, str], **facts: str | bool | float
) -> AbstractContextManager[None]:
    """As `span`, for a request that may carry its caller's trace in ``traceparent``."""
    return _NOTHING if _tracer is None else _span(_tracer, name, facts, headers)


@contextmanager
def _span(
    tracer: "Tracer", name: str, facts: Mapping[str, str | bool | float], headers: Mapping[str, str] | None
) -> Iterator[None]:
    from opentelemetry.trace import SpanKind
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    above: Any = None if headers is None else TraceContextTextMapPropagator().extract(dict(headers))
    kind = SpanKind.INTERNAL if headers is None else SpanKind.SERVER
    with tracer.start_as_current_span(name, context=above, kind=kind, attributes=dict(facts)):
        yield
