"""What the contract itself costs: one query through ten stages that do nothing. Ceiling: 0.5 ms.

Run: python -m bench.contract_overhead
"""

from statistics import median
from time import process_time

import numpy as np

from polyscene.core.config import Config
from polyscene.core.contracts import Data, Effect, Run, State
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates, append
from polyscene.retrieve.step import Step, StepPart
from polyscene.scenario.run import Pipeline, run

STAGES, CANDIDATES, ROUNDS, REPEATS = 10, 300, 7, 300
CEILING_MS = 0.5


class Idle(Config, frozen=True, kw_only=True, tag="idle"):
    """Brings the same items each time, or nothing at all."""

    brings: int = 0

    def fit(self, data: Data, run: Run, warm: object = None) -> "IdlePart":
        return IdlePart(self.brings)


class IdlePart:
    def __init__(self, brings: int) -> None:
        self.effect = frozenset({Effect.ADDS} if brings else {Effect.ORDERS})
        items = np.arange(brings, dtype=np.int32)
        self.found = Slates(np.array([0, brings]), items, np.ones(brings, np.float32))

    def __call__(self, queries: Queries, slates: Slates) -> Slates:
        return append(slates, self.found) if len(self.found.items) else slates

    def state(self) -> State:
        return State()


def main() -> None:
    steps = [Step(stage=Idle(brings=CANDIDATES), name="source")]
    steps += [Step(stage=Idle(), name=f"stage {place}") for place in range(1, STAGES)]
    parts = tuple(StepPart(step, IdlePart(step.stage.brings)) for step in steps)
    pipeline = Pipeline("idle", parts, budget_ms=50)
    queries = Queries.of_histories(history_of([[1, 2, 3]]), 3_706, wanted=20)
    rounds = []
    for _ in range(ROUNDS):
        start = process_time()
        for _ in range(REPEATS):
            run(pipeline, queries, budget=True, keep=True)
        rounds.append((process_time() - start) / REPEATS * 1e3)
    cost = median(rounds)
    verdict = "within" if cost <= CEILING_MS else "ABOVE"
    print(f"{STAGES} stages, {CANDIDATES} candidates, B = 1: {cost:.3f} ms CPU, {verdict} {CEILING_MS} ms")


if __name__ == "__main__":
    main()
