import math
from typing import get_args

import pytest
import torch
from torch import nn

from polyscene.core.contracts import Run
from polyscene.core.errors import ConfigError
from polyscene.nn import loop
from polyscene.nn.course import Course, OptimiserKind
from polyscene.nn.loop import Pace, Plan, train
from polyscene.nn.pace import ScheduleKind, rate


class Points:
    """Points on a line, in batches of 8."""

    steps = 5

    def epoch(self, number):
        chance = torch.Generator().manual_seed(number)
        for _ in range(self.steps):
            x = torch.rand(8, 1, generator=chance)
            yield x, 3 * x - 1


class Clock:
    """A clock that moves on by a fixed time with every look."""

    def __init__(self, step):
        self.now, self.step = 0.0, step

    def monotonic(self):
        self.now += self.step
        return self.now


def line():
    model = nn.Linear(1, 1)
    nn.init.zeros_(model.weight)
    nn.init.zeros_(model.bias)
    return model


def fit(model, run=None, validate=None, **settings):
    plan = Plan(**({"epochs": 60, "learning_rate": 0.1, "l2": 0.0} | settings))

    def loss(batch):
        return nn.functional.mse_loss(model(batch[0]), batch[1])

    return train(model, Points(), loss, plan, run or Run(), validate)


def test_a_line_is_found():
    model = line()
    outcome = fit(model)
    assert (outcome.epochs, outcome.steps, outcome.best) == (60, 300, None)
    assert outcome.loss < 1e-3
    assert model.weight.item() == pytest.approx(3, abs=0.02)
    assert model.bias.item() == pytest.approx(-1, abs=0.02)
    assert not model.training
    assert not any(each.requires_grad for each in model.parameters())


RATES = {"adamw": 0.1, "adam": 0.1, "adagrad": 1.0, "sgd": 0.5, "momentum": 0.1}


@pytest.mark.parametrize("schedule", get_args(ScheduleKind))
@pytest.mark.parametrize("optimiser", get_args(OptimiserKind))
def test_every_optimiser_and_schedule_finds_it(optimiser, schedule):
    model = line()
    fit(model, optimiser=optimiser, schedule=schedule, learning_rate=RATES[optimiser])
    assert model.weight.item() == pytest.approx(3, abs=0.3)
    assert model.bias.item() == pytest.approx(-1, abs=0.15)


def test_decay_is_a_share_with_adamw_and_part_of_the_gradient_with_the_others():
    """Where the loss is flat: Adam makes a whole step of any gradient it sees, AdamW takes the share."""
    found = {}
    for optimiser in ("adamw", "adam", "sgd"):
        model = line()
        model.weight.data.fill_(4.0)
        fixed = {"epochs": 1, "l2": 0.5, "schedule": "constant", "warm_up": 0.0}
        course = Course(model, Plan(learning_rate=0.1, optimiser=optimiser, **fixed), Pace(1, None))
        course.step(lambda batch, model=model: 0 * model(batch).sum(), [(torch.ones(1, 1), 1.0)])
        found[optimiser] = model.weight.item()
    assert found == pytest.approx({"adamw": 3.8, "adam": 3.9, "sgd": 3.8}, rel=1e-4)


@pytest.mark.parametrize(
    ("schedule", "half", "end"),
    [
        ("cosine", 0.5, 0.0),
        ("linear", 0.5, 0.0),
        ("inverse_root", math.sqrt(0.1 / 0.55), math.sqrt(0.1)),
        ("constant", 1.0, 1.0),
    ],
)
def test_rates_rise_along_a_line_and_fall_by_the_schedule(schedule, half, end):
    assert rate(0.05, 0.1, schedule) == pytest.approx(0.5)
    assert rate(0.1, 0.1, schedule) == pytest.approx(1.0)
    assert rate(0.55, 0.1, schedule) == pytest.approx(half)  # the middle of what comes after the rise
    assert rate(1.0, 0.1, schedule) == pytest.approx(end, abs=1e-6)


def test_equal_runs_give_equal_weights():
    left, right = line(), line()
    fit(left, epochs=3)
    fit(right, epochs=3)
    assert torch.equal(left.weight, right.weight)


def test_an_ample_budget_changes_nothing():
    free, rich = line(), line()
    run = Run(budget_s=1000.0)
    fit(free, epochs=20)
    fit(rich, run, epochs=20)
    assert torch.equal(free.weight, rich.weight)
    assert run.warnings == []


def test_best_weights_are_kept_and_patience_ends_it():
    model, scores, seen = line(), iter([1.0, 3.0, 2.0, 2.5, 9.0]), []

    def validate():
        assert not model.training
        seen.append(model.weight.item())
        return next(scores)

    outcome = fit(model, validate=validate, patience=2, validate_every=3)
    assert outcome.best == 3.0
    assert outcome.epochs == 12
    assert model.weight.item() == seen[1]


def test_the_last_epoch_is_validated_too():
    seen = []
    fit(line(), epochs=5, validate_every=2, validate=lambda: seen.append(1) or float(len(seen)))
    assert len(seen) == 3


def test_validation_sees_the_average_and_training_goes_on_from_the_present(monkeypatch):
    plain, judged = line(), line()
    fit(plain, epochs=4)
    fit(judged, epochs=4, validate=lambda: float(judged.weight.item()), patience=99)
    assert torch.equal(plain.weight, judged.weight)


def test_a_budget_shortens_the_schedule_and_says_so(monkeypatch):
    monkeypatch.setattr(loop.time, "monotonic", Clock(0.1).monotonic)
    model, run = line(), Run(budget_s=10.0)
    outcome = fit(model, run, epochs=1000)
    assert 20 < outcome.steps < 100
    made = f"training made {outcome.steps / 5:.1f} of 1000 epochs in the 10 s it was given"
    assert run.warnings == [f"stopped before it converged: {made}"]


def test_a_shortened_schedule_still_ends_at_zero(monkeypatch):
    monkeypatch.setattr(loop.time, "monotonic", Clock(0.1).monotonic)
    pace = Pace(5000, 10.0)
    shares, step = [], 0
    while not pace.spent(step):
        step += 1
        shares.append(pace.at(step))
    assert shares == sorted(shares)
    assert shares[-1] == pytest.approx(1, abs=0.03)


def test_no_time_at_all_is_survived_and_said():
    run = Run(budget_s=0.0)
    outcome = fit(line(), run)
    assert outcome.steps == 1
    assert run.warnings[0].startswith("stopped before it converged: training made 0.2 of 60 epochs")


def test_no_batches_leave_the_model_as_it_was():
    class Nothing:
        steps = 0

        def epoch(self, number):
            return iter(())

    model = line()
    outcome = train(model, Nothing(), lambda batch: batch, Plan(epochs=3, learning_rate=0.1), Run())
    assert outcome.steps == 0
    assert math.isnan(outcome.loss)
    assert not model.weight.any()


def test_divergence_is_an_error_that_names_the_remedy():
    model = line()
    plan = Plan(epochs=1, learning_rate=0.1, label="line")
    with pytest.raises(
        ConfigError, match=r"line: the loss became nan at step 1; lower learning_rate \(now 0.1\)"
    ):
        train(model, Points(), lambda batch: model(batch[0]).sum() * math.nan, plan, Run())


def test_clipping_bounds_the_gradient():
    model, norms = line(), []

    def loss(batch):
        norms.append(model.weight.grad.norm().item())
        return 1e6 * nn.functional.mse_loss(model(batch[0]), batch[1])

    plan = Plan(epochs=2, learning_rate=0.01, clip=1.0)
    outcome = train(model, Points(), loss, plan, Run())
    assert outcome.steps == 10
    assert model.weight.isfinite().all()


def test_progress_tells_epoch_loss_and_score():
    notes = []

    class Bar:
        def __enter__(self):
            return self

        def __exit__(self, *failure):
            pass

        def advance(self, steps=1, note=""):
            notes.append(note)

    run = Run(progress=lambda label, total: notes.append(f"{label} {total}") or Bar())
    fit(line(), run, epochs=2, validate=lambda: 0.5, label="line")
    assert notes[0] == "line 10"
    assert len(notes) == 11
    assert notes[1].startswith("epoch 1/2 loss ")
    assert notes[-1].endswith("best 0.5000")
