"""The surface changes on purpose: commands and options are listed here; starting costs next to nothing."""

import subprocess
import sys
from typing import Any

import typer

from polyscene.cli.main import app

SURFACE = """
backup: folder json workspace
bundles collect: workspace
bundles export: int8 onnx out scenario source workspace
bundles list: json workspace
bundles promote: bundle force scenario workspace
bundles rollback: scenario workspace
classify: column file json label model on out quiet seed set split test-share valid-share with
compare: data fit-on html json map mapping model on protocol quiet rule seed
compare-scenarios: data fit-on json map mapping model on protocol quiet rule seed set
compress: bundle data fit-on force json map method model on out promote protocol quiet scenario seed set \
source workspace
data check: json map mapping quarantine rule source
data fetch: names
data infer: json source write
data list: json
data prepare: folder for json map mapping memory-mb quiet rule source
data report: html json map mapping quiet rule source workspace
demo: budget data port quiet serve workspace
doctor: json workspace
evaluate: against baselines checkpoint data fit-on html json map mapping memory-mb model on \
profile protocol quiet rule scenario seed set tensorboard
export: filter format json k log output quiet scenario users workspace
ingest: infer json map mapping quiet rule source workspace
jobs: json workspace
keys add: expires name rate role workspace
keys list: json workspace
keys revoke: name workspace
log backup: json target workspace
log check: json workspace
log export: folder json workspace
log migrate: json to workspace
log repair: json target workspace
models: json
recommend: anchor filter history json k scenario user workspace
restore: folder json workspace
scenarios: json workspace
serve: host port workspace
train: budget checkpoint data force holdout json map mapping memory-mb names \
profile quiet seed tensorboard workspace
tune: budget data html json latency map mapping memory model protocol quiet rule scenario seed stage \
study trials workers workspace write
"""


def surface() -> dict[str, list[str]]:
    """Every command with its arguments and long options."""
    found: dict[str, list[str]] = {}

    def walk(command: Any, path: tuple[str, ...]) -> None:
        if hasattr(command, "commands"):
            for name, each in command.commands.items():
                walk(each, (*path, name))
        else:
            found[" ".join(path)] = sorted(
                max(parameter.opts, key=len).lstrip("-")
                for parameter in command.params
                if parameter.name != "help"
            )

    walk(typer.main.get_command(app), ())
    return found


def test_commands_and_options_are_those_that_are_documented():
    lines = [f"{command}: {' '.join(options)}" for command, options in sorted(surface().items())]
    assert lines == SURFACE.strip().splitlines()


def test_help_loads_neither_torch_nor_polars():
    program = (
        "import sys; import polyscene; from polyscene.cli.main import app\n"
        "sys.argv = ['polyscene', '--help']\n"
        "try: app()\nexcept SystemExit: pass\n"
        "heavy = {'torch', 'polars', 'scipy', 'faiss', 'starlette'} & sys.modules.keys()\n"
        "sys.exit(','.join(sorted(heavy)) or 0)"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "demo" in done.stdout
