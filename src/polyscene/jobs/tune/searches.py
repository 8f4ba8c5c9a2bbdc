"""What Optuna knows of one kind: which settings to try next, whether a trial is worth going on with."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import ModuleType
from typing import TYPE_CHECKING, Any

from polyscene.core.errors import ConfigError
from polyscene.core.seeds import seed_of
from polyscene.jobs.tune.ground import config_of
from polyscene.jobs.tune.journal import Tried
from polyscene.models.search import Choice, Knob, Real, Space, Whole

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study
    from optuna.trial import FrozenTrial, Trial

STARTUP = 5
"""Trials at random before the sampler says anything."""
JUDGES = 2
"""Scored trials that others are held against; the first tenth of a training is never judged."""
REPEATS = 20
"""Proposals of what was tried already before a space counts as used up."""
LEAST_FOR_IMPORTANCE = 8
"""Scored trials below which nobody can tell which setting mattered."""
TENTHS = 10
"""Trials are compared at equal tenths of their trainings."""


def optuna() -> ModuleType:
    """The library. Raises ConfigError where it is not installed."""
    try:
        import optuna as library
    except ImportError as problem:
        raise ConfigError(
            "tune: Optuna is not installed; install the extra: pip install 'polyscene[tune]'"
        ) from problem
    library.logging.set_verbosity(library.logging.WARNING)
    return library


@dataclass(slots=True, eq=False)
class Pick:
    """Settings to try; `glimpses` is what was seen of the trial so far."""

    kind: str
    settings: dict[str, Any]
    trial: "Trial | None" = None
    glimpses: list[tuple[float, float]] = field(default_factory=list)


class Search:
    """One kind's trials, told and to come.

    Source: tree-structured Parzen estimator, multivariate (Bergstra et al. 2011, Falkner et al. 2018), and
    the median rule (Golovin et al. 2017), as Optuna has them. Ours compares trials at equal shares of their
    trainings, whose schedules differ in length.
    """

    def __init__(
        self,
        kind: str,
        space: Space,
        start: Mapping[str, Any],
        *,
        tried: Sequence[Tried] = (),
        seed: int = 0,
        latency_ms: float | None = None,
    ) -> None:
        self.kind, self.space, self.start = kind, space, start
        self._latency_ms = latency_ms
        library = optuna()
        self._distributions = {name: _distribution(knob) for name, knob in space.items()}
        # A study that goes on must not draw what it drew before it was broken off.
        drawn = seed_of(f"{kind} {seed} {len(tried)}") % 2**32
        self._study: Study = library.create_study(
            direction="maximize",
            sampler=library.samplers.TPESampler(seed=drawn, n_startup_trials=STARTUP, multivariate=True),
            pruner=library.pruners.MedianPruner(n_startup_trials=JUDGES, n_warmup_steps=2),
        )
        self._seen: list[dict[str, Any]] = []
        for each in tried:
            self._seen.append(each.settings)
            self._study.add_trial(self._past(each))

    def first(self) -> Pick:
        """Where the search begins: the defaults, or what the scenario's stage is now."""
        return Pick(self.kind, {})

    def next(self) -> Pick | None:
        """Settings that were not tried; None where there are none left."""
        for _ in range(REPEATS if self.space else 0):
            trial = self._study.ask(self._distributions)
            settings = {name: _rounded(value) for name, value in trial.params.items()}
            if settings not in self._seen:
                self._seen.append(settings)
                return Pick(self.kind, settings, trial)
            self._study.tell(trial, state=optuna().trial.TrialState.FAIL)
        return None

    def config(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """All settings of a trial that differ from the kind's defaults."""
        return {**self.start, **settings}

    def goes_on(self, pick: Pick, share: float, score: float) -> bool:
        """Whether a trial that has come so far is not behind the median of the others at that share."""
        judged = {_tenth(before) for before, _ in pick.glimpses}
        pick.glimpses.append((share, score))
        if pick.trial is None or _tenth(share) in judged:
            return True
        pick.trial.report(score, _tenth(share))
        return not pick.trial.should_prune()

    def tell(self, pick: Pick, ended: Tried) -> None:
        """How a trial ended."""
        state = optuna().trial.TrialState
        if pick.trial is None:
            self._study.add_trial(self._past(ended))
        elif ended.score is not None:
            if self._latency_ms is not None:
                pick.trial.set_constraint("latency", (ended.request_ms or 0.0) - self._latency_ms)
            self._study.tell(pick.trial, ended.score)
        else:
            self._study.tell(pick.trial, state=state.PRUNED)

    def importance(self) -> dict[str, float]:
        """How much of the spread of good scores each setting explains, most first; empty if untold.

        Source: PED-ANOVA (Watanabe et al. 2023).
        """
        library = optuna()
        states = [each.state for each in self._study.trials if each.params]
        if len(self.space) < 2 or states.count(library.trial.TrialState.COMPLETE) < LEAST_FOR_IMPORTANCE:
            return {}
        found: dict[str, float] = library.importance.get_param_importances(self._study)
        return found

    def _past(self, ended: Tried) -> "FrozenTrial":
        """A trial of before as Optuna keeps it; what lies outside of the space is left unsaid."""
        library = optuna()
        params = ended.settings or self.standing()
        told = params.keys() == self.space.keys() and all(
            self.space[name].holds(value) for name, value in params.items()
        )
        state = library.trial.TrialState
        limits = {}
        if self._latency_ms is not None and ended.request_ms is not None:
            limits = {"latency": ended.request_ms - self._latency_ms}
        trial: FrozenTrial = library.trial.create_trial(
            state=state.PRUNED if ended.score is None else state.COMPLETE,
            value=ended.score,
            params=params if told else {},
            distributions=self._distributions if told else {},
            intermediate_values={_tenth(share): score for share, score in ended.glimpses},
            constraints=limits or None,
        )
        return trial

    def standing(self) -> dict[str, Any]:
        """The value of each setting where the search begins."""
        config = config_of(self.kind, self.start)
        return {name: getattr(config, name) for name in self.space}


def _distribution(knob: Knob) -> "BaseDistribution":
    library = optuna().distributions
    found: BaseDistribution
    match knob:
        case Real(low, high, log):
            found = library.FloatDistribution(low, high, log=log)
        case Whole(low, high, log):
            found = library.IntDistribution(low, high, log=log)
        case Choice(values):
            found = library.CategoricalDistribution(values)
    return found


def _rounded(value: Any) -> Any:
    """Four digits say all that a trial can tell, and fit a command line."""
    return float(f"{value:.4g}") if isinstance(value, float) else value


def _tenth(share: float) -> int:
    return int(share * TENTHS)
