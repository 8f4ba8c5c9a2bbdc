"""The page of models says what the registry says."""

from pathlib import Path
from runpy import run_path

from polyscene.models.table import MODELS
from polyscene.rank.table import RANKERS

BENCH = run_path(str(Path(__file__).parents[1] / "bench" / "models.py"))


def test_the_page_is_written_from_the_registry():
    written = BENCH["PAGE"].read_text(encoding="utf-8")
    assert written == BENCH["page"](BENCH["read"]()), "run `python -m bench.models`"


def test_every_kind_is_on_it_and_every_figure_is_of_a_kind():
    text = BENCH["PAGE"].read_text(encoding="utf-8")
    assert all(f"| `{kind}` |" in text for kind in (*MODELS, *RANKERS))
    assert set(BENCH["read"]()) <= {*MODELS, *RANKERS}
