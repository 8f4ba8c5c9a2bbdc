"""The evaluation protocols: which rows each one learns from, shows as history, and asks for."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from polyscene.core.arrays import Array, Bools, Codes, RaggedTable, Seeds
from polyscene.core.seeds import uniform

TRAIN_SHARE = 0.81
FIT_SHARE = 0.9
"""Global time: the cuts lie at these shares of the rows in time order."""
HELD_OUT_SHARE = 0.1
MAX_HELD_OUT = 10_000
"""Strong generalisation: share of users kept for validation, and as many for the test."""
FOLD_IN_SHARE = 0.8
"""Strong generalisation: share of a held-out user's rows that is given as history."""
RANDOM_SHARE = 0.1
"""Random: share of each user's rows kept for validation, and as much for the test; at least one row."""
COLD_SHARE = 0.1
"""Cold items: share of the items unseen in training, and as many more unseen for validation."""


@dataclass(frozen=True, slots=True)
class Asked:
    """Which rows (N,) are shown as history and which are asked for, at what time.

    `at`: the one time of all queries; None: each is asked at the time of its first target. `seen`: rows
    whose items are not asked for again; None: those of the history. `barred`: codes of items that are not
    ranked.
    """

    history: Bools
    targets: Bools
    at: int | None
    seen: Bools | None = None
    barred: Codes = field(default_factory=lambda: np.zeros(0, np.int32))


@dataclass(frozen=True, slots=True)
class Parts:
    """What each row of the histories is for; `train` and `fit` (N,) are the rows a model may learn from."""

    train: Bools
    fit: Bools
    valid: Asked
    test: Asked


@dataclass(frozen=True, slots=True)
class Keys:
    """What chance is drawn from: a seed of each user (U,) and of each item code (I,)."""

    users: Seeds
    items: Seeds


def leave_one_out(histories: RaggedTable, keys: Keys) -> Parts:
    """The last row of each user is the test, the second last the validation, if a row is left before it.

    Source: protocol A; Kang and McAuley (2018), with ties in the order of the raw file.
    """
    lengths = np.repeat(histories.lengths, histories.lengths)
    back = np.repeat(histories.offsets[1:], histories.lengths) - 1 - np.arange(len(lengths))
    test = (back == 0) & (lengths >= 2)
    valid = (back == 1) & (lengths >= 3)
    return _nested(~(test | valid), valid, test, None)


def global_time(histories: RaggedTable, keys: Keys) -> Parts:
    """What came before one moment is learned from, what came at or after it is asked for.

    Users without a row before the cut are not asked. Source: protocol B; the cuts are the times of the
    rows at 81 % and 90 % of the time order.
    """
    times = histories["time"]
    ordered = np.sort(times)
    cuts = int(ordered[int(len(times) * TRAIN_SHARE)]), int(ordered[int(len(times) * FIT_SHARE)])
    train, fit = times < cuts[0], times < cuts[1]
    valid = fit & ~train & _of_users_with(train, histories)
    test = ~fit & _of_users_with(fit, histories)
    return Parts(train, fit, Asked(train, valid, cuts[0]), Asked(fit, test, cuts[1]))


def strong_generalisation(histories: RaggedTable, keys: Keys) -> Parts:
    """Some users are never learned from: 80 % of their rows are given, drawn by chance, the rest is asked.

    Source: Liang et al. (2018), Variational autoencoders for collaborative filtering; ours draws 10 % of
    the users with two rows or more (at most 10,000) for validation and as many for the test.
    """
    able = np.flatnonzero(histories.lengths >= 2)
    held = min(MAX_HELD_OUT, int(len(able) * HELD_OUT_SHARE))
    drawn = able[np.argsort(uniform(keys.users[able], np.zeros(len(able), np.int64)), kind="stable")]
    tester, validator = (
        np.repeat(np.isin(np.arange(len(histories)), some), histories.lengths)
        for some in (drawn[:held], drawn[held : 2 * held])
    )
    given = np.maximum(1, np.floor(histories.lengths * FOLD_IN_SHARE)).astype(np.int64)
    shown = _shuffled_place(histories, keys.users) < np.repeat(given, histories.lengths)
    end = _end(histories)
    return Parts(
        ~(tester | validator),
        ~tester,
        Asked(validator & shown, validator & ~shown, end),
        Asked(tester & shown, tester & ~shown, end),
    )


def random_rows(histories: RaggedTable, keys: Keys) -> Parts:
    """Of each user, a tenth of the rows for the test and a tenth for validation, drawn at random.

    Source: RecBole's 8:1:1 random split per user; users with fewer than three rows are not asked.
    """
    many = np.maximum(1, np.round(histories.lengths * RANDOM_SHARE)).astype(np.int64)
    many[histories.lengths < 3] = 0
    held = np.repeat(many, histories.lengths)
    place = _shuffled_place(histories, keys.users)
    test, valid = place < held, (place >= held) & (place < 2 * held)
    return _nested(~(test | valid), valid, test, _end(histories))


def random_fifth(histories: RaggedTable, keys: Keys) -> Parts:
    """Of each user, a fifth of the rows for the test; a tenth of all from the rest for validation.

    Source: the 80/20 split of Anelli et al. (2022), "Top-N recommendation algorithms: a quest for the
    state of the art"; its MovieLens 1M is cleaned with ``min_value=4``, ``min_user=10``, ``min_item=10``.
    """
    return _drawn(histories, keys, 0.2)


def random_quarter(histories: RaggedTable, keys: Keys) -> Parts:
    """Of each user, a quarter of the rows for the test; a tenth of all from the rest for validation.

    Source: the stratified 75/25 split of the benchmark of Microsoft's Recommenders on MovieLens 100K.
    """
    return _drawn(histories, keys, 0.25)


def recbole(histories: RaggedTable, keys: Keys) -> Parts:
    """As `random_rows`, but shares are rounded down, and validation rows are kept from the test too.

    They are neither learned from nor shown, and their items are not ranked. Of a user with three rows or
    more at least one is tested and one validated. Source: how RecBole evaluates, and figures published
    from it are made.
    """
    many = np.maximum(1, (histories.lengths * RANDOM_SHARE).astype(np.int64))
    many[histories.lengths < 3] = 0
    held = np.repeat(many, histories.lengths)
    place, end = _shuffled_place(histories, keys.users), _end(histories)
    test, valid = place < held, (place >= held) & (place < 2 * held)
    train = ~(test | valid)
    return Parts(train, train, Asked(train, valid, end), Asked(train, test, end, seen=train | valid))


def cold_items(histories: RaggedTable, keys: Keys) -> Parts:
    """A tenth of the items is unseen in training; each user's last row on one of them is asked for.

    The history is what came before it on other items, and all items are ranked. Nothing that a user did
    after a target is learned from. Validation does the same with another tenth, and never ranks the first.
    """
    return _cold(histories, keys, trained=False)


def cold_trained(histories: RaggedTable, keys: Keys) -> Parts:
    """The queries of `cold_items` for a model that has learned from these items too: what cold costs it."""
    return _cold(histories, keys, trained=True)


PROTOCOLS: Mapping[str, Callable[[RaggedTable, Keys], Parts]] = {
    "loo": leave_one_out,
    "time": global_time,
    "strong": strong_generalisation,
    "random": random_rows,
    "random20": random_fifth,
    "random25": random_quarter,
    "recbole": recbole,
    "cold": cold_items,
    "cold_trained": cold_trained,
}


def _nested(train: Bools, valid: Bools, test: Bools, at: int | None) -> Parts:
    fit = train | valid
    return Parts(train, fit, Asked(train, valid, at), Asked(fit, test, at))


def _drawn(histories: RaggedTable, keys: Keys, share: float) -> Parts:
    """Random rows of each user for the test, the others' share rounded, and a tenth for validation.

    Users with fewer than three rows are not asked, and every other one has a row in each part.
    """
    lengths = histories.lengths
    many = np.maximum(1, lengths - np.round(lengths * (1 - share)).astype(np.int64))
    many[lengths < 3] = 0
    more = many + np.maximum(1, np.round(lengths * RANDOM_SHARE)).astype(np.int64)
    place = _shuffled_place(histories, keys.users)
    asked = np.repeat(lengths >= 3, lengths)
    test = place < np.repeat(many, lengths)
    valid = (place < np.repeat(more, lengths)) & ~test & asked
    return _nested(~(test | valid), valid, test, _end(histories))


def _cold(histories: RaggedTable, keys: Keys, *, trained: bool) -> Parts:
    """The parts of `cold_items`, with all rows before the targets to learn from if `trained`."""
    items = np.unique(histories["item"])
    drawn = items[np.argsort(uniform(keys.items[items], np.zeros(len(items), np.int64)), kind="stable")]
    many = max(1, int(len(items) * COLD_SHARE))
    for_test, for_valid = drawn[:many], drawn[many : 2 * many]
    test_cold, valid_cold = np.isin(histories["item"], for_test), np.isin(histories["item"], for_valid)
    test, before_test = _last(test_cold, ~test_cold, histories)
    fit = before_test & ~test_cold
    valid, before_valid = _last(fit & valid_cold, fit & ~valid_cold, histories)
    train = fit & before_valid & ~valid_cold
    return Parts(
        fit & before_valid if trained else train,
        before_test if trained else fit,
        Asked(train, valid, None, seen=before_test & before_valid, barred=for_test),
        Asked(fit, test, None, seen=before_test),
    )


def _last(wanted: Bools, known: Bools, histories: RaggedTable) -> tuple[Bools, Bools]:
    """(N,) each user's last `wanted` row that a `known` one precedes, and all rows before that.

    Of users without such a row nothing is the first, and all rows are the second.
    """
    rows, users = np.arange(len(wanted)), histories.rows()
    last = np.full(len(histories), -1)
    first = np.full(len(histories), len(wanted))
    np.maximum.at(last, users[wanted], rows[wanted])
    np.minimum.at(first, users[known], rows[known])
    end = np.where(first < last, last, len(wanted))[users]
    return rows == end, rows < end


def _end(histories: RaggedTable) -> int:
    return int(histories["time"].max(initial=-1)) + 1


def _of_users_with(rows: Bools, histories: RaggedTable) -> Bools:
    """(N,) all rows of the users who have one of the given `rows`."""
    having = np.bincount(histories.rows()[rows], minlength=len(histories)) > 0
    return np.repeat(having, histories.lengths)


def _shuffled_place(histories: RaggedTable, keys: Seeds) -> NDArray[np.int64]:
    """(N,) the place of each row in a random order of its user's rows."""
    users = histories.rows()
    position: Array = np.arange(len(users)) - np.repeat(histories.offsets[:-1], histories.lengths)
    order = np.lexsort((uniform(np.repeat(keys, histories.lengths), position + 1), users))
    place = np.empty(len(users), np.int64)
    place[order] = position
    return place
