"""Every kind that a scenario file may name: the tables of the families, merged."""

from collections.abc import Mapping

from polyscene.models.table import KINDS as MODELS
from polyscene.rank.table import KINDS as RANKERS
from polyscene.rerank.table import KINDS as RERANKERS
from polyscene.retrieve.table import KINDS as RETRIEVERS

KINDS: Mapping[str, str] = {**MODELS, **RETRIEVERS, **RANKERS, **RERANKERS}
