"""`polyscene tune`: searches models and settings on the validation part, looks at the test part once."""

import math
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec

from polyscene.core.clock import SystemClock
from polyscene.core.config import find
from polyscene.core.contracts import Progress, ProgressBar, silent
from polyscene.core.errors import ConfigError, DataError, nearest
from polyscene.dataset.known import cache_folder
from polyscene.dataset.split import Protocol
from polyscene.jobs.tune.crew import Crew, Hand, Lost
from polyscene.jobs.tune.file import model_file, scenario_file
from polyscene.jobs.tune.ground import METRIC, Ask, Mark, Score, scenario_of, sources_of, start_of
from polyscene.jobs.tune.journal import End, Journal, Looked, Tried, opened
from polyscene.jobs.tune.plan import Limits, Plan, chosen_of
from polyscene.jobs.tune.result import Marks, Told, result_of
from polyscene.jobs.tune.searches import Pick, Search
from polyscene.jobs.tune.worker import Glimpse, Order, Refusal, Stopped, Word
from polyscene.models.search import SPACES
from polyscene.models.table import KINDS

RUNG_S = 2.0
"""Fits shorter than this are not worth an early rung."""
LONGEST = 0.25
"""Share of the budget that one trial may take, so that a few long ones can't use it all up."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TuneRequest:
    """What to tune, and what it may take.

    Either `data` under a `protocol`, or the `scenario` of the workspace at `root`, where the source called
    `stage` is tuned (None: the first that can be). `kinds`: the models that are searched, empty for every
    one with a space. `budget_s`: seconds for everything, `memory_mb` for all workers together,
    `latency_ms`: most CPU milliseconds of a request. `trials`: most of a kind. `study`: the file of the
    study (None: in the workspace, or in the cache).
    """

    data: str | None = None
    protocol: Protocol = "loo"
    mapping: Mapping[str, str] = field(default_factory=dict)
    rules: Mapping[str, object] = field(default_factory=dict)
    root: Path | None = None
    scenario: str | None = None
    stage: str | None = None
    kinds: tuple[str, ...] = ()
    seed: int = 0
    budget_s: float = 1800.0
    trials: int = 60
    workers: int = 1
    memory_mb: float | None = None
    latency_ms: float | None = None
    study: Path | None = None


def tune(request: TuneRequest, progress: Progress = silent) -> dict[str, Any]:
    """The result as JSON data, in the form of ``polyscene tune --json``.

    The same request goes on where a study was broken off, and gives the same result once it is done. A
    choice is made on the validation part alone; the chosen settings and the defaults of every kind are then
    fitted on all but the test part and asked that.

    Raises:
        ConfigError: Nothing or two things to tune, an unknown kind, limits that leave no room.
        ConflictError: The study is about other data or another question.
        BusyError: Another process works on the study.
        DataError: The data can't be read or split so, or no trial could be scored within the limits.
    """
    _check(request)
    ask = _ask(request)
    with opened(request.study or _home(request, ask)) as journal:
        if journal.ask is not None:
            ask = msgspec.structs.replace(ask, at=journal.ask.at)
        return _Study(request, ask, journal).run(progress)


class _Study:
    """One session of a study."""

    def __init__(self, request: TuneRequest, ask: Ask, journal: Journal) -> None:
        self.request, self.ask, self.journal = request, ask, journal
        self.kinds = _kinds(request)
        self.limits = _limits(request)
        self.plan = Plan(self.kinds, self.limits)
        self.over: set[str] = set()
        self.searches = {kind: self._search(kind) for kind in self.kinds}
        self._began, self._before = time.monotonic(), journal.used_s

    @property
    def used_s(self) -> float:
        """Seconds of the study so far, those of sessions before included."""
        return self._before + time.monotonic() - self._began

    @property
    def tried(self) -> list[Tried]:
        """The trials of the kinds that are searched."""
        return [each for each in self.journal.tried if each.kind in self.kinds]

    def run(self, progress: Progress) -> dict[str, Any]:
        """Searches, chooses, looks at the test part; what was done already is done no second time."""
        memory_mb = self.request.memory_mb
        each_mb = None if memory_mb is None else memory_mb / self.limits.workers
        with Crew(self.ask, self.limits.workers, each_mb) as crew:
            facts = crew.facts()
            self.journal.begin(self.ask, facts)
            asked = {**asdict(self.limits), "kinds": list(self.kinds)}
            for each in self.journal.looked:
                if each.limits == asked:
                    return each.result
            with progress("tune", max(1, math.ceil(self.limits.budget_s))) as bar:
                self._seek(crew, _Clock(bar, self))
                chosen = chosen_of(self.tried, self.limits.latency_ms)
                if chosen is None:
                    raise DataError(f"tune: nothing could be scored within the limits: {self._reasons()}")
                marks, failed = self._look(crew, chosen)
        settings = self.searches[chosen.kind].config(chosen.settings)
        beside = {
            "file": self._file(chosen.kind, settings),
            "scenario": self.ask.scenario,
            "stage": self.ask.stage,
            "limits": {**asdict(self.limits), "memory_mb": self.request.memory_mb},
            "used_s": self.used_s,
            "looks": len(self.journal.looked) + 1,
            "study": str(self.journal.path),
        }
        result = result_of(facts, beside, self._told(), chosen, Marks(marks, failed))
        self.journal.add(Looked(limits=asked, result=result))
        return result

    def _seek(self, crew: Crew, clock: "_Clock") -> None:
        while True:
            left_s = self.plan.left_s(self.tried, self.used_s)
            for hand in crew.idle:
                pick = self._pick([each.tag.kind for each in crew.busy], left_s)
                if pick is None:
                    break
                self._give(crew, hand, pick, left_s)
            if not crew.busy and all(hand.ready for hand in crew.hands):
                return
            for hand, word in crew.listen():
                self._heard(hand, word)
            clock.tick()

    def _pick(self, working: Sequence[str], left_s: float) -> Pick | None:
        while left_s > 0:
            kind = self.plan.next(self.tried, working, left_s, self.over)
            if kind is None:
                return None
            search = self.searches[kind]
            if all(each.kind != kind for each in self.tried):
                return search.first()
            pick = search.next()
            if pick is not None:
                return pick
            self.over.add(kind)
        return None

    def _give(self, crew: Crew, hand: Hand, pick: Pick, left_s: float) -> None:
        settings = self.searches[pick.kind].config(pick.settings)
        first = next((each for each in self.tried if each.kind == pick.kind and not each.settings), None)
        # What tells no scores on its way is first tried on a few users, if its fits are long.
        rung = first is not None and not first.glimpses and (first.fit_cpu_s or 0.0) > RUNG_S
        longest_s = self.limits.budget_s * LONGEST
        if first is None:
            longest_s = self.plan.first_s(self.tried, left_s)
        order = Order(kind=pick.kind, settings=settings, rung=rung)
        crew.give(hand, order, pick, min(left_s, longest_s))

    def _heard(self, hand: Hand, word: Word | Lost) -> None:
        pick: Pick = hand.tag
        if isinstance(word, Glimpse):
            hand.tell(self.searches[pick.kind].goes_on(pick, word.share, word.score))
            return
        ended, why, score = _ending(pick, word)
        costs = (word.request_ms, word.fit_cpu_s) if isinstance(word, Score) else (None, None)
        trial = Tried(
            kind=pick.kind,
            settings=pick.settings,
            end=ended,
            why=why,
            score=score,
            glimpses=pick.glimpses,
            request_ms=costs[0],
            fit_cpu_s=costs[1],
            seconds=time.monotonic() - hand.began,
            at_s=self.used_s,
        )
        hand.order = None
        self.searches[pick.kind].tell(pick, trial)
        self.journal.add(trial)

    def _look(self, crew: Crew, chosen: Tried) -> tuple[dict[str, Mark], dict[str, str]]:
        """The marks of the chosen one (``""``) and of every kind's defaults, and why some have none."""
        begun = [each.kind for each in self.tried if not each.settings and each.end == "done"]
        todo = [("", chosen.kind, self.searches[chosen.kind].config(chosen.settings))]
        todo += [(kind, kind, self.searches[kind].config({})) for kind in begun]
        marks, failed = dict[str, Mark](), dict[str, str]()
        while todo or crew.busy:
            for hand in crew.idle[: len(todo)]:
                tag, kind, settings = todo.pop(0)
                crew.give(hand, Order(kind=kind, settings=settings, test=True), tag, math.inf)
            for hand, word in crew.listen():
                hand.order = None
                if isinstance(word, Mark):
                    marks[hand.tag] = word
                else:
                    failed[hand.tag] = word.why if isinstance(word, Refusal | Lost) else "stopped"
        if "" not in marks:
            raise DataError(f"tune: the chosen {chosen.kind} can't be fitted on everything: {failed['']}")
        return marks, failed

    def _file(self, kind: str, settings: Mapping[str, Any]) -> str:
        if not self.ask.scenario:
            return model_file(kind, settings)
        raw = scenario_of(Path(self.ask.root), self.ask.scenario)
        return scenario_file(raw, self.ask.stage, kind, settings)

    def _told(self) -> Told:
        return Told(
            tried=self.tried,
            searches=self.searches,
            latency_ms=self.limits.latency_ms,
            seed=self.request.seed,
        )

    def _search(self, kind: str) -> Search:
        return Search(
            kind,
            SPACES[kind],
            start_of(self.ask, kind),
            tried=[each for each in self.journal.tried if each.kind == kind],
            seed=self.request.seed,
            latency_ms=self.limits.latency_ms,
        )

    def _reasons(self) -> str:
        told = {f"{each.kind}: {each.end} {each.why}".strip() for each in self.tried}
        return "; ".join(sorted(told)) or "there was no time for a single trial; raise --budget"


class _Clock:
    """Moves a bar of seconds."""

    def __init__(self, bar: ProgressBar, study: _Study) -> None:
        self._bar, self._study, self._shown = bar, study, 0

    def tick(self) -> None:
        """Shows the time used and the best score so far."""
        now = int(self._study.used_s)
        best = chosen_of(self._study.tried, self._study.limits.latency_ms)
        note = "" if best is None else f"{METRIC} {best.score:.4f} {best.kind}"
        self._bar.advance(now - self._shown, note)
        self._shown = now


def _ending(pick: Pick, word: Word | Lost) -> tuple[End, str, float | None]:
    """How a trial ended, why, and its score."""
    match word:
        case Score(score=score):
            return "done", "", score
        case Stopped():
            share, score = pick.glimpses[-1]
            return "behind", f"{METRIC} {score:.4f} after {share:.0%}, below the median of the others", None
        case Lost(why="memory"):
            return "memory", "held more than a worker may", None
        case Lost(why="time"):
            return "time", "took longer than was left for it", None
        case Refusal(why=why):
            return "failed", why, None
        case _:
            return "failed", "its process ended", None


def _check(request: TuneRequest) -> None:
    if (request.data is None) == (request.scenario is None):
        raise ConfigError("tune: give either data (--data) or a workspace's scenario (--scenario NAME)")
    if request.budget_s <= 0 or request.trials < 1 or request.workers < 1:
        raise ConfigError(
            f"tune: budget {request.budget_s:g} s, {request.trials} trials, {request.workers} workers: each"
            " must be above 0"
        )
    for kind in request.kinds:
        find(KINDS, kind, "--model")
        if kind not in SPACES:
            raise ConfigError(f"tune: {kind!r} has no search space{nearest(kind, SPACES)}")


def _ask(request: TuneRequest) -> Ask:
    if request.scenario is None:
        return Ask(
            data=str(request.data),
            protocol=request.protocol,
            mapping=dict(request.mapping),
            rules=dict(request.rules),
            seed=request.seed,
        )
    root = request.root or Path()
    names = sources_of(scenario_of(root, request.scenario))
    stage = request.stage or next(iter(names), "")
    if stage not in names:
        raise ConfigError(
            f"tune: scenario {request.scenario!r} has no source {stage!r} that can be tuned"
            f"{nearest(stage, names)}"
        )
    now = SystemClock().now()
    return Ask(root=str(root), scenario=request.scenario, stage=stage, at=now, seed=request.seed)


def _home(request: TuneRequest, ask: Ask) -> Path:
    """Where the study is kept, one file for each question."""
    if request.root is not None and request.scenario is not None:
        return request.root / "studies" / f"{request.scenario}.{ask.stage}.{request.seed}.jsonl"
    question = sha256(msgspec.json.encode(ask)).hexdigest()[:12]
    return cache_folder() / "studies" / f"{Path(ask.data).stem}.{question}.jsonl"


def _kinds(request: TuneRequest) -> tuple[str, ...]:
    return request.kinds or tuple(SPACES)


def _limits(request: TuneRequest) -> Limits:
    return Limits(
        budget_s=request.budget_s,
        trials=request.trials,
        workers=request.workers,
        latency_ms=request.latency_ms,
    )
