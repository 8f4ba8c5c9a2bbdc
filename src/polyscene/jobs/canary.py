"""The canary: a bundle answers real users, unseen, before it may answer anybody."""

from collections.abc import Sequence
from dataclasses import dataclass
from time import perf_counter

import numpy as np

from polyscene.core.errors import BundleError, CanaryError, ConfigError
from polyscene.dataset.moment import Moment
from polyscene.jobs.loader import Loaded, Loader
from polyscene.observe.counters import CANARY_REFUSALS
from polyscene.retrieve.step import FAILURES
from polyscene.scenario.answer import Served
from polyscene.scenario.ask import Ask, Sight
from polyscene.scenario.run import run

USERS = 32
"""Users that are asked for; one anonymous visitor comes on top."""
SLOWER = 2.0
"""Times the current bundle's median latency that are too much."""
FELT_MS = 5.0
"""A difference below this is felt by nobody and may be chance."""
MORE_EMPTY = 0.1
"""Share of asks that may be left empty besides those that the current bundle leaves so."""
METRIC = "ndcg@10"


@dataclass(frozen=True, slots=True)
class Check:
    """One thing looked at, with its figures."""

    name: str
    passed: bool
    found: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What the canary found of one bundle."""

    scenario: str
    bundle: str
    checks: tuple[Check, ...]

    @property
    def failed(self) -> tuple[Check, ...]:
        """The checks that it did not pass."""
        return tuple(check for check in self.checks if not check.passed)

    @property
    def why(self) -> str:
        """The failed checks with their figures, as one text."""
        return "; ".join(f"{check.name}: {check.found}" for check in self.failed)


@dataclass(frozen=True, slots=True)
class Canary:
    """Examines bundles on the users of a moment. `at` UTC ms; `floor` share of the current metric, 0: none.

    The same users are asked for whenever the same bundle is examined on the same log.
    """

    loader: Loader
    moment: Moment
    at: int
    floor: float

    def examine(self, name: str, bundle: str, current: Loaded | None = None) -> Verdict:
        """Loads a bundle and lets it answer, in turns with the one that serves, where there is one.

        Args:
            name: The scenario.
            bundle: The bundle's id.
            current: What serves; None: whatever the shelf calls current.

        Raises:
            NotFoundError: There is no such bundle.
        """
        try:
            candidate = self.loader.load(name, bundle)
        except (BundleError, ConfigError) as problem:
            return Verdict(name, bundle, (Check("load", False, str(problem)),))
        current = current or self._current(name, bundle)
        with self.loader.seeing(self.moment):
            ours, theirs = self._duel(candidate.served, current.served if current else None)
        checks = [*_sound(ours, theirs), Check("load", True, "every file matches its digest")]
        if current is not None:
            checks.append(_metric(candidate, current, self.floor))
            checks.append(_latency(ours, theirs))
        return Verdict(name, bundle, tuple(checks))

    def promote(
        self, name: str, bundle: str, *, force: bool = False, instead_of: str | None = None
    ) -> Verdict:
        """Examines a bundle and makes it current; the history keeps what it failed, if it was forced.

        Raises:
            NotFoundError: There is no such bundle.
            CanaryError: It failed, and `force` is not given; the one before stays.
            ConflictError: Another bundle than `instead_of` is current.
        """
        verdict = self.examine(name, bundle)
        if verdict.failed and not force:
            refuse(verdict)
        self.loader.shelf.promote(name, bundle, instead_of=instead_of, forced=verdict.why)
        return verdict

    def _current(self, name: str, bundle: str) -> Loaded | None:
        """The bundle that serves; None where there is none, or it can't be read any more."""
        current = self.loader.shelf.current(name)
        if current is None or current == bundle:
            return None
        try:
            return self.loader.load(name, current)
        except (BundleError, ConfigError):
            return None

    def _duel(self, ours: Served, theirs: Served | None) -> tuple[list["Sample"], list["Sample"]]:
        found: tuple[list[Sample], list[Sample]] = [], []
        asks = asks_of(ours.scenario.scenario, self.moment)
        for turn, ask in enumerate([asks[0], *asks]):
            pair = ((found[0], ours), (found[1], theirs))
            for samples, served in pair if turn % 2 else pair[::-1]:
                if served is not None:
                    samples.append(_sample(served, ask, self.moment, self.at))
        # The first ask was there to fill caches.
        return found[0][1:], found[1][1:]


@dataclass(frozen=True, slots=True)
class Sample:
    """What came of one ask: milliseconds, what went wrong, and whether items were there but not found."""

    ms: float
    failure: str = ""
    finite: bool = True
    empty: bool = False


def refuse(verdict: Verdict) -> None:
    """Counts a refusal and raises it as CanaryError."""
    for check in verdict.failed:
        CANARY_REFUSALS.labels(verdict.scenario, check.name).inc()
    raise CanaryError(
        f"canary: bundle {verdict.bundle} of {verdict.scenario!r} failed: {verdict.why}; mend the scenario "
        "and train it again, or promote it by force if you know better"
    )


def asks_of(name: str, moment: Moment) -> list[Ask]:
    """Asks of `USERS` users spread evenly over all that are known, and of a visitor.

    The last item of each history stands for the page that an anchored scenario is asked from.
    """
    ids: Sequence[str] = moment.users.ids
    places = np.unique(np.linspace(0, len(ids) - 1, USERS).astype(int)).tolist() if ids else []
    users = [ids[place] for place in places if not ids[place].startswith("\x00")]
    asks = [Ask(scenario=name, context={"anchors": moment.codes.ids[:1]}, request_id="canary")]
    for user in users:
        last = moment.history(user, 1)["item"].tolist()
        anchors = [moment.codes.id(code) for code in last]
        asks.append(
            Ask(scenario=name, user=user, context={"anchors": anchors}, request_id=f"canary-{user}")
        )
    return asks


def _sample(served: Served, ask: Ask, sight: Sight, at: int) -> Sample:
    started = perf_counter()
    try:
        queries = served.resolver.resolve(ask, ask.request_id or "", sight, at=at)
        result = run(served.pipeline, queries)
    except FAILURES as problem:
        return Sample((perf_counter() - started) * 1e3, failure=str(problem))
    ms = (perf_counter() - started) * 1e3
    skipped = [f"{each.name}: {each.skipped}" for each in result.watch.records.values() if each.skipped]
    left = np.setdiff1d(np.flatnonzero(queries.allowed.of(0)), queries.exclude.values)
    return Sample(
        ms,
        failure=skipped[0] if skipped else "",
        finite=bool(np.isfinite(result.slates.scores).all()),
        empty=len(left) > 0 and not len(result.slates.items),
    )


def _sound(ours: list[Sample], theirs: list[Sample]) -> list[Check]:
    """Errors, scores and empty slates."""
    count = len(ours)
    failures = [sample.failure for sample in ours if sample.failure]
    wild = sum(not sample.finite for sample in ours)
    empty = sum(sample.empty for sample in ours)
    before = sum(sample.empty for sample in theirs)
    most = before + MORE_EMPTY * count if theirs else count - 1
    first = f", the first with {failures[0]!r}" if failures else ""
    return [
        Check("errors", not failures, f"{len(failures)} of {count} asks failed{first}"),
        Check("scores", not wild, f"{wild} of {count} slates hold scores that are not finite"),
        Check(
            "empty",
            empty <= most,
            f"{empty} of {count} slates are empty though items are left; at most {most:g} may be",
        ),
    ]


def _metric(ours: Loaded, theirs: Loaded, floor: float) -> Check:
    """Only where both were measured."""
    mine, other = ours.manifest.metrics.get(METRIC), theirs.manifest.metrics.get(METRIC)
    if mine is None or other is None:
        return Check("metric", True, f"{METRIC} was not measured for both")
    return Check(
        "metric",
        mine >= floor * other,
        f"{METRIC} is {mine:.4f}, the current bundle's is {other:.4f}; at least {floor:g} of it is asked",
    )


def _latency(ours: list[Sample], theirs: list[Sample]) -> Check:
    """By the median, unless the quickest quarter is no slower: then it was the machine that was busy."""
    mine, other = _quartiles(ours), _quartiles(theirs)
    slower = [m > SLOWER * o and m - o > FELT_MS for m, o in zip(mine, other, strict=True)]
    return Check(
        "latency",
        not all(slower),
        f"median {mine[1]:.1f} ms, the current bundle's is {other[1]:.1f} ms; at most {SLOWER:g} times",
    )


def _quartiles(samples: list[Sample]) -> tuple[float, float]:
    """The first quartile and the median, ms."""
    first, second = np.percentile([sample.ms for sample in samples], (25, 50))
    return float(first), float(second)
