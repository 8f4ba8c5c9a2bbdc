"""`polyscene data`: list, fetch and check data sets."""

from typing import Annotated

import typer

from polyscene.cli import show
from polyscene.cli.options import JsonOption, MapOption, pairs

app = typer.Typer(help="Data sets: list the known ones, fetch them, check any source.", no_args_is_help=True)
