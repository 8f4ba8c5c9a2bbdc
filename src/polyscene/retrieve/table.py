"""The table of retrieval stages that are no models."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "fresh": "polyscene.retrieve.fresh:Fresh",
    "nearest": "polyscene.retrieve.nearest:Nearest",
    "step": "polyscene.retrieve.step:Step",
    "union": "polyscene.retrieve.union:Union",
}
