"""The table of rankers: they order candidates, and learn from labelled slates."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Ranker:
    """What a reader wants to know before choosing a ranker."""

    path: str
    family: str
    source: str


RANKERS: Mapping[str, Ranker] = {
    "linear_ranker": Ranker("polyscene.rank.linear_ranker:LinearRanker", "listwise", "McFadden 1974"),
    "lambdamart": Ranker("polyscene.rank.lambdamart:LambdaMart", "listwise", "Burges 2010"),
    "logistic": Ranker("polyscene.rank.logistic:Logistic", "interaction", "Richardson et al. 2007"),
    "mlp": Ranker("polyscene.rank.mlp:MlpRanker", "interaction", "Covington, Adams and Sargin 2016"),
    "fm": Ranker("polyscene.rank.fm:Fm", "interaction", "Rendle 2010"),
    "wide_deep": Ranker("polyscene.rank.wide_deep:WideDeep", "interaction", "Cheng et al. 2016"),
    "deepfm": Ranker("polyscene.rank.deepfm:DeepFm", "interaction", "Guo et al. 2017"),
    "dcn": Ranker("polyscene.rank.dcn:Dcn", "interaction", "DCN-V2, Wang et al. 2021"),
    "finalmlp": Ranker("polyscene.rank.finalmlp:FinalMlp", "interaction", "Mao et al. 2023"),
    "din": Ranker("polyscene.rank.din:Din", "interaction", "Zhou et al. 2018"),
    "bst": Ranker("polyscene.rank.bst:Bst", "interaction", "Chen et al. 2019"),
    "lstm_ranker": Ranker(
        "polyscene.rank.lstm_ranker:LstmRanker", "interaction", "Hochreiter and Schmidhuber 1997"
    ),
    "shared_bottom": Ranker("polyscene.rank.shared_bottom:SharedBottom", "multi-task", "Caruana 1997"),
    "mmoe": Ranker("polyscene.rank.mmoe:Mmoe", "multi-task", "Ma et al. 2018"),
    "ple": Ranker("polyscene.rank.ple:Ple", "multi-task", "Tang et al. 2020"),
    "star": Ranker("polyscene.rank.star:Star", "multi-scenario", "Sheng et al. 2021"),
    "pepnet": Ranker("polyscene.rank.pepnet:PepNet", "multi-scenario", "Chang et al. 2023"),
    "bert": Ranker("polyscene.rank.bert:Bert", "language", "Devlin et al. 2019"),
    "cross_encoder": Ranker("polyscene.rank.cross_encoder:CrossEncoder", "language", "Nogueira, Cho 2019"),
    "lm_ranker": Ranker("polyscene.rank.lm_ranker:LmRanker", "language", "GPT-2; dos Santos et al. 2020"),
    "score": Ranker("polyscene.rank.score:Score", "any model", "the model's own"),
}

KINDS: Mapping[str, str] = {kind: ranker.path for kind, ranker in RANKERS.items()}
