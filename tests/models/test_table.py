import pytest

from polyscene.core.config import Config, find, kind_of
from polyscene.models.table import KINDS, MODELS


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_names_a_config_with_that_kind(kind):
    config = find(KINDS, kind, "table")()
    assert isinstance(config, Config)
    assert kind_of(config) == kind


def test_rows_say_where_a_model_comes_from():
    assert all(model.family and model.source for model in MODELS.values())
    keep_people = {kind for kind, model in MODELS.items() if model.holds_users}
    assert keep_people == {"user_knn", "vsknn", "lightgcn", "kg", "social"}
