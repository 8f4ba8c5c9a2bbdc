"""Asks answered: the scenario, then its fallbacks until the slate is full; one ask, or hundreds at once."""

from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from uuid import uuid4

import msgspec
import numpy as np

from polyscene.core.errors import NotFoundError, nearest
from polyscene.core.queries import stack
from polyscene.core.seeds import seed_of
from polyscene.retrieve.step import FAILURES
from polyscene.scenario.ask import Answer, Ask, Sight
from polyscene.scenario.plate import Course, Plate, Served, because_of
from polyscene.scenario.run import Result, run

__all__ = ["Answered", "Served", "chain_of", "recommend", "recommend_all"]


@dataclass(frozen=True, slots=True)
class Answered:
    """The answer with what an exposure logs beside it.

    `skipped`: the skip mask, ``"home"`` for a scenario that failed and ``"home/sasrec"`` for a step;
    given to `recommend` again, it makes a replay leave out the same.
    """

    answer: Answer
    seed: int
    skipped: list[str]
    trace: dict[str, Any]


def recommend(
    ask: Ask,
    served: Mapping[str, Served],
    sight: Sight,
    *,
    at: int,
    skip: Collection[str] | None = None,
    trace: bool = True,
) -> Answered:
    """The answer to one ask.

    Args:
        ask: What the client wants.
        served: Every scenario that has a bundle, by name.
        sight: The live world, or the world as it was, for a replay.
        at: UTC ms; the only clock that stages see.
        skip: The logged mask of a replay: exactly that is left out. None: optional steps may be left
            out to keep the scenario's budget, and a scenario that takes far longer is given up.
        trace: Also tell what happened to every candidate; without it the answer is the same and quicker.

    Raises:
        NotFoundError: No such scenario, or it has no bundle yet.
        InputError: A wrong filter or context. Whatever else goes wrong degrades the answer instead.
    """
    chain = list(chain_of(ask.scenario, served))
    ask = msgspec.structs.replace(ask, request_id=ask.request_id or uuid4().hex)
    plate = Plate(ask, sight, at, skip, trace, wanted=ask.k or chain[0].scenario.slate)
    for place, here in enumerate(chain):
        if plate.full:
            break
        if place:
            plate.notes.append(_fills_up(plate, here))
        plate.fill(here, last=place == len(chain) - 1)
    return _answered(plate, chain[0].bundle)


def recommend_all(
    asks: Sequence[Ask], served: Mapping[str, Served], sight: Sight, *, at: int
) -> list[Answered]:
    """The answers to B asks of one scenario, each what `recommend` gives it alone, without a budget.

    Every ask needs its request id. A stage that fails for one fails for all of them.

    Raises:
        NotFoundError, InputError: As `recommend`.
    """
    if not asks:
        return []
    chain = list(chain_of(asks[0].scenario, served))
    plates = [
        Plate(ask, sight, at, (), trace=False, wanted=ask.k or chain[0].scenario.slate) for ask in asks
    ]
    for place, here in enumerate(chain):
        short = [plate for plate in plates if not plate.full]
        if place:
            for plate in short:
                plate.notes.append(_fills_up(plate, here))
        if short:
            _fill_all(short, here)
    return [_answered(plate, chain[0].bundle) for plate in plates]


def chain_of(name: str, served: Mapping[str, Served]) -> Iterator[Served]:
    """A scenario and its fallbacks one after another, as far as they are served.

    Raises:
        NotFoundError: The first one is not.
    """
    if name not in served:
        raise NotFoundError(f"recommend: scenario {name!r} is not served{nearest(name, served)}")
    here: str | None = name
    met: set[str] = set()
    while here is not None and here in served and here not in met:
        met.add(here)
        yield served[here]
        here = served[here].scenario.fallback


def _fill_all(plates: Sequence[Plate], here: Served) -> None:
    """As `Plate.fill`, in one run for all."""
    resolved = [plate.query(here) for plate in plates]
    queries = stack([each for each, _ in resolved])
    try:
        result = run(here.pipeline, queries)
        because = because_of(here.pipeline, queries, result.slates)
    except FAILURES as problem:
        for plate in plates:
            plate.failed(here.scenario.scenario, str(problem))
        return
    offsets = result.slates.offsets
    for row, (plate, (query, blind)) in enumerate(zip(plates, resolved, strict=True)):
        mine = Result(result.slates.take(np.array([row])), result.watch)
        plate.take(here, Course(query, mine, because[offsets[row] : offsets[row + 1]], blind))


def _fills_up(plate: Plate, here: Served) -> str:
    return f"{len(plate.shown)} of {plate.wanted} items so far; {here.scenario.scenario!r} fills up"


def _answered(plate: Plate, bundle: str) -> Answered:
    request_id = plate.ask.request_id or ""
    answer = Answer(
        request_id=request_id,
        scenario=plate.ask.scenario,
        bundle=bundle,
        items=plate.shown,
        degraded=bool(plate.notes),
        notes=[*plate.notes, *plate.reasons],
    )
    trace = {"chain": plate.traces, "notes": answer.notes}
    return Answered(answer, seed_of(request_id), plate.skipped, trace)
