"""The engine: a workspace that answers, learns of events at once, and can repeat what it said."""

from pathlib import Path
from typing import Any, Self

from polyscene.core.clock import Clock, SystemClock
from polyscene.dataset.world import World
from polyscene.jobs.answers import Answers
from polyscene.jobs.board import Board
from polyscene.jobs.bundles import Bundles
from polyscene.jobs.insight import Insight
from polyscene.jobs.intake import Intake
from polyscene.jobs.lineup import Lineup
from polyscene.jobs.lookup import Lookup
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.answer import Answered
from polyscene.scenario.ask import Answer, Ask


class Engine:
    """One workspace, open for events, puts and asks; safe to call from several threads.

    `intake` takes what is new; what it acknowledged is in the next answer. `answers` gives slates and logs
    each as an exposure. `lineup` knows which bundles serve, `bundles` changes that. `lookup` tells what is
    known of items and users, `insight` how the service does. `board` runs long work in other processes.
    """

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._log = workspace.log()
        self._world = World.open(self._log)
        self.intake = Intake(self._log, self._world, clock)
        self.lookup = Lookup(self._log, self._world)
        self.lineup = Lineup(workspace, self._world, clock)
        self.bundles = Bundles(self.lineup)
        self.answers = Answers(self._log, self._world, self.lineup, clock)
        self.board = Board(workspace.root, self._log, clock)
        self.insight = Insight(workspace, self._log, self._world, lambda: self.lineup.served)

    @classmethod
    def open(cls, root: Path, *, clock: Clock | None = None) -> "Engine":
        """The engine of the workspace at `root`.

        Raises:
            NotFoundError: There is no workspace.
            ConfigError: Its settings or a scenario file are wrong.
            StoreError: The log can't be opened, or another process writes to it.
        """
        return cls(Workspace.open(root), clock or SystemClock())

    def recommend(self, ask: Ask) -> Answer:
        """The slate for one ask, logged. See `Answers.recommend`."""
        return self.answers.recommend(ask)

    def rehearse(self, ask: Ask) -> Answered:
        """What `recommend` would answer now, unlogged. See `Answers.rehearse`."""
        return self.answers.rehearse(ask)

    def replay(self, request_id: str) -> Answer:
        """The answer to a logged request, computed again. See `Answers.replay`."""
        return self.answers.replay(request_id)

    def trace(self, request_id: str) -> dict[str, Any]:
        """How a logged answer came about. See `Answers.trace`."""
        return self.answers.trace(request_id)

    def scenarios(self) -> list[dict[str, Any]]:
        """Every scenario with what it shows and the bundle that answers; None: not trained yet."""
        self.lineup.look()
        found = []
        for name in self.lineup.names:
            served = self.lineup.served.get(name)
            recipe = served.scenario if served else None
            found.append(
                {
                    "name": name,
                    "kind": recipe.kind if recipe else None,
                    "slate": recipe.slate if recipe else None,
                    "anchored": recipe.anchors == "context" if recipe else False,
                    "stages": [step.called for step in recipe.steps] if recipe else [],
                    "fallback": recipe.fallback if recipe else None,
                    "bundle": served.bundle if served else None,
                    "metrics": self.lineup.metrics(name),
                }
            )
        return found

    def status(self) -> dict[str, Any]:
        """Whether asks can be answered, and what is odd."""
        self.lineup.look()
        served = self.lineup.served
        return {
            "ready": bool(served),
            "position": self._world.position,
            "scenarios": {
                name: served[name].bundle if name in served else None for name in self.lineup.names
            },
            "problems": [
                *([self._log.fault] if self._log.fault else []),
                *self.lineup.problems,
                *self._world.problems,
            ],
        }

    def close(self) -> None:
        """Writes what waits and lets go of the log."""
        self.board.close()
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()
