import pytest

from polyscene.core.config import fill, find
from polyscene.rank.table import KINDS
from polyscene.testing.ranker_checks import checks

NETWORK = {
    "dim": 4,
    "epochs": 25,
    "batch_size": 256,
    "learning_rate": 0.02,
    "hidden": [16, 8],
    "dropout": 0.0,
    "codes_l2": 0.0,
}
TASKS = {**NETWORK, "hidden": [16], "towers": [8]}
SETTINGS = {
    "lambdamart": {"trees": 40, "leaf_rows": 20},
    "logistic": {name: NETWORK[name] for name in ("epochs", "batch_size", "learning_rate")},
    "mlp": NETWORK,
    "fm": {name: NETWORK[name] for name in ("dim", "epochs", "batch_size", "learning_rate")},
    "wide_deep": NETWORK,
    "deepfm": {**NETWORK, "layer_norm": True, "codes_l2": 1e-4},
    "dcn": {**NETWORK, "crosses": 2},
    "finalmlp": {**NETWORK, "other": [8], "heads": 2},
    "din": {**NETWORK, "attention": [8], "max_len": 5},
    "bst": {**NETWORK, "max_len": 5},
    "lstm_ranker": {**NETWORK, "states": [16, 8], "max_len": 5},
    "shared_bottom": TASKS,
    "mmoe": {**TASKS, "experts": 2},
    "ple": {**TASKS, "experts": 1, "shared": 1},
    "star": {**NETWORK, "hidden": [16], "auxiliary": [8]},
    "pepnet": {**NETWORK, "hidden": [16], "gate": 8, "max_len": 5},
}
"""Settings that make a kind quick; defaults elsewhere."""

ELSEWHERE = {"score", "bert", "cross_encoder", "lm_ranker"}
"""Kinds that order by a whole model, or by texts that this world has none of; tested in `tests/rank`."""


def cases():
    for kind in KINDS:
        if kind in ELSEWHERE:
            continue
        config = fill(find(KINDS, kind, kind), SETTINGS.get(kind, {}), kind, KINDS)
        for name, check in checks(kind, config):
            yield pytest.param(check, id=f"{kind}-{name}")


@pytest.mark.parametrize("check", list(cases()))
def test_contract(check):
    check()
