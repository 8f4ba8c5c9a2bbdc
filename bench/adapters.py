"""Two domains as two scenarios of one workspace: an own model each, one for both, and both adapted.

    python -m bench.adapters --data FOLDER [PAIR ...] [--on valid] [--seeds 0 1 2] [--json FILE]

PAIR is one of `amazon_cross_domain` (phone-sport, electronic-phone, cloth-sport, cloth-electronic) or
beauty-sports, whose users are joined by `amazon_user_links`. Every form learns from the training part and
stops early on the validation part; nothing is refitted. The own model may take as many epochs as base and
adapter together; the adapter is as wide as the base, so a fine-tuning of it. All items of the asked domain
are ranked, but what the user has touched. Means of nDCG@10; gaps are paired bootstraps over the questions,
95 %; with several seeds, of each question's mean over these. CPU seconds.

Neither has an order across its domains, so a history is read with the asked domain's events last; to learn
from, a person who has both stands once in either order. What is read from the other domain may thus in
truth be later than what is asked for.

- The pairs have no order inside a domain either, and no time: each domain's events stand by a seeded draw,
  one training event of each user and domain is the validation, the published test column is the test, and
  the model knows no positions.
- Beauty and sports have the order of their files. The last event of each domain is the test, the one before
  it the validation.
"""

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import msgspec
import numpy as np
import polars as pl
import torch

from polyscene.core.arrays import Array, Bools, Ragged, RaggedTable, offsets_of
from polyscene.core.catalogue import Catalogue
from polyscene.core.contracts import Data, Holdout
from polyscene.core.queries import Eligible, Queries, stack
from polyscene.jobs.harm import standing_of, standings
from polyscene.models.foundation import Foundation
from polyscene.nn.augment import Augment
from polyscene.nn.teaching import Objective
from polyscene.rank.adapted import Adapted

PAIRS = ("phone-sport", "electronic-phone", "cloth-sport", "cloth-electronic")
LINKED = "beauty-sports"
BASE = Foundation(
    dim=64,
    layers=1,
    heads=1,
    positions="none",
    max_len=200,
    dropout=0.3,
    evidence=None,
    objective=Objective(loss="sampled", sampler="mixed", negatives=1024),
    augment=Augment(reorder=1.0),
    average=0.98,
    batch_size=3200,
    epochs=8,
    validate_every=2,
    patience=1,
)
ORDERED = msgspec.structs.replace(
    BASE, positions="relative", augment=Augment(), epochs=16, validate_every=4
)
"""For data that has an order."""


@dataclass(frozen=True)
class Logs:
    """Events (N,) of two domains, and what each is for.

    `place` (2, N): their order inside a domain where the first, or the second, domain stands last. `home`
    (I,): domain of each item.
    """

    domains: tuple[str, str]
    user: Array
    item: Array
    domain: Array
    place: Array
    valid: Bools
    test: Bools
    home: Array

    def table(self, keep: Bools, last: int) -> RaggedTable:
        """A history for each user, with the events of domain `last` last."""
        rows = np.flatnonzero(keep)
        rows = rows[np.lexsort((self.place[last][rows], self.domain[rows] == last, self.user[rows]))]
        lengths = np.bincount(self.user[rows], minlength=int(self.user.max()) + 1)
        offsets = offsets_of(lengths)
        columns = {
            "item": self.item[rows].astype(np.int32),
            "action": np.zeros(len(rows), np.int16),
            "value": np.ones(len(rows), np.float32),
            "time": np.arange(len(rows)) - np.repeat(offsets[:-1], lengths),
            "scenario": self.domain[rows].astype(np.int16),
        }
        return RaggedTable(offsets, columns)

    def data(self) -> Data:
        keep = ~self.valid & ~self.test
        in_both = np.ones(int(self.user.max()) + 1, bool)
        for number in (0, 1):
            in_both &= np.bincount(self.user[keep & (self.domain == number)], minlength=len(in_both)) > 0
        one, other = self.table(keep, 1), self.table(keep & in_both[self.user], 0)
        lengths = np.concatenate([one.lengths, other.lengths])
        columns = {name: np.concatenate([one[name], other[name]]) for name in one.columns}
        histories, users = RaggedTable(offsets_of(lengths), columns), np.flatnonzero(lengths)
        return Data(
            users=users.astype(np.int32),
            histories=histories.take(users),
            catalogue=Catalogue.bare(len(self.home)),
            at=int(lengths.max()) + 1,
            clock=False,
            scenarios=self.domains,
        )

    def asked(self, code: int, held: Bools, known: Bools) -> Holdout:
        """The held-out events of one domain as questions, by the events `known` before them."""
        rows = np.flatnonzero(held & (self.domain == code))
        history = self.table(known, code).take(self.user[rows])
        queries = replace(
            Queries.of_histories(history, len(self.home)),
            scenario=np.full(len(rows), code, np.int32),
            exclude=history.ragged("item"),
            allowed=Eligible(self.home[None] == code, np.zeros(len(rows), np.int64)),
        )
        one_each = np.arange(len(rows) + 1, dtype=np.int64)
        ones = np.ones(len(rows), np.float32)
        return Holdout(queries, Ragged(one_each, self.item[rows].astype(np.int32)), Ragged(one_each, ones))


def pair(folder: Path, name: str) -> Logs:
    frame = pl.read_parquet(folder / "amazon_cross_domain" / "interactions.parquet")
    words = [pl.col(column).cast(pl.String) for column in ("pair", "domain", "split")]
    frame = frame.with_columns(words).filter(pl.col("pair") == name)
    first, second = sorted(frame["domain"].unique())
    domain = (frame["domain"] == second).to_numpy().astype(np.int64)
    user, test = frame["user_id"].to_numpy().astype(np.int64), (frame["split"] == "test").to_numpy()
    item, home = _joined(frame["item_id"].to_numpy(), domain)
    place = np.random.default_rng(0).random((2, len(frame)))
    valid = _newest(user * 2 + domain, place[0], ~test)
    return Logs((first, second), user, item, domain, place, valid, test, home)


def linked(folder: Path) -> Logs:
    links = pl.read_parquet(folder / "amazon_user_links" / "users.parquet").drop_nulls(
        ["beauty_user_id", "sports_user_id"]
    )
    same = dict(zip(links["sports_user_id"], links["beauty_user_id"], strict=True))
    parts = []
    for number, name in enumerate(("amazon_beauty", "amazon_sports")):
        frame = pl.read_parquet(folder / name / "interactions.parquet")
        user = frame["user_id"].to_numpy().astype(np.int64)
        if number:
            shift = int(parts[0][0].max()) + 1
            user = np.array([same.get(each, each + shift) for each in user.tolist()])
        place = frame["position"].to_numpy().astype(np.int64)
        length = np.bincount(user)[user]
        parts.append((user, frame["item_id"].to_numpy(), np.full(len(user), number), place, length))
    user, item, domain, place, length = (np.concatenate(each) for each in zip(*parts, strict=True))
    item, home = _joined(item, domain)
    back = length - 1 - place
    places = np.stack([place, place])
    return Logs(("beauty", "sports"), user, item, domain, places, back == 1, back == 0, home)


def _joined(item: Array, domain: Array) -> tuple[Array, Array]:
    """Item codes over both domains, and the domain of each."""
    sizes = [int(item[domain == number].max()) + 1 for number in (0, 1)]
    return item + domain * sizes[0], np.repeat([0, 1], sizes)


def _newest(owner: Array, place: Array, among: Bools) -> Bools:
    """The last of each owner's events `among` which there are two at least."""
    rows = np.flatnonzero(among)
    rows = rows[np.argsort(place[rows])]
    owners = int(owner.max()) + 1
    final = np.full(owners, -1)
    final[owner[rows]] = rows
    chosen = np.zeros(len(owner), bool)
    chosen[final[np.bincount(owner[rows], minlength=owners) >= 2]] = True
    return chosen


def table(
    name: str, config: Adapted, folder: Path, on: str, seeds: Sequence[int]
) -> Iterator[dict[str, object]]:
    logs = linked(folder) if name == LINKED else pair(folder, name)
    data, known = logs.data(), ~logs.valid & ~logs.test
    valid = {code: logs.asked(code, logs.valid, known) for code in (0, 1)}
    asked = valid if on == "valid" else {code: logs.asked(code, logs.test, ~logs.test) for code in (0, 1)}
    events = np.bincount(logs.domain[known])
    began = time.process_time()
    runs = []
    for seed in seeds:
        runs.append(standings(config, data, asked, valid=both(valid[0], valid[1]), seed=seed))
        print(f"{name}, seed {seed}: {time.process_time() - began:.0f} CPU s so far")
        if len(seeds) > 1:
            for each in runs[-1]:
                show({"pair": name, "sparser": False, **each.figures()})
    for code, same in enumerate(zip(*runs, strict=True)):
        forms = {form: np.mean([each.each[form] for each in same], axis=0) for form in same[0].each}
        pooled = standing_of(same[0].scenario, forms, seeds[0])
        sparser = bool(events[code] == events.min())
        yield {"pair": name, "events": int(events[code]), "sparser": sparser, "on": on, **pooled.figures()}


def both(one: Holdout, other: Holdout) -> Holdout:
    targets, values = (
        Ragged(np.arange(len(one.targets) + len(other.targets) + 1), np.concatenate([left, right]))
        for left, right in (
            (one.targets.values, other.targets.values),
            (one.values.values, other.values.values),
        )
    )
    return Holdout(stack([one.queries, other.queries]), targets, values)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("pairs", nargs="*", choices=[*PAIRS, LINKED, []], default=[])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--on", choices=["test", "valid"], default="test")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--epochs", type=int, nargs=2, metavar=("BASE", "ADAPTER"))
    parser.add_argument("--json", type=Path)
    asked = parser.parse_args()
    torch.set_num_threads(1)
    rows = []
    for name in asked.pairs or [*PAIRS, LINKED]:
        base = ORDERED if name == LINKED else BASE
        shared, own = asked.epochs or (base.epochs, base.epochs // 2)
        base = msgspec.structs.replace(base, epochs=shared)
        config = Adapted(base=base, rank=base.dim, learning_rate=base.learning_rate, epochs=own)
        for row in table(name, config, asked.data, asked.on, asked.seeds):
            rows.append(row)
            show(row)
    if asked.json:
        asked.json.write_text(json.dumps(rows, indent=1) + "\n", encoding="utf-8")


def show(row: dict[str, object]) -> None:
    values, gaps = row["ndcg@10"], row["gaps"]
    assert isinstance(values, dict)
    assert isinstance(gaps, dict)
    told = "  ".join(f"{form} {value:.4f}" for form, value in values.items())
    between = "  ".join(
        f"{name} {gap['difference']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]"
        for name, gap in gaps.items()
    )
    side = " (sparser)" if row["sparser"] else ""
    print(
        f"{row['pair']} {row['scenario']}{side}, {row['queries']} questions: {told}\n    {between}",
        flush=True,
    )


if __name__ == "__main__":
    main()
