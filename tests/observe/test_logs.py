"""One event is one line, and a traceback tells nothing that the program worked on."""

import io
import json

import pytest
import structlog

from polyscene.observe.logs import set_up

NASTY = 'a\nb\r\n2026-01-01 [info] fake key=1\x1b[31m\u2028\u202e"}\x00'


@pytest.fixture(params=[True, False], ids=["json", "console"])
def out(request):
    out = io.StringIO()
    set_up("info", as_json=request.param, to=out)
    yield out
    set_up("warning")


def test_text_of_a_client_never_makes_a_line_or_a_colour(out):
    structlog.get_logger().info("request", user=NASTY, nested={"item": NASTY})
    text = out.getvalue()
    assert text.count("\n") == 1
    assert not set("\r\x1b\x00") & set(text)
    if text.startswith("{"):
        assert json.loads(text)["user"] == NASTY


def test_a_traceback_holds_no_values(out):
    secret = "polyscene_" + "s" * 43
    try:
        raise ZeroDivisionError(f"{len(secret)} letters")
    except ZeroDivisionError as error:
        structlog.get_logger().error("request_fault", exc_info=error)
    text = out.getvalue()
    assert "ZeroDivisionError" in text
    assert "test_logs.py" in text
    assert secret not in text
    assert "ssss" not in text
