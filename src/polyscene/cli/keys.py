"""`polyscene keys`: who may call the service."""

import re
from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import DEFAULT_WORKSPACE, JsonOption, WorkspaceOption
from polyscene.core.errors import InputError

app = typer.Typer(help="Keys of the service: add, list, revoke.", no_args_is_help=True)
Name = Annotated[str, typer.Argument(help="Who the key is for.")]
_DURATION = re.compile(r"(\d+)([hdwy])")
_DAYS = {"h": 1 / 24, "d": 1, "w": 7, "y": 365}


@app.command()
def add(
    name: Name,
    role: Annotated[str, typer.Option(help="read, write (also events and items) or admin.")],
    expires: Annotated[str | None, typer.Option(help="How long it holds: 12h, 90d, 1y.")] = None,
    rate: Annotated[float | None, typer.Option(help="Requests a second; 0 = no limit.")] = None,
    workspace: WorkspaceOption = DEFAULT_WORKSPACE,
) -> None:
    """Make a key and print it, once: only its digest is kept."""
    from polyscene.jobs import keys

    text = keys.add(workspace, name, role, days=_days(expires), rate=rate)
    typer.echo(text)
    show.note("Keep it now: it is shown this once. Send it as `Authorization: Bearer KEY`.")


@app.command("list")
def list_(workspace: WorkspaceOption = DEFAULT_WORKSPACE, json: JsonOption = False) -> None:
    """List the keys, without what opens."""
    from polyscene.core.clock import show_time
    from polyscene.jobs import keys

    rows = keys.listing(workspace)
    if json:
        fields = ("name", "role", "created", "expires", "rate")
        show.as_json([{field: getattr(each, field) for field in fields} for each in rows])
        return
    show.table(
        "",
        ("name", "role", "created", "expires", "requests a second"),
        [
            (
                each.name,
                each.role,
                show_time(each.created),
                "never" if each.expires is None else show_time(each.expires),
                each.rate,
            )
            for each in rows
        ],
    )


@app.command()
def revoke(name: Name, workspace: WorkspaceOption = DEFAULT_WORKSPACE) -> None:
    """Take a key out of use; a running service refuses it within a second."""
    from polyscene.jobs import keys

    keys.revoke(workspace, name)
    show.note(f"{name} opens nothing any more")


def _days(text: str | None) -> float | None:
    if text is None:
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        raise InputError(f"--expires {text!r}: expected a number and h, d, w or y, such as 90d")
    return int(match[1]) * _DAYS[match[2]]
