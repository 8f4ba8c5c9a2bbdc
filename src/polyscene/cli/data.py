"""`polyscene data`: list, fetch and check data sets."""

from pathlib import Path
from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import JsonOption, MapOption, MappingOption, RuleOption, reading_of

app = typer.Typer(help="Data sets: list the known ones, fetch, check any source.", no_args_is_help=True)
Names = Annotated[list[str], typer.Argument(help="Names that `polyscene data list` shows.")]


@app.command("list")
def list_(json: JsonOption = False) -> None:
    """List the data sets that polyscene can fetch by itself, with licence and cached state."""
    from polyscene.jobs.data import list_sets

    sets = list_sets()
    if json:
        show.as_json(sets)
        return
    show.table(
        "",
        ("name", "events", "users", "items", "cached", "licence"),
        [
            (each.name, each.events, each.users, each.items, bool(each.folder), each.licence)
            for each in sets
        ],
    )


@app.command()
def fetch(names: Names) -> None:
    """Fetch known data sets, verify them and keep them in the cache."""
    from polyscene.dataset.known import is_cached
    from polyscene.jobs.data import fetch_set

    for name in names:
        if is_cached(name):
            show.note(f"{name}: there already")
        else:
            facts = fetch_set(name)
            show.note(f"{name}: {facts.events:,} events, {facts.users:,} users, in {facts.folder}")


@app.command()
def infer(
    source: Annotated[str, typer.Argument(help="A folder or a file whose columns have unknown names.")],
    write: Annotated[Path | None, typer.Option("--write", help="Write a mapping file here.")] = None,
    json: JsonOption = False,
) -> None:
    """Propose what the files and columns of a source mean, with reasons; change nothing."""
    from polyscene.jobs.infer import command_line, infer_source, mapping_file

    found = infer_source(source)
    if write is not None:
        write.write_text(mapping_file(found), encoding="utf-8")
    if json:
        show.as_json(found)
    else:
        show.table(
            "",
            ("table", "field", "taken from", "sure", "because"),
            [
                *((table, "", ", ".join(files), "", "") for table, files in found.tables.items()),
                *(
                    (each.table, each.field, each.column, f"{each.confidence:.0%}", "; ".join(each.reasons))
                    for each in found.guesses
                ),
            ],
        )
        for line in (*found.notes, *(f"missing: {each}" for each in found.missing)):
            show.note(line)
    if found.missing:
        raise typer.Exit(1)
    if not json:
        typer.echo(f"polyscene ingest {source} --mapping {write}" if write else command_line(found))


@app.command()
def check(
    source: Annotated[str, typer.Argument(help="A folder, a file, or a known data set.")],
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    quarantine: Annotated[Path | None, typer.Option(help="Write removed rows and causes here.")] = None,
    json: JsonOption = False,
) -> None:
    """Read and clean a source as training would, and tell what is in it and what is odd."""
    from polyscene.jobs.data import check_source

    found = check_source(source, reading_of(mapping_file, mapping, rules), quarantine=quarantine)
    if json:
        show.as_json(found)
        return
    rows: list[tuple[str, object]] = [
        ("events", found.events),
        ("users", found.users),
        ("items", found.items),
        ("clock", "yes" if found.clock else "no: an order only"),
        ("from, to", " … ".join(found.span)),
        ("values", " … ".join(f"{value:g}" for value in found.values)),
        ("actions", ", ".join(f"{name} {count:,}" for name, count in found.actions.items())),
    ]
    for name, table in found.tables.items():
        books = {"removed": table.removed, "mended": table.changed, "odd": table.noticed}
        for verb, counts in books.items():
            rows += [(f"{name}: {verb}, {reason}", count) for reason, count in counts.items()]
    show.table(found.name, ("", ""), rows)
    for line in (*found.notes, *(f"warning: {warning}" for warning in found.warnings)):
        show.note(line)
