import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.sdk", reason="the extra 'otel' is not installed")

PROGRAM = """
import sys
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from polyscene.observe import traces

with traces.span("before"):
    pass
spans = InMemorySpanExporter()
assert not traces.set_up({})
assert traces.set_up({"OTEL_SERVICE_NAME": "shop"}, spans)
caller = {"traceparent": "00-" + "a" * 32 + "-" + "b" * 16 + "-01"}
with traces.request_span("POST /v1/recommend", caller, route="/v1/recommend"):
    with traces.span("home", bundle="b1"):
        pass
try:
    with traces.span("fails"):
        raise ValueError("why")
except ValueError:
    pass
inner, outer, fails = spans.get_finished_spans()
print(inner.name, outer.name, fails.name)
print(format(outer.context.trace_id, "x"), format(outer.parent.span_id, "x"), outer.kind.name)
service = inner.resource.attributes["service.name"]
print(inner.parent.span_id == outer.context.span_id, dict(inner.attributes), service)
print(fails.status.status_code.name, fails.parent)
"""


def test_spans_nest_carry_the_callers_trace_and_tell_of_failures():
    # a process of its own: a tracer is set up once and for all
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    names, caller, inner, failed = done.stdout.splitlines()
    assert names == "home POST /v1/recommend fails"
    assert caller == f"{'a' * 32} {'b' * 16} SERVER"
    assert inner == "True {'bundle': 'b1'} shop"
    assert failed == "ERROR None"


def test_a_collector_without_the_extra_says_what_to_install(tmp_path: Path):
    (tmp_path / "opentelemetry").mkdir()
    (tmp_path / "opentelemetry" / "__init__.py").touch()
    program = (
        f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n"
        "from polyscene.observe.traces import set_up\n"
        "set_up({'OTEL_EXPORTER_OTLP_ENDPOINT': 'http://127.0.0.1:4318'})"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert "pip install 'polyscene[otel]'" in done.stderr
