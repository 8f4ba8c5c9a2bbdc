"""The table of rankers."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "linear_ranker": "polyscene.rank.linear_ranker:LinearRanker",
    "score": "polyscene.rank.score:Score",
}
