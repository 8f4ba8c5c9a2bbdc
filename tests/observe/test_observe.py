import io
import json

import pytest
import structlog
from rich.console import Console

from polyscene.core.contracts import silent
from polyscene.observe.bars import progress
from polyscene.observe.logs import set_up
from polyscene.observe.timing import Stopwatch, peak_mb


@pytest.fixture
def stream():
    yield io.StringIO()
    structlog.reset_defaults()


def test_a_bar_shows_its_label_steps_and_note_on_a_terminal_only():
    screen = io.StringIO()
    console = Console(file=screen, force_terminal=True, width=120)
    with progress(console=console)("fit", 4) as bar:
        bar.advance(2, note="loss 0.5")
        bar.advance()
    assert "fit" in screen.getvalue()
    assert "3/4" in screen.getvalue()
    assert "loss 0.5" in screen.getvalue()
    assert progress(quiet=True, console=console) is silent
    assert progress(console=Console(file=io.StringIO())) is silent


def test_logs_are_json_lines_with_what_is_bound_around_them(stream):
    set_up("info", to=stream)
    log = structlog.get_logger("name")
    with structlog.contextvars.bound_contextvars(request_id="r1"):
        log.info("answered", items=3)
    log.debug("not shown")
    log.warning("late")
    first, second = map(json.loads, stream.getvalue().splitlines())
    assert (first["event"], first["items"], first["request_id"], first["level"]) == (
        "answered",
        3,
        "r1",
        "info",
    )
    assert first["timestamp"].endswith("Z")
    assert (second["event"], second["level"]) == ("late", "warning")
    assert "request_id" not in second


def test_an_error_carries_its_traceback_as_data(stream):
    set_up("error", as_json=True, to=stream)
    try:
        raise ValueError("why")
    except ValueError:
        structlog.get_logger().exception("failed")
    line = json.loads(stream.getvalue())
    assert line["exception"][0]["exc_type"] == "ValueError"


def test_lines_for_people_are_no_json(stream):
    set_up("info", as_json=False, to=stream)
    structlog.get_logger().info("answered", items=3)
    assert "answered" in stream.getvalue()
    assert "items=3" in stream.getvalue()


def test_a_stopwatch_stands_still_after_the_end():
    with Stopwatch() as watch:
        running = watch.cost
        sum(range(10_000))
    assert 0 <= running.seconds < watch.cost.seconds
    assert running.cpu_seconds <= watch.cost.cpu_seconds
    assert watch.cost == watch.cost
    assert 1 < watch.cost.peak_mb <= peak_mb()
