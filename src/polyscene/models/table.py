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
    have (``"clock"``, ``"text"`` ...). `logits`: its scores are log-probabilities, up to a number that all
    items of a query share. A composition is as its members are; its row speaks of the default ones.
    """

    path: str
    family: str
    source: str
    cold_users: bool = True
    cold_items: bool = False
    holds_users: bool = False
    needs: tuple[str, ...] = ()
    logits: bool = False


MODELS: Mapping[str, Model] = {
    "random": Model("polyscene.models.random:Random", "baseline", "uniform chance", cold_items=True),
    "popular": Model("polyscene.models.popular:Popular", "baseline", "interaction counts", cold_items=True),
    "recent_popular": Model(
        "polyscene.models.recent_popular:RecentPopular", "baseline", "decayed counts", cold_items=True
    ),
    "covisit": Model(
        "polyscene.models.covisit:Covisit", "neighbours", "transitions, Rendle et al. 2010", logits=True
    ),
    "content_knn": Model(
        "polyscene.models.content_knn:ContentKnn", "neighbours", "Pazzani and Billsus 2007", cold_items=True
    ),
    "content_vectors": Model(
        "polyscene.models.content_vectors:ContentVectors",
        "sequence",
        "NAML, Wu et al. 2019, over fixed vectors",
        cold_items=True,
        logits=True,
    ),
    "item_knn": Model("polyscene.models.item_knn:ItemKnn", "neighbours", "Sarwar et al. 2001"),
    "bm25_knn": Model(
        "polyscene.models.bm25_knn:Bm25Knn", "neighbours", "BM25, Robertson and Zaragoza 2009"
    ),
    "rp3beta": Model("polyscene.models.rp3beta:Rp3Beta", "neighbours", "Paudel et al. 2017"),
    "user_knn": Model(
        "polyscene.models.user_knn:UserKnn", "neighbours", "Herlocker et al. 1999", holds_users=True
    ),
    "slim": Model("polyscene.models.slim:Slim", "linear", "Ning and Karypis 2011"),
    "ease": Model("polyscene.models.ease:Ease", "linear", "Steck 2019"),
    "bpr": Model("polyscene.models.bpr:Bpr", "factors", "Rendle et al. 2009"),
    "svd": Model("polyscene.models.svd:Svd", "factors", "Koren 2008; Koren, Bell and Volinsky 2009"),
    "neumf": Model("polyscene.models.neumf:Neumf", "factors", "He et al. 2017"),
    "ials": Model("polyscene.models.ials:Ials", "factors", "Hu, Koren and Volinsky 2008"),
    "autoencoder": Model(
        "polyscene.models.autoencoder:Autoencoder", "autoencoder", "AutoRec, Sedhain et al. 2015"
    ),
    "denoising": Model(
        "polyscene.models.denoising:Denoising", "autoencoder", "CDAE, Wu et al. 2016; Mult-DAE", logits=True
    ),
    "mult_vae": Model("polyscene.models.mult_vae:MultVae", "autoencoder", "Liang et al. 2018", logits=True),
    "recvae": Model("polyscene.models.recvae:RecVae", "autoencoder", "Shenbin et al. 2020", logits=True),
    "lightgcn": Model("polyscene.models.lightgcn:LightGcn", "graph", "He et al. 2020", holds_users=True),
    "xsimgcl": Model("polyscene.models.xsimgcl:XSimGcl", "graph", "Yu et al. 2023"),
    "kg": Model(
        "polyscene.models.kg:Kg", "graph", "KGIN, Wang et al. 2021", holds_users=True, needs=("edges",)
    ),
    "social": Model(
        "polyscene.models.social:Social",
        "graph",
        "DiffNet, Wu et al. 2019",
        holds_users=True,
        needs=("edges",),
    ),
    "sasrec": Model(
        "polyscene.models.sasrec:SasRec", "sequence", "Kang and McAuley 2018, as in eSASRec", logits=True
    ),
    "gru4rec": Model(
        "polyscene.models.gru4rec:Gru4Rec", "sequence", "Hidasi et al. 2016, full softmax", logits=True
    ),
    "bert4rec": Model("polyscene.models.bert4rec:Bert4Rec", "sequence", "Sun et al. 2019", logits=True),
    "hstu": Model("polyscene.models.hstu:Hstu", "sequence", "Zhai et al. 2024", logits=True),
    "two_tower": Model(
        "polyscene.models.two_tower:TwoTower", "sequence", "Yi et al. 2019", cold_items=True, logits=True
    ),
    "vsknn": Model(
        "polyscene.models.vsknn:Vsknn", "sequence", "Ludewig and Jannach 2018", holds_users=True
    ),
    "caser": Model("polyscene.models.caser:Caser", "sequence", "Tang and Wang 2018", logits=True),
    "nextitnet": Model("polyscene.models.nextitnet:NextItNet", "sequence", "Yuan et al. 2019", logits=True),
    "lstm": Model("polyscene.models.lstm:Lstm", "sequence", "Hochreiter and Schmidhuber 1997", logits=True),
    "foundation": Model(
        "polyscene.models.foundation:Foundation",
        "sequence",
        "HSTU and LiGR; ours",
        logits=True,
    ),
    "generative": Model(
        "polyscene.models.generative:Generative", "generative", "TIGER, Rajput et al. 2023", cold_items=True
    ),
    "adapted": Model(
        "polyscene.rank.adapted:Adapted", "composition", "LoRA, Hu et al. 2021, per scenario", logits=True
    ),
    "average": Model(
        "polyscene.rank.average:Average", "composition", "linear pool, Stone 1961", logits=True
    ),
    "compressed": Model(
        "polyscene.rank.compressed:Compressed", "composition", "quantised, pruned, distilled", logits=True
    ),
    "blend": Model(
        "polyscene.rank.blend:Blend", "composition", "log-linear pool, Genest and Zidek 1986", logits=True
    ),
    "rrf": Model("polyscene.rank.rrf:Rrf", "composition", "Cormack, Clarke and Büttcher 2009"),
    "stack": Model(
        "polyscene.rank.stack:Stack", "composition", "Wolpert 1992; Sill et al. 2009", logits=True
    ),
    "switch": Model("polyscene.rank.switch:Switch", "composition", "switching hybrid, Burke 2002"),
}

KINDS: Mapping[str, str] = {kind: model.path for kind, model in MODELS.items()}
