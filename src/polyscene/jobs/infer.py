"""Behind `polyscene data infer`, and behind every command that reads a source: what its columns mean."""

import shlex
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from shutil import copyfileobj

from polyscene.core.errors import DataError, UnclearError
from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.infer.propose import Proposal, propose
from polyscene.dataset.known import SETS
from polyscene.dataset.load import DEFAULT_RULES, load_tables
from polyscene.dataset.reading import Reading, reading_to_toml
from polyscene.dataset.tables import Tables

UNSURE = 0.5
"""A guess below this is not followed without a person's word."""


def infer_source(source: str) -> Proposal:
    """What the files and columns of a source most likely mean.

    Raises:
        DataError: Nothing there, or nothing that can be read.
    """
    if source in SETS:
        raise DataError(f"{source}: a known data set needs no mapping; use it by its name")
    with _on_disk(source) as place:
        return replace(propose(place), source=source)


def command_line(proposal: Proposal, command: str = "ingest") -> str:
    """The command that reads the source as proposed, ready for a shell."""
    words = [f"--map {shlex.quote(f'{key}={value}')}" for key, value in proposal.mapping.items()]
    lines = [f"polyscene {command} {shlex.quote(proposal.source)}", *words]
    return " \\\n  ".join(lines)


def mapping_file(proposal: Proposal) -> str:
    """The proposal as the text of a mapping file, each line with its reason."""
    comments = {
        f"{guess.table}.{guess.field}": f"{guess.confidence:.0%}: {'; '.join(guess.reasons)}"
        for guess in proposal.guesses
    }
    return reading_to_toml(Reading(proposal.mapping), comments)


def load_or_propose(
    source: str,
    reading: Reading,
    *,
    infer: bool = False,
    base: CleaningRules = DEFAULT_RULES,
    quarantine: Path | None = None,
) -> Tables:
    """Clean tables of a source; where names don't tell what is what, an error with a proposal.

    `infer`: follow the proposal instead, if it is sure of users and items; the report's notes tell.

    Raises:
        DataError: As `load_tables`; where names are unclear, the text ends with the command to run.
    """
    rules = reading.cleaning(base)
    with _on_disk(source) as place:
        try:
            return load_tables(place, mapping=reading.mapping, rules=rules, quarantine=quarantine)
        except UnclearError as problem:
            proposal = replace(propose(place), source=source)
            if not infer or _unsure(proposal):
                raise UnclearError(f"{problem}\n{_advice(proposal)}") from problem
        mapping = {**proposal.mapping, **reading.mapping}
        tables = load_tables(place, mapping=mapping, rules=rules, quarantine=quarantine)
    notes = [
        f"{key} is taken from {value or 'nothing'}: inferred" for key, value in proposal.mapping.items()
    ]
    return replace(tables, report=replace(tables.report, notes=(*notes, *tables.report.notes)))


def _unsure(proposal: Proposal) -> list[str]:
    ids = [each for each in proposal.guesses if each.table == "events" and each.field in ("user", "item")]
    doubts = [
        f"{guess.column} as {guess.field} is a guess only ({'; '.join(guess.reasons)})"
        for guess in ids
        if guess.confidence < UNSURE
    ]
    return [*proposal.missing, *doubts]


def _advice(proposal: Proposal) -> str:
    if proposal.missing:
        return f"no proposal: {'; '.join(proposal.missing)}. Write the mapping with --map"
    doubts = _unsure(proposal)
    doubt = f"\nCheck first: {'; '.join(doubts)}" if doubts else ""
    lines = (
        f"  {each.table}.{each.field} = {each.column} ({each.confidence:.0%}: {'; '.join(each.reasons)})"
        for each in proposal.guesses
    )
    command = command_line(proposal)
    return "Proposal:\n" + "\n".join(lines) + doubt + f"\nIf that is right, run:\n{command}"


@contextmanager
def _on_disk(source: str) -> Iterator[Path]:
    """The source as a path: standard input (``-``) as a temporary file of JSON lines or text."""
    if source != "-":
        yield Path(source)
        return
    with tempfile.TemporaryDirectory(prefix="polyscene-") as folder:
        path = Path(folder) / "stdin.jsonl"
        with path.open("wb") as target:
            copyfileobj(sys.stdin.buffer, target)
        if not path.stat().st_size:
            raise DataError("standard input is empty; send JSON lines, one event a line")
        yield path
