"""`polyscene compress`: a model smaller or quicker, with what that costs."""

from pathlib import Path
from typing import Annotated, Any

import typer

from polyscene.cli import show
from polyscene.cli.options import (
    DEFAULT_WORKSPACE,
    FitOnOption,
    JsonOption,
    MapOption,
    OnOption,
    ProtocolOption,
    QuietOption,
    SetOption,
    WorkspaceOption,
    pairs,
)
from polyscene.core.errors import InputError

MethodOption = Annotated[
    list[str] | None,
    typer.Option("--method", help="int8, prune_links:keep=50, distil:set.dim=64 ... Repeat, in order."),
]
DataInstead = Annotated[
    str | None, typer.Option("--data", help="Fit a model on this instead: a known data set or files.")
]


def compress(
    scenario: Annotated[str | None, typer.Argument(help="A scenario of a workspace.")] = None,
    methods: MethodOption = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    bundle: Annotated[str | None, typer.Option(help="Its bundle; the one that serves without it.")] = None,
    source: Annotated[str | None, typer.Option(help="Which model of the scenario, by name.")] = None,
    promote: Annotated[bool, typer.Option(help="Make the new bundle serve, if it is sound.")] = True,
    force: Annotated[bool, typer.Option("--force", help="Even if it is not.")] = False,
    data: DataInstead = None,
    model: Annotated[str | None, typer.Option("--model", help="Its kind, or a TOML file with one.")] = None,
    settings: SetOption = None,
    protocol: ProtocolOption = "loo",
    mapping: MapOption = None,
    seed: Annotated[int, typer.Option(min=0)] = 0,
    on: OnOption = "test",
    fit_on: FitOnOption = None,
    out: Annotated[Path | None, typer.Option(help="New folder for the lean form.")] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Compress a model and print size, CPU and accuracy before and after.

    With a scenario, the result is a new bundle of it that serves; `polyscene bundles rollback` goes back.
    With --data and --model, a model is fitted first. Methods: int8, bf16, product, low_rank, hashed,
    prune_links, prune_units, prune_weights, distil.
    """
    from polyscene.compress.methods import METHODS, method_of
    from polyscene.jobs.compress import BundleRequest, compress_bundle, compress_model
    from polyscene.jobs.evaluate import EvaluateRequest
    from polyscene.jobs.workspace import Workspace
    from polyscene.observe.bars import progress

    chosen = tuple(method_of(text) for text in methods or ())
    if not chosen:
        raise InputError(f"compress: no method; name one or more (--method): {', '.join(METHODS)}")
    if (scenario is None) == (data is None):
        raise InputError("compress: give either a scenario of a workspace, or --data and --model")
    if scenario is not None:
        wanted = BundleRequest(
            scenario=scenario, methods=chosen, bundle=bundle, source=source, promote=promote, force=force
        )
        result = compress_bundle(Workspace.open(workspace), wanted, progress(quiet))
    else:
        request = EvaluateRequest(
            data=str(data),
            model=model,
            protocol=protocol,
            settings=pairs(settings, "--set"),
            mapping=pairs(mapping, "--map"),
            seed=seed,
            on=on,
            fit_on=fit_on,
        )
        result = compress_model(request, chosen, progress(quiet), out)
    for warning in result["warnings"]:
        show.note(f"warning: {warning}")
    if json:
        show.as_json(result)
        return
    _tell(result)


def _tell(result: dict[str, Any]) -> None:
    before, after, gap = result["before"], result["after"], result["gap"]
    rows = [
        (name, was, now, None if not was or now is None else f"{now / was:.3f}")
        for name, was, now in (
            ("size, MB", before["size_mb"], after["size_mb"]),
            ("CPU ms a request: encode", before["encode_ms"], after["encode_ms"]),
            ("CPU ms a request: scan", before["scan_ms"], after["scan_ms"]),
            ("ndcg@10", before["metrics"]["ndcg@10"], after["metrics"]["ndcg@10"]),
        )
    ]
    show.table("", ("", "before", "after", "after / before"), rows)
    show.note(
        f"ndcg@10 {gap['difference']:+.4f} [{gap['low']:+.4f}, {gap['high']:+.4f}] on {result['queries']:,}"
        " queries, paired, 95 %"
    )
    if "bundle" in result:
        serves = "serves" if result["promoted"] else "was written"
        show.note(f"{result['scenario']}: {result['bundle']} {serves}; before: {result['from']}")
