"""The table of rankers."""

from collections.abc import Mapping

KINDS: Mapping[str, str] = {
    "linear_ranker": "polyscene.rank.linear_ranker:LinearRanker",
    "logistic": "polyscene.rank.logistic:Logistic",
    "mlp": "polyscene.rank.mlp:MlpRanker",
    "fm": "polyscene.rank.fm:Fm",
    "dcn": "polyscene.rank.dcn:Dcn",
    "score": "polyscene.rank.score:Score",
}
