"""A small training with chance in it, for the tests of the loop's parts."""

from itertools import islice

import torch
from torch import nn

from polyscene.core.contracts import Run, Training
from polyscene.nn.layers import Dropout
from polyscene.nn.loop import Plan, train


class Batch:
    """Points on a line; can be cut."""

    def __init__(self, x):
        self.x, self.targets = x, 3 * x - 1

    def split(self, parts):
        pieces = [Batch(piece) for piece in self.x.tensor_split(min(parts, len(self.x)))]
        return [(each, len(each.x) / len(self.x)) for each in pieces]


class Points:
    """`steps` batches of `rows` points."""

    def __init__(self, steps=5, rows=8):
        self.steps, self.rows = steps, rows

    def epoch(self, number):
        chance = torch.Generator().manual_seed(number)
        for _ in range(self.steps):
            yield Batch(torch.rand(self.rows, 1, generator=chance))


class Net(nn.Module):
    """A wide network with dropout."""

    def __init__(self, width=16, share=0.2, seed=0):
        super().__init__()
        chance = torch.Generator().manual_seed(seed)
        self.wide, self.narrow = nn.Linear(1, width), nn.Linear(width, 1)
        for each in self.parameters():
            nn.init.normal_(each, generator=chance)
        self.drop = Dropout(share, chance)

    def forward(self, x):
        return self.narrow(self.drop(torch.tanh(self.wide(x))))


class KilledError(Exception):
    """Stands for a kill."""


def stopping_bar(after):
    """Progress whose bar raises `KilledError` at a step."""

    class Bar:
        left = after

        def __enter__(self):
            return self

        def __exit__(self, *failure):
            pass

        def advance(self, steps=1, note=""):
            self.left -= steps
            if self.left <= 0:
                raise KilledError

    return lambda label, total: Bar()


def fit(net, run=None, *, points=None, validate=None, **settings):
    plan = Plan(**({"epochs": 6, "learning_rate": 0.01, "identity": "points", "label": "line"} | settings))

    def loss(batch):
        return nn.functional.mse_loss(net(batch.x), batch.targets)

    return train(net, points or Points(), loss, plan, run or Run(), validate)


def keeping(folder, *, stop=None, **more):
    """A run that keeps a checkpoint at every step."""
    bar = {} if stop is None else {"progress": stopping_bar(stop)}
    return Run(training=Training(checkpoint=folder, checkpoint_s=0.0), **bar, **more)


def weights(net):
    return torch.cat([each.detach().reshape(-1) for each in net.parameters()])


def first(points, count=1):
    return list(islice(points.epoch(0), count))
