"""Answers: slates for asks, pages and scrolls; each logged as an exposure, so it can be given again."""

from collections.abc import Mapping
from dataclasses import replace
from time import perf_counter
from typing import Any
from uuid import uuid4

import msgspec
import structlog

from polyscene.core.clock import Clock
from polyscene.core.errors import (
    BundleError,
    BusyError,
    ConflictError,
    InputError,
    NotFoundError,
    StoreError,
)
from polyscene.dataset.moment import Moment
from polyscene.dataset.world import World
from polyscene.events.event import Exposure
from polyscene.events.log import EventLog
from polyscene.jobs.lineup import Lineup
from polyscene.jobs.scroll import cursor_of, onward, request_of
from polyscene.observe.counters import ANSWER_SECONDS, ANSWERS
from polyscene.scenario.answer import Answered, Served, chain_of, recommend
from polyscene.scenario.ask import Answer, Ask, Page, PageAsk
from polyscene.scenario.trace import rows

RELATED, POPULAR = "related", "popular"
"""Scenarios that answer `similar` and `popular` where the ask names none."""
_log = structlog.get_logger(__name__)


class Answers:
    """Gives answers from the newest moment, and gives logged ones again from the moment of their time."""

    def __init__(self, log: EventLog, world: World, lineup: Lineup, clock: Clock) -> None:
        self._log = log
        self._world = world
        self._lineup = lineup
        self._clock = clock

    def recommend(self, ask: Ask) -> Answer:
        """The slate for one ask, logged. An ask sent again under its request id gets its first answer.

        Its cursor asks for the next items; these then exclude all that was shown since the scroll began,
        whatever happened in between.

        Raises:
            NotFoundError: The scenario does not exist or was never trained, or the scroll is forgotten.
            InputError: A wrong filter, context or cursor.
            ConflictError: The request id stands for another ask.
        """
        started = perf_counter()
        self._lineup.look()
        ask = self._onward(ask)
        before = self._before(ask)
        if before is not None:
            return self._repeat(ask, before)
        served = self._lineup.served
        if ask.scenario not in served and ask.scenario in self._lineup.names:
            raise NotFoundError(
                f"recommend: scenario {ask.scenario!r} has no bundle yet; "
                f"run `polyscene train {ask.scenario}`"
            )
        moment, at = self._world.now, self._clock.now()
        with self._lineup.loader.seeing(moment):
            answered = recommend(ask, served, moment, at=at, trace=False)
        answer = self._logged_answer(ask, answered, exposure_of(ask, answered, served, moment, at))
        ANSWERS.labels(answer.scenario, str(answer.degraded).lower()).inc()
        ANSWER_SECONDS.labels(answer.scenario).observe(perf_counter() - started)
        return answer

    def page(self, ask: PageAsk) -> Page:
        """Slates of several scenarios without an item twice; row n is logged as ``<request_id>/<n>``.

        A row that can't be answered is empty and says why; the others stand.

        Raises:
            ConflictError: The request id stands for another page.
            BusyError, StoreError: Nothing can be answered now.
        """
        page_id, found = ask.request_id or uuid4().hex, list[Answer]()
        exclude = list(ask.exclude)
        for number, row in enumerate(ask.rows):
            request_id = f"{page_id}/{number}"
            one = Ask(
                scenario=row.scenario,
                user=ask.user,
                history=ask.history,
                k=row.k,
                context=row.context,
                filter=row.filter,
                exclude=exclude,
                request_id=request_id,
            )
            found.append(self._row(one, request_id))
            exclude = [*exclude, *(shown.id for shown in found[-1].items)]
        return Page(request_id=page_id, rows=found, degraded=any(row.degraded for row in found))

    def anchored(self) -> str:
        """The scenario that answers `similar`: the one named ``related``, else the first anchored one.

        Raises:
            NotFoundError: There is none.
        """
        served = self._lineup.served
        fit = [name for name in sorted(served) if served[name].scenario.anchors == "context"]
        if not fit:
            raise NotFoundError(
                'similar: no scenario with anchors = "context" is served; train one, such as '
                f"{RELATED!r} of the starter, or name a scenario"
            )
        return RELATED if RELATED in fit else fit[0]

    def rehearse(self, ask: Ask) -> Answered:
        """What `recommend` would answer now, with its trace; nothing is logged, for nobody was shown it.

        Raises:
            NotFoundError, InputError: As `recommend`.
        """
        self._lineup.look()
        moment = self._world.now
        with self._lineup.loader.seeing(moment):
            return recommend(ask, self._lineup.served, moment, at=self._clock.now())

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

    def _onward(self, ask: Ask) -> Ask:
        if ask.cursor is None:
            return ask
        before = self._log.exposure(request_of(ask.cursor))
        if before is None:
            raise NotFoundError(
                "recommend: the answer that the cursor goes on from is not in the log any more; "
                "start anew without a cursor"
            )
        return onward(ask, before)

    def _before(self, ask: Ask) -> Exposure | None:
        """The logged answer under the ask's own id; None also while the log can't be read."""
        if ask.request_id is None:
            return None
        try:
            return self._log.exposure(ask.request_id)
        except StoreError as problem:
            _log.error("exposure_unread", detail=str(problem))
            return None

    def _repeat(self, ask: Ask, before: Exposure) -> Answer:
        if msgspec.convert(before.ask, Ask) != ask:
            raise ConflictError(
                f"recommend: request_id {ask.request_id!r} stands for another ask; "
                "send a new id, or none to be given one"
            )
        return self._again(before).answer

    def _logged_answer(self, ask: Ask, answered: Answered, exposure: Exposure) -> Answer:
        """The answer with its cursor. One that can't be logged is given all the same, and says so."""
        answer = answered.answer
        try:
            self._log.append_exposure(exposure)
        except (BusyError, StoreError) as problem:
            _log.error("exposure_lost", detail=str(problem))
            note = f"not logged, so it can't be traced, repeated or scrolled on: {problem}"
            return msgspec.structs.replace(answer, degraded=True, notes=[*answer.notes, note])
        return msgspec.structs.replace(answer, cursor=cursor_of(ask, answer))

    def _row(self, ask: Ask, request_id: str) -> Answer:
        try:
            return self.recommend(ask)
        except ConflictError:
            raise
        except (InputError, NotFoundError, BundleError) as problem:
            return Answer(
                request_id=request_id,
                scenario=ask.scenario,
                bundle="",
                items=[],
                degraded=True,
                notes=[str(problem)],
            )

    def _logged(self, request_id: str) -> Exposure:
        exposure = self._log.exposure(request_id)
        if exposure is None:
            raise NotFoundError(f"requests: no request {request_id!r} was logged, or its user was erased")
        return exposure

    def _again(self, exposure: Exposure) -> Answered:
        bundles: Mapping[str, str] = exposure.trace["bundles"]
        # Held by name until the answer is there, so that none is let go in between.
        loaded = {name: self._lineup.loader.load(name, bundle) for name, bundle in bundles.items()}
        served = {name: each.served for name, each in loaded.items()}
        ask = msgspec.structs.replace(msgspec.convert(exposure.ask, Ask), request_id=exposure.request_id)
        moment = self._world.as_of(exposure.log_position)
        with self._lineup.loader.seeing(moment):
            found = recommend(ask, served, moment, at=exposure.time, skip=exposure.skipped)
        answer = msgspec.structs.replace(found.answer, cursor=cursor_of(ask, found.answer))
        return replace(found, answer=answer)


def exposure_of(
    ask: Ask, answered: Answered, served: Mapping[str, Served], moment: Moment, at: int
) -> Exposure:
    """What the log keeps of an answer: all that is needed to give it again."""
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
            "bundles": {each.scenario.scenario: each.bundle for each in chain_of(ask.scenario, served)},
        },
    )
