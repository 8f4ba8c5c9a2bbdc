"""The data as it was before the newest events, each user's or of all, and these as questions."""

from dataclasses import replace

import numpy as np

from polyscene.core.arrays import Ragged, RaggedTable, offsets_of
from polyscene.core.contracts import Data, Holdout
from polyscene.core.queries import Eligible, Queries, stack

LEAST = 3
"""Events a user must have to be asked: the answer and a history to ask with."""
BACK = 4
"""Most events of a user that are taken out beside the one that is asked for anyway."""


def newest_out(
    data: Data, most: int, rng: np.random.Generator, *, keep_others: bool = False
) -> tuple[Data, Holdout]:
    """`data` without the newest event of every user who has `LEAST`; `most` of those events are asked for.

    With `keep_others`, only what is asked for is taken out.

    Questions are asked at the time and in the scenario of their answer, by the history before it, over the
    items that are active. What the user touched before is excluded, so a repeat can't be the answer.
    """
    histories = data.histories
    able = np.flatnonzero(histories.lengths >= LEAST)
    last = histories.offsets[1:][able] - 1
    chosen = np.sort(rng.permutation(len(able))[:most])
    users, answers = able[chosen], last[chosen]
    keep = np.ones(len(histories["item"]), bool)
    keep[answers if keep_others else last] = False
    before = histories.where(keep)
    history = before.take(users)
    queries = replace(
        Queries.of_histories(history, data.size),
        at=histories["time"][answers],
        users=data.users[users],
        scenario=histories["scenario"][answers].astype(np.int32),
        exclude=history.ragged("item"),
        allowed=Eligible(data.catalogue.active[None, :], np.zeros(len(users), np.int64)),
    )
    one_each = np.arange(len(users) + 1, dtype=np.int64)
    targets = Ragged(one_each, histories["item"][answers])
    values = Ragged(one_each, histories["value"][answers])
    return replace(data, histories=before), Holdout(queries, targets, values)


def later_out(data: Data, share: float, most: int, rng: np.random.Generator) -> tuple[Data, Holdout]:
    """`data` before the newest `share` of all events; what `most` users did since is asked for.

    Questions are asked at that moment, of users with events on both sides of it, over the items that are
    active. Where users come back to items, these are asked for too; where none ever does, what a user
    touched before is excluded.
    """
    times = data.histories["time"]
    moment = int(np.quantile(times, 1 - share, method="higher")) if len(times) else 0
    before, after = data.histories.where(times < moment), data.histories.where(times >= moment)
    able = np.flatnonzero((before.lengths > 0) & (after.lengths > 0))
    users = able[np.sort(rng.permutation(len(able))[:most])]
    history, answers = before.take(users), after.take(users)
    queries = replace(
        Queries.of_histories(history, data.size),
        at=np.full(len(users), moment, np.int64),
        users=data.users[users],
        scenario=answers["scenario"][answers.offsets[:-1]].astype(np.int32),
        exclude=_excluded(history, answers, data.size),
        allowed=Eligible(data.catalogue.active[None, :], np.zeros(len(users), np.int64)),
    )
    return replace(data, histories=before), Holdout(
        queries, answers.ragged("item"), answers.ragged("value")
    )


def asked_more(data: Data, asked: Holdout, least: int, rng: np.random.Generator) -> tuple[Data, Holdout]:
    """`data` without the newest `BACK` events of its users at most, and these asked for beside `asked`.

    As few are taken as make `least` questions, so that a choice on few users is not left to chance. Of many
    users nothing is taken.
    """
    found = [asked]
    for _ in range(BACK):
        if sum(len(each.queries) for each in found) >= least:
            break
        data, more = newest_out(data, len(data.users), rng)
        found.append(more)
    one_each = np.concatenate([each.targets.lengths for each in found])
    offsets = offsets_of(one_each)
    targets = Ragged(offsets, np.concatenate([each.targets.values for each in found]))
    values = Ragged(offsets, np.concatenate([each.values.values for each in found]))
    return data, Holdout(stack([each.queries for each in found]), targets, values)


def _excluded(history: RaggedTable, answers: RaggedTable, size: int) -> Ragged:
    before, after = (each.rows() * size + each["item"] for each in (history, answers))
    comes_back = bool(np.isin(after, before).any())
    return Ragged.empty(len(history)) if comes_back else history.ragged("item")
