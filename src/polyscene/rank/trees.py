"""LightGBM at arm's length: trees from grouped rows, kept as LightGBM's own text."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from time import monotonic
from types import ModuleType
from typing import Any

import numpy as np

from polyscene.core.arrays import Array, Floats
from polyscene.core.contracts import Run
from polyscene.core.errors import BundleError, ConfigError


@dataclass(frozen=True, slots=True)
class Grouped:
    """Rows of lists, those of a list beside each other.

    Shapes: `values` (N, F), `labels` (N,) at least 0, `lists` (N,) number of each row's list, rising.
    """

    values: Floats
    labels: Floats
    lists: Array

    def take(self, rows: Array) -> "Grouped":
        """The chosen rows, in the order asked."""
        return Grouped(self.values[rows], self.labels[rows], self.lists[rows])


def lightgbm() -> ModuleType:
    """The library, loaded on first use. Raises ConfigError where it is not installed or can't be loaded."""
    try:
        import lightgbm as library
    except ImportError as problem:
        raise ConfigError("lambdamart: LightGBM is missing; pip install 'polyscene[trees]'") from problem
    except OSError as problem:
        raise ConfigError(
            f"lambdamart: LightGBM can't be loaded ({problem}); install the system's libgomp1 (OpenMP)"
        ) from problem
    return library


def grown(known: Grouped, held: Grouped | None, settings: Mapping[str, Any], run: Run, label: str) -> str:
    """The text of trees that order lists as their labels do; by `held` with the best number of trees.

    `settings` are LightGBM's; ``num_iterations`` and ``early_stopping_round`` among them. Labels may be any
    numbers: each distinct one is a grade whose gain is the label itself.
    """
    library = lightgbm()
    told = dict(settings)
    trees, patience = told.pop("num_iterations"), told.pop("early_stopping_round")
    parts = [_worst_first(part) for part in ([known] if held is None else [known, held])]
    gains = np.unique(np.concatenate([[0.0], *(part.labels for part in parts)]))
    told["label_gain"] = gains.tolist()
    sets = [
        library.Dataset(
            part.values,
            np.searchsorted(gains, part.labels),
            group=np.unique(part.lists, return_counts=True)[1],
            free_raw_data=False,
        )
        for part in parts
    ]
    if held is not None:
        sets[1].set_reference(sets[0])
    with run.progress(label, trees) as bar:
        watch: list[Callable[[Any], None]] = [_watcher(library, run, label, trees, bar)]
        if held is not None:
            watch.append(library.early_stopping(patience, verbose=False))
        booster = library.train(told, sets[0], trees, valid_sets=sets[1:], callbacks=watch)
    text: str = booster.model_to_string(num_iteration=booster.best_iteration)
    return text


class Trees:
    """Trees that answer, on one thread: a request has few rows, and threads would wait for one another."""

    def __init__(self, text: str) -> None:
        library = lightgbm()
        try:
            self._booster = library.Booster(model_str=text)
        except library.basic.LightGBMError as problem:
            raise BundleError(
                f"lambdamart: the trees can't be read ({problem}); fit the scenario again"
            ) from problem
        self.text = text
        self.width: int = self._booster.num_feature()

    def __call__(self, values_NF: Floats) -> Floats:
        """(N,) what the trees say of each row."""
        if not len(values_NF):
            return np.zeros(0, np.float32)
        found: Floats = self._booster.predict(values_NF, num_threads=1).astype(np.float32)
        return found

    def gains(self) -> Floats:
        """(F,) share of all that the splits gained, by the column that they were made in; 0 without any."""
        gains = self._booster.feature_importance("gain")
        shares: Floats = (gains / max(gains.sum(), 1e-12)).astype(np.float32)
        return shares


def _worst_first(rows: Grouped) -> Grouped:
    """The rows with the least labels first in each list.

    LightGBM keeps the order of rows that score alike: the other way round, the first trees, which tell
    little apart, would look like the best.
    """
    return rows.take(np.lexsort((rows.labels, rows.lists)))


def _watcher(library: ModuleType, run: Run, label: str, trees: int, bar: Any) -> Callable[[Any], None]:
    """What LightGBM calls after each tree: moves the bar, and ends in time."""
    began = monotonic()

    def after(seen: Any) -> None:
        bar.advance()
        spent = monotonic() - began
        if run.budget_s is not None and spent > run.budget_s and seen.iteration + 1 < trees:
            made = f"{label} made {seen.iteration + 1} of {trees} trees"
            run.warnings.append(
                f"stopped before it converged: {made} in the {run.budget_s:g} s it was given"
            )
            raise library.callback.EarlyStopException(seen.iteration, seen.evaluation_result_list)

    return after
