"""`polyscene serve` and `polyscene demo`."""

from pathlib import Path
from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, QuietOption, WorkspaceOption


def serve(
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    host: Annotated[str | None, typer.Option(help="Loopback address; the workspace's without it.")] = None,
    port: Annotated[int | None, typer.Option(help="0 takes any free port.", min=0, max=65535)] = None,
) -> None:
    """Serve recommendations, the page and the API until interrupted."""
    from polyscene.serve.run import serve as run

    run(workspace, host=host, port=port)


def demo(
    workspace: WorkspaceOption = Path("polyscene-demo"),
    data: Annotated[str, typer.Option("--data", help="A known data set.")] = "ml-1m",
    budget: Annotated[float, typer.Option(help="Seconds that each scenario's fit may take.")] = 200,
    port: Annotated[int | None, typer.Option(help="0 takes any free port.", min=0, max=65535)] = None,
    serving: Annotated[bool, typer.Option("--serve/--no-serve", help="Serve at the end.")] = True,
    quiet: QuietOption = False,
) -> None:
    """Fetch real data, ingest, train, evaluate and serve: the whole walk in one command."""
    from polyscene.jobs.demo import prepare
    from polyscene.observe.bars import progress

    for line in prepare(workspace, data, budget, progress(quiet)):
        show.note(line)
    if serving:
        from polyscene.serve.run import serve as run

        run(workspace, port=port)
