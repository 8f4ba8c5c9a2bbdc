"""The command tree and what every command shares: exit codes, errors, `--help` in a blink.

Exit codes: 0 done; 1 ran but the answer is no (a check failed, a program fault); 2 the input or the
usage was wrong; 3 the disk or an artifact refused; 130 interrupted. Results go to standard output,
everything else to standard error. Jobs are imported inside commands, so that `--help` loads no torch.
"""

import os
import sys

import typer

from polyscene.cli import (
    bundles,
    classify,
    compare,
    compress,
    data,
    evaluate,
    jobs,
    keys,
    log,
    look,
    recommend,
    serve,
    train,
    tune,
)
from polyscene.core.errors import BundleError, PolysceneError, StoreError

# Torch's threads wait by burning their core for milliseconds, which stalls all of them on a busy machine;
# not at all costs a third on a quiet one. Read when torch loads, so it is said before anything does.
os.environ.setdefault("GOMP_SPINCOUNT", "2000")

app = typer.Typer(
    name="polyscene",
    help="One recommender for every scene of a product: events in, served recommendations out.",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("demo")(serve.demo)
app.add_typer(data.app, name="data")
app.command("ingest")(train.ingest)
app.command("train")(train.train)
app.command("evaluate")(evaluate.evaluate)
app.command("compare")(compare.compare)
app.command("compare-scenarios")(compare.compare_scenarios)
app.command("classify")(classify.classify)
app.command("tune")(tune.tune)
app.command("compress")(compress.compress)
app.command("recommend")(recommend.recommend)
app.command("serve")(serve.serve)
app.add_typer(bundles.app, name="bundles")
app.add_typer(keys.app, name="keys")
app.add_typer(log.app, name="log")
app.command("backup")(log.backup)
app.command("restore")(log.restore)
app.command("export")(jobs.export)
app.command("jobs")(jobs.jobs)
app.command("models")(look.models)
app.command("scenarios")(look.scenarios)
app.command("doctor")(look.doctor)


def main() -> None:
    """Runs the command line; a known error is one plain line, never a traceback."""
    try:
        app()
    except PolysceneError as problem:
        typer.echo(f"polyscene: {problem}", err=True)
        sys.exit(3 if isinstance(problem, BundleError | StoreError) else 2)
    except KeyboardInterrupt:
        typer.echo("polyscene: interrupted", err=True)
        sys.exit(130)
    except BrokenPipeError:
        # The reader (head, less) went away; nothing is left to say, and Python must not try at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        sys.exit(0)
