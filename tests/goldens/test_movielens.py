"""Every quick model on real data, inside a two-sided band: neither lost nor won by accident.

A figure above its band is as suspicious as one below it: look for a leak before moving the band. What
takes minutes to fit stands in `bench/README.md`.
"""

from functools import cache

import pytest

from polyscene.core.config import find
from polyscene.core.contracts import Run
from polyscene.dataset.encode import encode
from polyscene.dataset.split import split
from polyscene.evaluate.metrics import accuracy_at
from polyscene.evaluate.ranking import rank
from polyscene.models.table import KINDS

pytestmark = [pytest.mark.golden, pytest.mark.xdist_group("goldens")]

SLOW = {
    "adapted",
    "autoencoder",
    "average",
    "bert4rec",
    "blend",
    "caser",
    "compressed",
    "content_vectors",
    "denoising",
    "foundation",
    "generative",
    "gru4rec",
    "hstu",
    "kg",
    "lightgcn",
    "lstm",
    "mult_vae",
    "neumf",
    "nextitnet",
    "recvae",
    "rrf",
    "sasrec",
    "social",
    "stack",
    "switch",
    "two_tower",
    "xsimgcl",
}
QUERIES = {
    ("ml-1m", "loo"): 6040,
    ("ml-1m", "time"): 1180,
    ("ml-100k", "loo"): 943,
    ("ml-1m", "cold"): 5969,
    ("ml-1m-liked", "random20"): 5949,
    ("ml-100k", "random25"): 943,
}
DIGESTS = {
    ("ml-1m", "loo"): "5726ab653fb7203d",
    ("ml-1m", "time"): "12fe56d035e8063f",
    ("ml-100k", "loo"): "40968ccd40e86847",
    ("ml-1m", "cold"): "cd67676da27170b1",
    ("ml-1m-liked", "random20"): "96e06637906703d9",
    ("ml-100k", "random25"): "711c92ab09809d49",
}
ROWS = [
    # data, protocol, kind, hr@10, ndcg@10, half of the band
    ("ml-1m", "loo", "random", 0.0025, 0.0010, 0.0015),
    ("ml-1m", "loo", "popular", 0.0363, 0.0178, 0.0005),
    ("ml-1m", "loo", "recent_popular", 0.0459, 0.0235, 0.001),
    ("ml-1m", "loo", "covisit", 0.2897, 0.1724, 0.003),
    ("ml-1m", "loo", "item_knn", 0.0793, 0.0390, 0.003),
    ("ml-1m", "loo", "bm25_knn", 0.0869, 0.0430, 0.002),
    ("ml-1m", "loo", "rp3beta", 0.0846, 0.0436, 0.002),
    ("ml-1m", "loo", "user_knn", 0.0808, 0.0411, 0.003),
    ("ml-1m", "loo", "slim", 0.1126, 0.0561, 0.001),
    ("ml-1m", "loo", "ease", 0.1101, 0.0545, 0.0005),
    ("ml-1m", "loo", "ials", 0.1033, 0.0529, 0.003),
    ("ml-1m", "time", "popular", 0.6712, 0.2538, 0.001),
    ("ml-1m", "time", "recent_popular", 0.7288, 0.2768, 0.003),
    ("ml-1m", "time", "covisit", 0.5992, 0.1801, 0.004),
    ("ml-1m", "time", "bm25_knn", 0.6720, 0.2407, 0.003),
    ("ml-1m", "time", "rp3beta", 0.6441, 0.2309, 0.003),
    ("ml-1m", "time", "slim", 0.6941, 0.2555, 0.002),
    ("ml-1m", "time", "ease", 0.7000, 0.2615, 0.001),
    ("ml-1m", "cold", "content_knn", 0.0625, 0.0307, 0.002),
    ("ml-1m-liked", "random20", "ease", 0.8761, 0.3404, 0.001),
    ("ml-100k", "random25", "ease", 0.9470, 0.4804, 0.001),
    ("ml-100k", "random25", "bpr", 0.9109, 0.4107, 0.01),
    ("ml-100k", "loo", "bpr", 0.1273, 0.0616, 0.008),
    ("ml-100k", "loo", "svd", 0.0276, 0.0122, 0.006),
    ("ml-100k", "loo", "random", 0.0095, 0.0044, 0.004),
    ("ml-100k", "loo", "popular", 0.0859, 0.0439, 0.001),
    ("ml-100k", "loo", "recent_popular", 0.0870, 0.0460, 0.002),
    ("ml-100k", "loo", "covisit", 0.1962, 0.1083, 0.005),
    ("ml-100k", "loo", "item_knn", 0.1198, 0.0619, 0.005),
    ("ml-100k", "loo", "user_knn", 0.1050, 0.0562, 0.005),
    ("ml-100k", "loo", "vsknn", 0.2025, 0.1084, 0.003),
    ("ml-100k", "loo", "ease", 0.1453, 0.0737, 0.001),
    ("ml-100k", "loo", "ials", 0.1432, 0.0744, 0.006),
]


@pytest.fixture(scope="module")
def split_of(request):
    """Splits by data and protocol; a fixture's tables are loaded when they are first asked for."""

    @cache
    def encoded(data):
        return encode(request.getfixturevalue(f"{data.replace('-', '_')}_tables"), only_touched=True)

    return cache(lambda data, protocol: split(encoded(data).data, protocol, ids=encoded(data)))


@pytest.mark.parametrize(("data", "protocol"), list(DIGESTS))
def test_the_split_is_the_one_that_the_figures_stand_on(split_of, data, protocol):
    parts = split_of(data, protocol)
    assert len(parts.test.queries) == QUERIES[data, protocol]
    assert parts.digest[:16] == DIGESTS[data, protocol]


@pytest.mark.parametrize(
    ("data", "protocol", "kind", "hr", "ndcg", "band"), ROWS, ids=["-".join(row[:3]) for row in ROWS]
)
def test_figures_stay_in_their_band(split_of, data, protocol, kind, hr, ndcg, band):
    parts = split_of(data, protocol)
    part = find(KINDS, kind, kind)().fit(parts.fit_all, Run())
    found = accuracy_at(rank(part, parts.test, k=10), 10)
    assert found["ndcg@10"].mean() == pytest.approx(ndcg, abs=band)
    assert found["hr@10"].mean() == pytest.approx(hr, abs=2 * band)


def test_every_quick_model_has_a_row():
    assert {row[2] for row in ROWS} | SLOW == set(KINDS)
