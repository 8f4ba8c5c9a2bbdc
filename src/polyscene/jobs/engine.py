"""The engine: a workspace that answers, learns of events at once, and can repeat what it said."""

from collections.abc import Mapping
from pathlib import Path
from threading import Lock
from time import monotonic
from typing import Any, Self

import msgspec

from polyscene.core.clock import Clock, SystemClock
from polyscene.core.errors import ConflictError, NotFoundError, PolysceneError
from polyscene.dataset.moment import Moment
from polyscene.dataset.world import World
from polyscene.events.event import Exposure
from polyscene.jobs.bundles import on_shelf
from polyscene.jobs.insight import Insight
from polyscene.jobs.intake import Intake
from polyscene.jobs.loader import Loader
from polyscene.jobs.lookup import Lookup
from polyscene.jobs.workspace import Workspace
from polyscene.scenario.answer import Answered, Served, recommend
from polyscene.scenario.ask import Answer, Ask, HistoryEvent
from polyscene.scenario.trace import rows

LOOK_S = 1.0
"""How often the shelf is looked at for a newly promoted bundle."""


class Engine:
    """One workspace, open for events, puts and asks; safe to call from several threads.

    `intake` takes what is new; what it acknowledged is in the next answer. `lookup` tells what is known of
    items and users. Every answer is logged as an
    exposure.
    """

    def __init__(self, workspace: Workspace, clock: Clock) -> None:
        self._clock = clock
        self._log = workspace.log()
        self._world = World.open(self._log)
        self.intake = Intake(self._log, self._world, clock)
        self._loader = Loader(workspace.shelf(), self._world)
        self.lookup = Lookup(self._log, self._world)
        self._names = tuple(sorted(workspace.scenarios()))
        self._served: dict[str, Served] = {}
        self.insight = Insight(workspace, self._log, self._world, lambda: self._served)
        self._problems: tuple[str, ...] = ()
        self._looked = 0.0
        self._looking = Lock()
        self._look(force=True)

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
        """The slate for one ask, logged. An ask sent again under its request id gets its first answer.

        Raises:
            NotFoundError: The scenario does not exist or was never trained.
            InputError: A wrong filter or context.
            ConflictError: The request id stands for another ask.
        """
        self._look()
        if ask.request_id is not None:
            before = self._log.exposure(ask.request_id)
            if before is not None:
                return self._repeat(ask, before)
        if ask.scenario not in self._served and ask.scenario in self._names:
            raise NotFoundError(
                f"recommend: scenario {ask.scenario!r} has no bundle yet; "
                f"run `polyscene train {ask.scenario}`"
            )
        moment, at = self._world.now, self._clock.now()
        with self._loader.seeing(moment):
            answered = recommend(ask, self._served, moment, at=at, trace=False)
        self._log.append_exposure(self._exposure(ask, answered, moment, at))
        return answered.answer

    def rehearse(self, ask: Ask) -> Answered:
        """What `recommend` would answer now, with its trace; nothing is logged, for nobody was shown it.

        Raises:
            NotFoundError, InputError: As `recommend`.
        """
        self._look()
        moment = self._world.now
        with self._loader.seeing(moment):
            return recommend(ask, self._served, moment, at=self._clock.now())

    def replay(self, request_id: str) -> Answer:
        """The answer to a logged request, computed again from the state as of its time.

        Raises:
            NotFoundError: The request was never logged, was erased, or its bundle is gone.
        """
        return self._again(self._logged(request_id)).answer

    def trace(self, request_id: str) -> dict[str, Any]:
        """How a logged answer came about: its slate, and by scenario every stage and every candidate.

        Candidates are computed again by a replay, so nothing but the slate is stored for them.

        Raises:
            NotFoundError: As `replay`.
        """
        exposure = self._logged(request_id)
        again = self._again(exposure)
        return {
            "request_id": request_id,
            "scenario": exposure.scenario,
            "bundle": exposure.bundle,
            "user": exposure.user,
            "time": exposure.time,
            "seed": exposure.seed,
            "log_position": exposure.log_position,
            "ask": exposure.ask,
            "skipped": exposure.skipped,
            "notes": exposure.trace.get("notes", []),
            "items": [
                {"id": item, "position": place, "score": score, "propensity": propensity}
                for place, (item, score, propensity) in enumerate(
                    zip(exposure.items, exposure.scores, exposure.propensities, strict=True)
                )
            ],
            "chain": [{**each, "candidates": rows(each)} for each in again.trace["chain"]],
        }

    def scenarios(self) -> list[dict[str, Any]]:
        """Every scenario with what it shows and the bundle that answers; None: not trained yet."""
        self._look()
        found = []
        for name in self._names:
            served = self._served.get(name)
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
                    "metrics": dict(self._loader.metrics(name, served.bundle)) if served else {},
                }
            )
        return found

    def bundles(self) -> list[dict[str, Any]]:
        """Every bundle of every scenario, newest first within one."""
        return on_shelf(self._loader.shelf)

    def status(self) -> dict[str, Any]:
        """Whether asks can be answered, and what is odd."""
        self._look()
        return {
            "ready": bool(self._served),
            "position": self._world.position,
            "scenarios": {
                name: self._served[name].bundle if name in self._served else None for name in self._names
            },
            "problems": [*self._problems, *self._world.problems],
        }

    def close(self) -> None:
        """Writes what waits and lets go of the log."""
        self._log.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *failure: object) -> None:
        self.close()

    def _look(self, *, force: bool = False) -> None:
        """Takes up newly promoted bundles; one that can't be read leaves the one before in service."""
        if not force and monotonic() - self._looked < LOOK_S:
            return
        with self._looking:
            self._looked = monotonic()
            served, problems = dict(self._served), []
            for name in self._names:
                try:
                    bundle = self._loader.shelf.current(name)
                    if bundle is not None and (name not in served or served[name].bundle != bundle):
                        served[name] = self._warmed(name, bundle)
                except PolysceneError as problem:
                    problems.append(f"{name}: {problem}")
            self._served, self._problems = served, tuple(problems)

    def _warmed(self, name: str, bundle: str) -> Served:
        """A bundle that has answered once, unlogged: the first client need not wait for caches to fill."""
        served = self._loader.served(name, bundle)
        moment = self._world.now
        known = moment.codes.ids[:1]
        ask = Ask(
            scenario=name,
            history=[HistoryEvent(item=item) for item in known],
            context={"anchors": known},
            request_id="warm-up",
        )
        with self._loader.seeing(moment):
            recommend(ask, {name: served}, moment, at=self._clock.now(), trace=False)
        return served

    def _repeat(self, ask: Ask, before: Exposure) -> Answer:
        if msgspec.to_builtins(ask) != before.ask:
            raise ConflictError(
                f"recommend: request_id {ask.request_id!r} stands for another ask; "
                "send a new id, or none to be given one"
            )
        return self._again(before).answer

    def _logged(self, request_id: str) -> Exposure:
        exposure = self._log.exposure(request_id)
        if exposure is None:
            raise NotFoundError(f"requests: no request {request_id!r} was logged, or its user was erased")
        return exposure

    def _again(self, exposure: Exposure) -> Answered:
        bundles: Mapping[str, str] = exposure.trace["bundles"]
        served = {name: self._loader.served(name, bundle) for name, bundle in bundles.items()}
        ask = msgspec.structs.replace(msgspec.convert(exposure.ask, Ask), request_id=exposure.request_id)
        moment = self._world.as_of(exposure.log_position)
        with self._loader.seeing(moment):
            return recommend(ask, served, moment, at=exposure.time, skip=exposure.skipped)

    def _exposure(self, ask: Ask, answered: Answered, moment: Moment, at: int) -> Exposure:
        answer = answered.answer
        return Exposure(
            request_id=answer.request_id,
            scenario=answer.scenario,
            bundle=answer.bundle,
            time=at,
            seed=answered.seed,
            log_position=moment.position,
            user=ask.user,
            ask=msgspec.to_builtins(ask),
            items=[shown.id for shown in answer.items],
            scores=[shown.score for shown in answer.items],
            propensities=[shown.propensity for shown in answer.items],
            skipped=answered.skipped,
            trace={
                "notes": answer.notes,
                "bundles": {name: self._served[name].bundle for name in self._chain(answer.scenario)},
            },
        )

    def _chain(self, name: str | None) -> list[str]:
        """The scenario and its fallbacks, as far as they are served."""
        found: list[str] = []
        while name is not None and name in self._served and name not in found:
            found.append(name)
            name = self._served[name].scenario.fallback
        return found
