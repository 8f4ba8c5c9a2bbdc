import os
import signal
import threading

import pytest
import torch

from polyscene.core.contracts import Run, Training
from polyscene.nn.interrupt import interruptible

from .training import Net, fit, keeping, weights


@pytest.fixture(autouse=True)
def _usual_handler():
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupting_bar(*at):
    """Progress whose bar sends SIGINT to this process at steps."""

    class Bar:
        steps = 0

        def __enter__(self):
            return self

        def __exit__(self, *failure):
            pass

        def advance(self, steps=1, note=""):
            self.steps += steps
            for _ in range(at.count(self.steps)):
                os.kill(os.getpid(), signal.SIGINT)

    return lambda label, total: Bar()


def test_once_ends_the_training_with_what_it_has():
    run, net = Run(progress=interrupting_bar(8)), Net()
    scores = iter([0.3, 0.6])
    outcome = fit(net, run, validate=lambda: next(scores))
    assert (outcome.epochs, outcome.steps, outcome.best) == (2, 8, 0.6)
    assert run.warnings == [
        "stopped before it converged: line made 1.6 of 6 epochs until it was interrupted"
    ]
    assert not net.training
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_twice_ends_the_program():
    with pytest.raises(KeyboardInterrupt):
        fit(Net(), Run(progress=interrupting_bar(8, 8)))
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("at", [3, 5, 8])
def test_what_was_interrupted_can_be_taken_up_again(tmp_path, at):
    whole, broken = Net(), Net()
    fit(whole, validate=lambda: weights(whole).norm().item(), validate_every=2, patience=99)
    net = Net()
    run = Run(progress=interrupting_bar(at), training=Training(checkpoint=tmp_path))
    fit(net, run, validate=lambda: weights(net).norm().item(), validate_every=2, patience=99)
    assert run.warnings[1].startswith("line: the same command goes on from ")
    fit(
        broken,
        keeping(tmp_path),
        validate=lambda: weights(broken).norm().item(),
        validate_every=2,
        patience=99,
    )
    assert torch.equal(weights(whole), weights(broken))


def test_in_a_validation_it_counts_as_after_it(tmp_path):
    whole, broken = Net(), Net()
    fit(whole, validate=lambda: 0.5)
    run = Run(training=Training(checkpoint=tmp_path))
    outcome = fit(Net(), run, validate=lambda: os.kill(os.getpid(), signal.SIGINT) or 0.5)
    assert outcome.steps == 5
    fit(broken, keeping(tmp_path), validate=lambda: 0.5)
    assert torch.equal(weights(whole), weights(broken))


def test_elsewhere_than_in_the_main_thread_signals_are_left_alone():
    seen = []

    def look():
        with interruptible() as told:
            seen.append((signal.getsignal(signal.SIGINT), told.asked))

    worker = threading.Thread(target=look)
    worker.start()
    worker.join()
    assert seen == [(signal.default_int_handler, False)]


def test_a_program_with_its_own_handler_keeps_it():
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with interruptible():
        assert signal.getsignal(signal.SIGINT) is signal.SIG_IGN
