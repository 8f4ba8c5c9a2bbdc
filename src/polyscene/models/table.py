"""The table of models: the one place that names them all.

A new model costs one file, one row here and one golden row; contract checks, the command line,
`polyscene models` and the docs read this table.
"""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Model:
    """What a reader wants to know before choosing a model.

    `cold_users`: answers users it never saw. `cold_items`: can rank items put after its fit.
    `holds_users`: keeps rows of people, so forgetting a user needs a refit. `needs`: what the data must
    have (``"clock"``, ``"text"`` ...).
    """

    path: str
    family: str
    source: str
    cold_users: bool = True
    cold_items: bool = False
    holds_users: bool = False
    needs: tuple[str, ...] = ()


MODELS: Mapping[str, Model] = {
    "random": Model("polyscene.models.random:Random", "baseline", "uniform chance", cold_items=True),
    "popular": Model("polyscene.models.popular:Popular", "baseline", "interaction counts", cold_items=True),
    "sasrec": Model("polyscene.models.sasrec:SasRec", "sequence", "Kang and McAuley 2018, as in eSASRec"),
}

KINDS: Mapping[str, str] = {kind: model.path for kind, model in MODELS.items()}
