import json
import sys

import pytest

from polyscene.core.contracts import Run, Training
from polyscene.core.errors import ConfigError
from polyscene.nn import curves

from .training import Net, fit, keeping


def points(folder):
    (path,) = folder.glob("*/curve.jsonl")
    return [json.loads(line) for line in path.read_text().splitlines()]


def test_every_step_and_score_can_be_read_back(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "EVERY_S", 0.0)
    fit(Net(), keeping(tmp_path), epochs=2, validate=lambda: 0.5)
    told = points(tmp_path)
    steps = [each for each in told if "loss" in each]
    assert [each["step"] for each in steps] == list(range(1, 11))
    assert [each["epoch"] for each in steps] == [1] * 5 + [2] * 5
    assert all(each["events_per_s"] > 0 for each in steps)
    rates = [each["learning_rate"] for each in steps]
    assert rates[0] == 0.0
    assert rates[1:] == sorted(rates[1:], reverse=True)
    assert rates[1] == pytest.approx(0.01, rel=0.05)
    assert [each for each in told if "score" in each] == [
        {"step": 5, "epoch": 1, "score": 0.5},
        {"step": 10, "epoch": 2, "score": 0.5},
    ]


def test_points_stand_for_all_steps_since_the_last(tmp_path, monkeypatch):
    monkeypatch.setattr(curves, "EVERY_S", 1e9)
    fit(Net(), keeping(tmp_path), epochs=2, validate=lambda: 0.5)
    assert [each["step"] for each in points(tmp_path)] == [5, 10]


def test_tensorboard_reads_the_same(tmp_path, monkeypatch):
    reader = pytest.importorskip("tensorboardX.proto.event_pb2")
    monkeypatch.setattr(curves, "EVERY_S", 0.0)
    fit(Net(), Run(training=Training(tensorboard=tmp_path)), epochs=1, validate=lambda: 0.25)
    (path,) = tmp_path.glob("line-*/events.out.tfevents.*")
    found = [(value.tag, event.step) for event in events(path, reader) for value in event.summary.value]
    assert ("score", 5) in found
    assert [step for tag, step in found if tag == "loss"] == [1, 2, 3, 4, 5]
    assert {tag for tag, _ in found} == {"loss", "learning_rate", "events_per_s", "score"}


def events(path, reader):
    """The records of an event file: length, its checksum, bytes, their checksum."""
    content, place = path.read_bytes(), 0
    while place < len(content):
        size = int.from_bytes(content[place : place + 8], "little")
        yield reader.Event.FromString(content[place + 12 : place + 12 + size])
        place += size + 16


def test_without_tensorboard_the_error_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "tensorboardX", None)
    with pytest.raises(ConfigError, match=r"needs tensorboardX; install it with pip install 'polyscene\["):
        fit(Net(), Run(training=Training(tensorboard=tmp_path)))


def test_the_bar_tells_loss_rate_speed_and_scores():
    notes = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *failure):
            pass

        def advance(self, steps=1, note=""):
            notes.append(note)

    scores = iter([0.5, 0.4])
    fit(Net(), Run(progress=lambda label, total: Bar()), epochs=3, validate=lambda: next(scores, 0.1))
    words = notes[0].split()
    assert words[:3] == ["epoch", "1/3", "loss"]
    assert words[4] == "rate"
    assert words[7] == "events/s"
    assert notes[7].endswith("score 0.5000 best 0.5000")
    assert notes[-1].endswith("score 0.4000 best 0.5000")
