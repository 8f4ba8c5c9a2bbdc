"""What a stack learns: how far to believe each member, from answers to questions that none had seen.

Legend: B questions, I item codes, V voices (the members' and the log popularity), F = 2 V features, N
candidates of all questions.
"""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

import numpy as np

from polyscene.core.arrays import Array, Floats, Ragged, offsets_of
from polyscene.core.contracts import Holdout
from polyscene.core.queries import Queries
from polyscene.rank.logit import conditional_logit
from polyscene.rank.tune import TAKE, Evidence, gather, search

STEPS = 200
"""Most steps of the logit; it usually ends by itself."""


def log_length(queries: Queries) -> Floats:
    """(B,) log of the length of each history: what weights depend on."""
    return np.log1p(queries.history.lengths).astype(np.float32)


@dataclass(frozen=True, slots=True)
class Lessons:
    """Candidates of all questions, what every voice says of them, and which are the answers.

    Shapes: `evidence.values` (N, V); `lengths` (B,); `stands_for` (N,) how many items each candidate
    speaks for.
    """

    evidence: Evidence
    lengths: Floats
    stands_for: Floats

    @classmethod
    def of(
        cls,
        voices: Callable[[Queries], Iterable[Floats]],
        asked: Holdout,
        rng: np.random.Generator,
    ) -> "Lessons":
        """The best of each voice, and some by chance that stand for all items which no voice named.

        Who had seen the best of each voice alone would not know what keeps the others out.
        """

        def with_chance(queries: Queries) -> Iterator[Floats]:
            yield from voices(queries)
            yield rng.random((len(queries), queries.allowed.size), np.float32)

        queries, found = asked.queries, gather(with_chance, asked)
        rows, count = found.rows, len(found.targets)
        named_N = _labels(found) > 0
        starts = np.searchsorted(rows, np.arange(count + 1))
        for said in found.values[:, :-1].T:
            order = np.lexsort((-said, rows))
            named_N[order] |= np.arange(len(rows)) - starts[rows] < TAKE
        named_B, all_B = np.bincount(rows, named_N, count), np.bincount(rows, minlength=count)
        open_B = queries.allowed.masks.sum(axis=1)[queries.allowed.groups] - queries.exclude.lengths
        each_B = np.maximum((open_B - named_B) / np.maximum(all_B - named_B, 1), 1)
        stands_for = np.where(named_N, 1.0, each_B[rows]).astype(np.float32)
        evidence = Evidence(rows, found.columns, found.values[:, :-1], found.targets)
        return cls(evidence, log_length(queries), stands_for)

    def take(self, chosen_B: Array) -> "Lessons":
        """The lessons of the questions chosen by a mask."""
        kept_N, number_B = chosen_B[self.evidence.rows], np.cumsum(chosen_B) - 1
        evidence = Evidence(
            number_B[self.evidence.rows[kept_N]],
            self.evidence.columns[kept_N],
            self.evidence.values[kept_N],
            self.evidence.targets.take(np.flatnonzero(chosen_B)),
        )
        return Lessons(evidence, self.lengths[chosen_B], self.stands_for[kept_N])

    def features(self) -> Floats:
        """(N, F) each voice alone, then times the length."""
        values_NV = self.evidence.values
        longer_NV = values_NV * self.lengths[self.evidence.rows][:, None]
        return np.concatenate([values_NV, longer_NV], axis=1)

    def reached(self, weights_F: Floats) -> float:
        """Mean nDCG@10 with these weights."""
        return self.evidence.ndcg(self.features() @ weights_F)


def weights_of(lessons: Lessons, l2: float) -> Floats | None:
    """(F,) weights of the features; None where no question has its answer among the candidates.

    Of the conditional logit with penalty `l2`, which knows of lengths and popularity, and a blend's search,
    which knows what counts, the one is taken that does better on the other half of the questions.
    """
    if not _labels(lessons.evidence).any():
        return None
    even_B = np.arange(len(lessons.lengths)) % 2 == 0
    halves = [(lessons.take(even_B), lessons.take(~even_B)), (lessons.take(~even_B), lessons.take(even_B))]

    def reached(learner: Callable[[Lessons], Floats]) -> float:
        return sum(other.reached(learner(half)) for half, other in halves)

    learners: list[Callable[[Lessons], Floats]] = [lambda some: _logit(some, l2), _searched]
    return max(learners, key=reached)(lessons)


def _logit(lessons: Lessons, l2: float) -> Floats:
    rows, labels = lessons.evidence.rows, _labels(lessons.evidence)
    values_NF, count = lessons.features(), len(lessons.lengths)
    kept_N = (np.bincount(rows, labels, count) > 0)[rows]
    if not kept_N.any():
        return np.zeros(values_NF.shape[1], np.float32)
    values_NF, lengths = values_NF[kept_N], np.bincount(rows[kept_N], minlength=count)
    spread_F = values_NF.std(axis=0)
    spread_F[spread_F < 1e-6] = 1.0
    found_F = conditional_logit(
        values_NF / spread_F,
        labels[kept_N],
        offsets_of(lengths[lengths > 0]),
        l2=l2,
        steps=STEPS,
        stands_for=lessons.stands_for[kept_N],
    )
    weights_F: Floats = (found_F / spread_F).astype(np.float32)
    return weights_F


def _searched(lessons: Lessons) -> Floats:
    evidence = lessons.evidence
    members = Evidence(evidence.rows, evidence.columns, evidence.values[:, :-1], evidence.targets)
    weights_F = np.zeros(2 * evidence.values.shape[1], np.float32)
    weights_F[: evidence.values.shape[1] - 1] = search(members)[0]
    return weights_F


def _labels(evidence: Evidence) -> Floats:
    """(N,) 1 for an answer."""
    answers: Ragged = evidence.targets
    starts = np.searchsorted(evidence.rows, np.arange(len(answers)))
    labels = np.zeros(len(evidence.rows), np.float32)
    found = answers.values >= 0
    labels[starts[answers.rows()[found]] + answers.values[found]] = 1.0
    return labels
