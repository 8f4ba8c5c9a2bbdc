"""Writes and promotes bundles until it is killed; says each id before its promotion and after it."""

import itertools
import sys
from functools import partial
from pathlib import Path

import numpy as np

from polyscene.artifacts.bundle import Facts
from polyscene.artifacts.shelf import Shelf
from polyscene.core.contracts import State

say = partial(print, flush=True)
shelf = Shelf(Path(sys.argv[1]))
for number in itertools.count(int(sys.argv[2])):
    state = State({"numbers": np.full(100_000, number, np.int64)}, {"number": number})
    bundle = shelf.add("home", state, Facts(kind="test", created=1_700_000_000_000 + number))
    say("added", bundle)
    shelf.promote("home", bundle)
    say("promoted", bundle)
    if number % 5 == 4:
        shelf.collect("home", keep=3)
