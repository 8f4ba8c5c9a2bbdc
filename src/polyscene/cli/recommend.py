"""`polyscene recommend`: one slate, from the terminal."""

from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption


def recommend(
    scenario: Annotated[str, typer.Argument(help="Name of the scenario.")] = "home",
    user: Annotated[
        str | None, typer.Option(help="Id of the user; nobody in particular without one.")
    ] = None,
    history: Annotated[
        list[str] | None,
        typer.Option("--history", help="Item id, oldest first; stands in for the user's own."),
    ] = None,
    anchor: Annotated[
        list[str] | None, typer.Option("--anchor", help="Item id on the page or in the cart. Repeatable.")
    ] = None,
    where: Annotated[str | None, typer.Option("--filter", help="For example: year >= 1990.")] = None,
    k: Annotated[int | None, typer.Option("-k", help="How many; the scenario's slate without it.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
    json: JsonOption = False,
) -> None:
    """Recommend for a user, a history or an item, and log the exposure."""
    import msgspec

    from polyscene.core.errors import InputError
    from polyscene.jobs.engine import Engine
    from polyscene.scenario.ask import Ask

    raw = {
        "scenario": scenario,
        "user": user,
        "history": [{"item": item} for item in history] if history else None,
        "context": {"anchors": anchor} if anchor else {},
        "filter": where,
        "k": k,
    }
    try:
        ask = msgspec.convert(raw, Ask)
    except msgspec.ValidationError as problem:
        raise InputError(f"recommend: {problem}") from problem
    with Engine.open(workspace) as engine:
        answer = engine.recommend(ask)
        titles = {shown.id: engine.lookup.title(shown.id) for shown in answer.items}
    if json:
        show.as_json(answer)
        return
    show.table(
        f"{answer.scenario}  request {answer.request_id}  bundle {answer.bundle}",
        ("", "item", "title", "score", "sources", "because"),
        [
            (
                place.position + 1,
                place.id,
                titles[place.id],
                place.score,
                " ".join(place.sources),
                place.because,
            )
            for place in answer.items
        ],
    )
    for line in answer.notes:
        show.note(line)
