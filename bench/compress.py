"""What each way to compress a model buys and costs: one fit, then every recipe beside it.

    python -m bench.compress                                  foundation on ML-1M, test part
    python -m bench.compress --on valid --set epochs=2        quick, for choosing
    python -m bench.compress --recipe distil:set.dim=64+int8  recipes of one's own, joined by +

CPU is that of a request alone on one core, the history read anew: encode, and scan (all that comes after).
"""

import argparse
from pathlib import Path

from polyscene.compress.methods import method_of
from polyscene.core.contracts import Training, silent
from polyscene.dataset.split import split
from polyscene.jobs.compress import measured, served
from polyscene.jobs.evaluate import EvaluateRequest, checked, data_of, exam_of, learner_of
from polyscene.rank.compressed import Compressed

STUDENT = "distil:set.layers=1,set.dim=160,set.heads=2,set.evidence.ease_links=200"
RECIPES = (
    "bf16",
    "int8",
    "prune_links+int8",
    "prune_links+prune_units+int8",
    "prune_links+low_rank:rank=48+int8",
    "prune_links+product:parts=32+int8",
    "prune_links+hashed+int8",
    f"{STUDENT}+int8",
)


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    options.add_argument("--model", default="foundation")
    options.add_argument("--data", default="ml-1m")
    options.add_argument("--set", action="append", default=[])
    options.add_argument("--on", choices=("test", "valid"), default="test")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--recipe", action="append")
    options.add_argument("--checkpoint", type=Path)
    given = options.parse_args()
    request = EvaluateRequest(
        data=given.data,
        model=given.model,
        settings=dict(each.split("=", 1) for each in given.set),
        on=given.on,
        seed=given.seed,
        training=Training(checkpoint=given.checkpoint),
    )
    fit_on = checked(request)
    _, learner, _ = learner_of(request)
    _, encoded = data_of(request)
    parts = split(encoded.data, request.protocol, seed=request.seed, ids=encoded)
    exam = exam_of(request, parts, fit_on, silent)
    run = exam.run()
    part = learner.fit(exam.data, run)
    print("| recipe | MB | encode, ms | scan, ms | nDCG@10 | less the whole model's |")
    print("| --- | ---: | ---: | ---: | ---: | --- |")
    for number, recipe in enumerate(given.recipe or RECIPES):
        methods = tuple(method_of(text) for text in recipe.split("+"))
        small = Compressed(of=learner, methods=methods, states_mb=0).shrink(part, exam.data, run)
        found = measured(exam, (served(learner, part, run), small))
        if not number:
            row("none", found["before"], "")
        gap = found["gap"]
        row(recipe, found["after"], f"{gap['difference']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}]")


def row(name: str, form: dict, gap: str) -> None:
    encode_ms = "" if form["encode_ms"] is None else f"{form['encode_ms']:.2f}"
    ndcg = form["metrics"]["ndcg@10"]
    cells = name, f"{form['size_mb']:.1f}", encode_ms, f"{form['scan_ms']:.2f}", f"{ndcg:.4f}", gap
    print("| " + " | ".join(cells) + " |", flush=True)


if __name__ == "__main__":
    main()
