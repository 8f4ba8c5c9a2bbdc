"""The table of rerankers."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "explore": "polyscene.rerank.explore:Explore",
    "limit": "polyscene.rerank.limit:Limit",
    "mmr": "polyscene.rerank.mmr:Mmr",
}
