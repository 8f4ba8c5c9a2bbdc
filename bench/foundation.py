"""The foundation model's figures, and what each of its parts buys.

    python -m bench.foundation                         the rows and what they cost, nothing run
    python -m bench.foundation order query --seeds 3   these rows, means of three seeds on the test part
    python -m bench.foundation --ablation --seeds 3    each part off, small and short, on validation

Every row is one `polyscene evaluate` command, printed beside its figures with the digest of the split.
Amazon rows want the research data: `--shared FOLDER`. Settings were chosen on validation.
"""

import argparse
import statistics
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

from polyscene.jobs.evaluate import EvaluateRequest, evaluate
from polyscene.observe.bars import progress

SMALL = {
    "layers": "1", "dim": "64", "heads": "1", "max_len": "50", "dropout": "0.5", "learning_rate": "0.002",
    "epochs": "20",
}  # fmt: skip
"""For the Amazon sets: 9 events a user."""
LINEAR = {"evidence.ease_items": "13000", "evidence.ease_l2": "300"}
LARGER = {"evidence.ease_items": "19000", "evidence.ease_l2": "300"}
CONTENT = {"content": "{}", "id_dropout": "0.05"}
LATER = {
    "dim": "64", "heads": "1", "epochs": "2", "clock": "query", "evidence.horizon": "later",
    "objective.ahead": "32", "objective.fade": "1",
}  # fmt: skip
"""For what comes over weeks instead of next."""
OFF = "null"


@dataclass(frozen=True)
class Row:
    """One command. `fit_on` train is what others call without refit."""

    data: str
    settings: Mapping[str, str] = field(default_factory=dict)
    protocol: Literal["loo", "time", "cold"] = "loo"
    fit_on: Literal["all", "train"] = "all"
    model: str = "foundation"
    against: tuple[str, ...] = ()

    def request(self, seed: int, shared: Path | None, on: Literal["test", "valid"]) -> EvaluateRequest:
        """What to evaluate; raises SystemExit where the data is not at hand."""
        data = self.data
        if data.startswith("shared:"):
            if shared is None:
                raise SystemExit(f"{data}: give --shared FOLDER, where amazon_beauty and others lie")
            data = str(shared / data.removeprefix("shared:"))
        fit_on = "train" if on == "valid" else self.fit_on
        return EvaluateRequest(
            data=data,
            protocol=self.protocol,
            model=self.model,
            settings=self.settings,
            seed=seed,
            on=on,
            fit_on=fit_on,
            baselines=False,
            against=self.against,
        )


ROWS: Mapping[str, Row] = {
    "order": Row("ml-1m"),
    "order-network-alone": Row("ml-1m", {"evidence": OFF}),
    "order-ten-minutes": Row("ml-1m", {"epochs": "10"}),
    "last": Row("ml-1m", {"clock": "last"}),
    "query": Row("ml-1m", {"clock": "query"}),
    "query-network-alone": Row("ml-1m", {"clock": "query", "evidence": OFF}),
    "time": Row("ml-1m", LATER, protocol="time", against=("ease", "recent_popular")),
    "time-of-next": Row("ml-1m", {"dim": "64", "heads": "1", "epochs": "6"}, protocol="time"),
    "beauty": Row("shared:amazon_beauty", {**SMALL, **LINEAR, **CONTENT}, fit_on="train"),
    "beauty-refit": Row("shared:amazon_beauty", {**SMALL, **LINEAR, **CONTENT}),
    "beauty-without-content": Row("shared:amazon_beauty", {**SMALL, **LINEAR}, fit_on="train"),
    "beauty-transitions-only": Row("shared:amazon_beauty", SMALL, fit_on="train"),
    "sports": Row("shared:amazon_sports", {**SMALL, **LARGER, **CONTENT}, fit_on="train"),
    "sports-transitions-only": Row("shared:amazon_sports", SMALL, fit_on="train"),
}
QUICK = {"dim": "64", "heads": "1", "epochs": "3"}
"""Half the width and a seventh of the epochs, a minute a run: differences are those of early training."""
ABLATION: Mapping[str, Mapping[str, str]] = {
    "as shipped": {},
    "no evidence": {"evidence": OFF},
    "evidence without the linear model": {"evidence.ease_items": "0"},
    "evidence without transitions": {"evidence.lags": "0"},
    "positions from the newest": {"positions": "end"},
    "no positions": {"positions": "none"},
    "no short convolution": {"short_conv": "0"},
    "no surface (rating values)": {"surface": "false"},
    "HSTU blocks": {"block": "hstu"},
    "SASRec blocks": {"block": "sasrec"},
    "no moving average": {"average": "0"},
    "512 shared negatives": {"objective": '{"loss": "sampled"}'},
    "512 negatives, gBCE": {"objective": '{"loss": "gbce"}'},
    "two next items": {"objective": '{"ahead": 2}'},
    "action heads": {"objective": '{"actions": 0.2}'},
    "denoising": {"objective": '{"denoise": 0.1}'},
    "width 128, two heads": {"dim": "128", "heads": "2"},
    "random windows": {"augment": '{"windows": "random"}'},
    "clock: events": {"clock": "last"},
    "clock: question": {"clock": "query"},
    "clock: question, no time bias": {"clock": "query", "time_bias": "false"},
}


def run(name: str, row: Row, args: argparse.Namespace, on: Literal["test", "valid"]) -> None:
    """Prints a row's figures by seed, and their means."""
    figures: dict[str, list[float]] = {"ndcg@10": [], "hr@10": [], "hr@50": [], "recall@10": [], "cpu": []}
    for seed in range(args.seeds):
        began = time.monotonic()
        result = evaluate(row.request(seed, args.shared, on), progress())
        for metric, values in figures.items():
            values.append(
                result["fit_cpu_seconds"] if metric == "cpu" else result["metrics"].get(metric, 0.0)
            )
        for other, gaps in result["comparison"].items():
            gap = gaps["ndcg@10"]
            print(f"    minus {other}: {gap['difference']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]")
        last = {metric: round(values[-1], 4) for metric, values in figures.items()}
        print(f"{name} seed {seed}: {last}, {time.monotonic() - began:.0f} s in all", flush=True)
    means = "  ".join(f"{metric} {statistics.fmean(values):.4f}" for metric, values in figures.items())
    print(f"{name}: {means}  ({args.seeds} seeds, split {result['split']['digest'][:12]})")
    settings = " ".join(f"--set '{key}={value}'" for key, value in row.settings.items())
    fit_on = "train" if on == "valid" else row.fit_on
    print(f"    polyscene evaluate --data {row.data} --protocol {row.protocol} --model {row.model}"
          f" --on {on} --fit-on {fit_on} {settings}", flush=True)  # fmt: skip


def main() -> None:
    """Runs the rows that are named."""
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("rows", nargs="*", metavar="ROW", help=", ".join(ROWS))
    parser.add_argument("--ablation", action="store_true")
    parser.add_argument("--only", help="of the ablation, what contains these words")
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--shared", type=Path)
    parser.add_argument("--on", choices=["test", "valid"], default="test")
    args = parser.parse_args()
    if unknown := set(args.rows) - set(ROWS):
        parser.error(f"no row {min(unknown)!r}; there are {', '.join(ROWS)}")
    if not args.rows and not args.ablation:
        parser.print_help()
    for name in args.rows:
        run(name, ROWS[name], args, args.on)
    for name, settings in ABLATION.items() if args.ablation else ():
        if args.only is None or args.only in name:
            run(name, Row("ml-1m", {**QUICK, **settings}), args, "valid")


if __name__ == "__main__":
    main()
