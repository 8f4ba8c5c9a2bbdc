from types import SimpleNamespace

import pytest
import torch

from polyscene.core.contracts import Run, Training
from polyscene.core.errors import ConfigError
from polyscene.nn.course import Course, Plan
from polyscene.nn.memory import fitting, fixed_bytes, peak_bytes, pieces_of
from polyscene.nn.pace import Pace

from .training import Net, Points, first, fit, weights

ROWS = 4000


def course(share=0.0):
    return Course(Net(share=share), Plan(epochs=1, learning_rate=0.1, label="line"), Pace(5, None))


def loss_of(training):
    return lambda batch: torch.nn.functional.mse_loss(training.model(batch.x), batch.targets)


def peak_of(training, count):
    pieces = [pieces_of(each, count) for each in first(Points(rows=ROWS), 2)]
    return peak_bytes(training, pieces, loss_of(training))


def test_the_peak_is_what_the_tensors_of_a_step_take():
    # tanh and the product's input live from forward to backward; three more of their size while it runs.
    wide = ROWS * 16 * 4
    assert 2 * wide < peak_of(course(), 1) < 6 * wide


def test_a_bound_halves_the_peak_and_keeps_the_gradient():
    training = course()
    whole = peak_of(training, 1)
    bound_mb = (fixed_bytes(training) + 0.6 * whole) / 1e6
    count = fitting(training, Points(rows=ROWS).epoch, loss_of(training), bound_mb)
    assert count == 2
    assert peak_of(training, count) <= 0.6 * whole
    grads = []
    for pieces in (1, count):
        for piece, share in pieces_of(first(Points(rows=ROWS))[0], pieces):
            (loss_of(training)(piece) * share).backward()
        grads.append(training.weights.flat.grad.clone())
        training.weights.flat.grad.zero_()
    torch.testing.assert_close(grads[0], grads[1], rtol=1e-5, atol=1e-6)


def test_uneven_pieces_have_their_share():
    training, (batch,) = course(), first(Points(rows=7))
    whole = loss_of(training)(batch)
    parts = sum(loss_of(training)(piece) * share for piece, share in pieces_of(batch, 3))
    torch.testing.assert_close(whole, parts)


def test_trying_leaves_no_trace():
    training = course(share=0.5)
    before = training.weights.flat.detach().clone(), training.model.drop.chance.get_state()
    fitting(training, Points(rows=ROWS).epoch, loss_of(training), 1e6)
    assert torch.equal(before[0], training.weights.flat)
    assert torch.equal(before[1], training.model.drop.chance.get_state())
    assert not training.weights.flat.grad.any()


def test_a_bounded_training_comes_to_the_same_weights_up_to_rounding():
    free, bound = Net(share=0.0), Net(share=0.0)
    fit(free, points=Points(rows=ROWS), epochs=2)
    fit(bound, Run(training=Training(memory_mb=0.6)), points=Points(rows=ROWS), epochs=2)
    assert not torch.equal(weights(free), weights(bound))
    torch.testing.assert_close(weights(free), weights(bound), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("bound_mb", [0.0001, 0.01])
def test_a_bound_that_can_not_be_kept_is_an_error_with_figures(bound_mb):
    class Whole(Points):
        def epoch(self, number):
            for batch in super().epoch(number):
                yield SimpleNamespace(x=batch.x, targets=batch.targets)

    told = (
        rf"line: memory_mb is {bound_mb:g}, but weights and optimiser take 0.0 and the smallest piece of a"
    )
    with pytest.raises(ConfigError, match=told):
        fit(Net(), Run(training=Training(memory_mb=bound_mb)), points=Whole(rows=ROWS))
