"""The table of models in docs/models.md: what each is and needs, from the registry, and what it reached.

    python -m bench.models ease slim          runs these with their defaults and keeps what they reached
    python -m bench.models --add REPORT.json  keeps what `polyscene evaluate --json` printed
    python -m bench.models                    writes the page anew

Figures are nDCG@10 of MovieLens 1M's test part, all items ranked, learned from training and validation part
with the kind's defaults: A, the last event of each user (`--protocol loo`), and B, what comes after one
moment (`--protocol time`). A report on the test part of other data or by another protocol stands beside
them. Figures of rankers come from `bench.language --keep`.
"""

import argparse
import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from polyscene.jobs.evaluate import EvaluateRequest, evaluate
from polyscene.models.table import MODELS, Model
from polyscene.observe.bars import progress
from polyscene.rank.table import RANKERS

KEPT = Path(__file__).parent / "models.json"
PAGE = Path(__file__).parents[1] / "docs" / "models.md"
PROTOCOLS = {"loo": "A", "time": "B"}
HEAD = """# Models

Written by `python -m bench.models` from the registry; `polyscene models` lists the same. Each is a `kind`:
for `polyscene evaluate --model KIND`, in a scenario file, and as a member of a composition.

A and B: nDCG@10 on MovieLens 1M with the kind's defaults, all items ranked, learned from training and
validation part. A asks for the last event of each user, B for what comes after one moment. CPU: seconds of
the fit for A, on a busy machine. Elsewhere: nDCG@10 on the test part of other data or by another protocol,
RMSE where ratings are foretold. `python -m bench.models KIND` prints a row; `bench/README.md` has the
settings of those elsewhere, intervals, and public figures beside them.
"""
RANKED = """
## Rankers

They order what others brought, and learn from labelled slates. nDCG@10 of each with its defaults on the
best 50 of EASE for the last events of MovieLens 1M (A) that are among them, and what is gained over the
order of EASE, paired, 95 % (`python -m bench.language --row KIND --keep`). CPU: seconds of the fit,
milliseconds of a request of 50. What they reach on tables, and with several actions, says
`bench/README.md`.

| kind | nDCG@10 | over EASE's order | questions, seeds | CPU s | CPU ms | family | source |
| --- | ---: | --- | --- | ---: | ---: | --- | --- |
"""


def page(kept: Mapping[str, Mapping[str, Any]]) -> str:
    """The whole page."""
    families = dict.fromkeys(model.family for model in MODELS.values())
    blocks = [HEAD]
    blocks += [f"\n## {family.capitalize()}\n\n" + _table(family, kept) for family in families]
    return "".join([*blocks, RANKED, *(_ranker(kind, kept.get(kind, {})) for kind in RANKERS)])


def _table(family: str, kept: Mapping[str, Mapping[str, Any]]) -> str:
    head = "| kind | A | B | CPU s | elsewhere | new users | new items | needs | source |\n"
    head += "| --- | ---: | ---: | ---: | --- | --- | --- | --- | --- |\n"
    rows = (_row(kind, each, kept.get(kind, {})) for kind, each in MODELS.items() if each.family == family)
    return head + "".join(rows)


def _row(kind: str, model: Model, found: Mapping[str, Any]) -> str:
    a, b = found.get("loo", {}), found.get("time", {})
    cells = (
        f"`{kind}`",
        f"{a['ndcg@10']:.4f}" if a else "",
        f"{b['ndcg@10']:.4f}" if b else "",
        f"{a['fit_cpu_s']:.3g}" if a else "",
        "; ".join(f"{where} {_figure(found[where])}" for where in sorted(found) if " " in where),
        "yes" if model.cold_users else "no",
        "yes" if model.cold_items else "no",
        ", ".join(model.needs),
        model.source,
    )
    return f"| {' | '.join(cells)} |\n"


def _figure(found: Mapping[str, Any]) -> str:
    return f"RMSE {found['rmse']:.4f}" if "rmse" in found else f"{found['ndcg@10']:.4f}"


def _ranker(kind: str, kept: Mapping[str, Any]) -> str:
    found = kept.get("slates", {})
    cells = (
        f"`{kind}`",
        f"{found['ndcg@10']:.4f}" if found else "",
        "{:+.4f} [{:+.4f}, {:+.4f}]".format(*found["gap"]) if found else "",
        f"{found['questions']:,}, {found['seeds']}" if found else "",
        f"{found['fit_cpu_s']:.3g}" if found else "",
        f"{found['request_ms']:.3g}" if found else "",
        RANKERS[kind].family,
        RANKERS[kind].source,
    )
    return f"| {' | '.join(cells)} |\n"


def summary(report: Mapping[str, Any]) -> dict[str, dict[str, dict[str, Any]]]:
    """What is kept of a report: figures by kind and protocol. Raises SystemExit for one of another sort."""
    kind, protocol = report["config"]["kind"], report["split"]["protocol"]
    if report["on"] != "test":
        raise SystemExit(f"{kind}: a report on the {report['on']} part; the page wants the test part")
    plain = (report["data"], report["fit_on"]) == ("ml-1m", "all") and protocol in PROTOCOLS
    figures = {
        "ndcg@10": round(report["metrics"]["ndcg@10"], 4),
        "hr@10": round(report["metrics"]["hr@10"], 4),
        "fit_cpu_s": round(report["fit_cpu_seconds"], 2),
        "split": report["split"]["digest"][:12],
        "seed": report["seed"],
        "date": datetime.now(UTC).date().isoformat(),
    }
    if "rmse" in report["metrics"]:
        figures["rmse"] = round(report["metrics"]["rmse"], 4)
    return {kind: {protocol if plain else f"{report['data']} {protocol}": figures}}


def keep(reports: Iterable[Mapping[str, Any]]) -> None:
    """Adds reports to what is kept, and writes the page."""
    kept = read()
    for report in reports:
        for kind, found in summary(report).items():
            kept.setdefault(kind, {}).update(found)
    write(kept)


def keep_slates(kind: str, found: Mapping[str, Any]) -> None:
    """Adds what a ranker reached on slates to what is kept, and writes the page."""
    kept = read()
    kept.setdefault(kind, {})["slates"] = {**found, "date": datetime.now(UTC).date().isoformat()}
    write(kept)


def write(kept: Mapping[str, Mapping[str, Any]]) -> None:
    """Keeps it, and writes the page."""
    KEPT.write_text(json.dumps(kept, indent=1, sort_keys=True) + "\n", encoding="utf-8")
    PAGE.write_text(page(kept), encoding="utf-8")


def read() -> dict[str, dict[str, Any]]:
    """What is kept."""
    return json.loads(KEPT.read_text(encoding="utf-8")) if KEPT.exists() else {}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("kinds", nargs="*")
    parser.add_argument("--protocol", choices=tuple(PROTOCOLS), action="append")
    parser.add_argument("--add", type=Path, nargs="+", default=[])
    asked = parser.parse_args()
    keep(json.loads(path.read_text(encoding="utf-8")) for path in asked.add)
    for kind in asked.kinds:
        for protocol in asked.protocol or PROTOCOLS:
            request = EvaluateRequest(data="ml-1m", model=kind, protocol=protocol, baselines=False)
            report = evaluate(request, progress())
            keep([report])
            print(f"{kind} {PROTOCOLS[protocol]}: nDCG@10 {report['metrics']['ndcg@10']:.4f}", flush=True)


if __name__ == "__main__":
    main()
