"""`polyscene data`: list, fetch and check data sets."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from polyscene.cli import show
from polyscene.cli.options import (
    JsonOption,
    MapOption,
    MappingOption,
    QuietOption,
    RuleOption,
    reading_of,
)
from polyscene.core.errors import InputError

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
def report(
    source: Annotated[str | None, typer.Argument(help="A folder, a file, or a known data set.")] = None,
    workspace: Annotated[
        Path | None, typer.Option("--workspace", "-w", help="Look at this workspace's live log instead.")
    ] = None,
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    html: Annotated[Path | None, typer.Option("--html", help="Write a page with plots here.")] = None,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Tell what is odd about data, why it matters for recommending, and how to mend it."""
    from polyscene.jobs.quality import quality
    from polyscene.jobs.workspace import Workspace
    from polyscene.observe.bars import progress

    if (source is None) == (workspace is None):
        raise InputError("data report: expected a source or --workspace, one of the two")
    what = Workspace.open(workspace) if workspace is not None else str(source)
    found = quality(what, progress(quiet), reading=reading_of(mapping_file, mapping, rules))
    if html is not None:
        from polyscene.jobs.quality_page import quality_html

        html.write_text(quality_html(found), encoding="utf-8")
    if json:
        show.as_json(found)
        return
    show.table(found.source, ("", ""), found.facts)
    show.table(
        "",
        ("", "what was seen", "why it matters → how to mend it"),
        [
            (each.severity, f"{each.title}\n{each.seen}", f"{each.why}\n→ {each.mend}")
            for each in found.findings
        ],
    )
    for line in (*found.notes, f"page: {html}" if html else ""):
        if line:
            show.note(line)


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


@app.command()
def prepare(
    source: Annotated[str, typer.Argument(help="A folder, a file, or a known data set, of any size.")],
    folder: Annotated[Path, typer.Argument(help="Where to put the result; replaced if it was prepared.")],
    mapping: MapOption = None,
    mapping_file: MappingOption = None,
    rules: RuleOption = None,
    purpose: Annotated[
        Literal["train", "evaluate"],
        typer.Option("--for", help="evaluate: what `polyscene evaluate --data FOLDER` needs."),
    ] = "train",
    memory_mb: Annotated[
        int, typer.Option("--memory-mb", min=64, help="What it may take, ids aside.")
    ] = 1024,
    json: JsonOption = False,
    quiet: QuietOption = False,
) -> None:
    """Clean and sort a source of any size in little memory into a folder that opens at once.

    A killed run goes on where it was when started again.
    """
    from polyscene.dataset.clean import EVALUATION
    from polyscene.dataset.load import DEFAULT_RULES
    from polyscene.dataset.prepare.job import PrepareRequest
    from polyscene.dataset.prepare.job import prepare as job
    from polyscene.observe.bars import progress

    reading = reading_of(mapping_file, mapping, rules)
    evaluating = purpose == "evaluate"
    request = PrepareRequest(
        source=source,
        folder=folder,
        mapping=reading.mapping,
        rules=reading.cleaning(EVALUATION if evaluating else DEFAULT_RULES),
        only_touched=evaluating,
        memory_mb=memory_mb,
    )
    made = job(request, progress(quiet))
    if json:
        show.as_json(made)
        return
    rows: list[tuple[str, object]] = [
        ("events", made.events),
        ("users", made.users),
        ("items", made.items),
        ("MB", round(made.bytes / 1e6, 1)),
        ("digest", made.digest[:12]),
        *((f"events: removed, {cause}", count) for cause, count in made.tables["events"].removed.items()),
    ]
    show.table(made.name, ("", ""), rows)
    for line in made.notes:
        show.note(line)
