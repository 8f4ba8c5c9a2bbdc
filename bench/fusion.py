"""What a composition gains over each of its members, on the same questions.

    python -m bench.fusion bench/blends/stack.toml
    python -m bench.fusion FILE.toml --protocol time --data FOLDER --on valid

Everything learns from the training part alone. On ``test``, the composition learns what to make of its
members from the validation part; on ``valid``, from events that it holds out itself. Gaps are paired
bootstraps over users, 95 %; they say most beside the best member.
"""

import argparse
import time
from collections.abc import Mapping
from pathlib import Path

import msgspec
import numpy as np

from polyscene.core.arrays import Array
from polyscene.core.config import kind_of, load_config
from polyscene.core.contracts import Run, StillView
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.dataset.split import split
from polyscene.evaluate.intervals import compare
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.models.table import KINDS
from polyscene.observe.bars import progress
from polyscene.rank.members import trainable


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("model", type=Path)
    parser.add_argument("--data", default="ml-1m")
    parser.add_argument("--protocol", choices=("loo", "time"), default="loo")
    parser.add_argument("--on", choices=("valid", "test"), default="test")
    parser.add_argument("--seed", type=int, default=0)
    asked = parser.parse_args()
    encoded = encode(load_tables(asked.data), only_touched=True)
    parts = split(encoded.data, asked.protocol, ids=encoded)
    config = load_config(asked.model, KINDS)
    began = time.process_time()
    run = Run(
        seed=asked.seed,
        view=StillView(parts.train.catalogue),
        threads=1,
        progress=progress(),
        holdout=parts.valid if asked.on == "test" else None,
    )
    if asked.on == "valid" and hasattr(config, "refit"):
        config = msgspec.structs.replace(config, refit=True)
    part = trainable(config).fit(parts.train, run)
    took = time.process_time() - began
    print(
        f"{asked.data} {asked.protocol}, split {parts.digest[:12]}, {asked.on}, seed {asked.seed};", end=" "
    )
    print(f"fitted on train in {took:.0f} CPU s\n")
    members = zip(config.of, part.members, strict=True)
    scorers = {f"{at} {kind_of(each)}": member for at, (each, member) in enumerate(members)}
    holdout = parts.valid if asked.on == "valid" else parts.test
    each = {
        name: accuracy_at(rank(scorer, holdout, k=10), 10)
        for name, scorer in {kind_of(config): part, **scorers}.items()
    }
    show(each, asked.seed)


def show(each: Mapping[str, Mapping[str, Array]], seed: int) -> None:
    """Prints the composition first, and what it gains over every member."""
    whole, *_ = each.values()
    print("| model | nDCG@10 | HR@10 | the composition minus this |\n| --- | ---: | ---: | ---: |")
    for name, found in each.items():
        gap = compare(whole["ndcg@10"], found["ndcg@10"], seed=seed)
        said = f"{gap.difference:+.4f} [{gap.low:+.4f}, {gap.high:+.4f}], p {gap.p:.3f}"
        beside = "" if found is whole else said
        print(f"| {name} | {np.mean(found['ndcg@10']):.4f} | {np.mean(found['hr@10']):.4f} | {beside} |")


if __name__ == "__main__":
    main()
