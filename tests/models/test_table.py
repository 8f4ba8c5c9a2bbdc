import pytest

from polyscene.core.config import Config, find, kind_of
from polyscene.core.errors import ConfigError
from polyscene.core.known_as import KNOWN_AS
from polyscene.models.table import KINDS, MODELS
from polyscene.rank.table import RANKERS


@pytest.mark.parametrize("kind", KINDS)
def test_a_kind_names_a_config_with_that_kind(kind):
    config = find(KINDS, kind, "table")()
    assert isinstance(config, Config)
    assert kind_of(config) == kind


@pytest.mark.parametrize(
    ("name", "said"),
    [("TF-IDF", "'content_knn'"), ("SVD++", "'svd'"), ("hybrid", "'blend' or 'switch' or 'stack'")],
)
def test_who_knows_a_kind_by_another_name_is_told_ours(name, said):
    with pytest.raises(ConfigError, match=f"here that is {said}$"):
        find(KINDS, name, "table")


def test_other_names_are_of_kinds_and_are_none_themselves():
    kinds = {*MODELS, *RANKERS}
    assert {kind for meant in KNOWN_AS.values() for kind in meant} <= kinds
    assert not KNOWN_AS.keys() & kinds


def test_rows_say_where_a_model_comes_from():
    assert all(model.family and model.source for model in MODELS.values())
    keep_people = {kind for kind, model in MODELS.items() if model.holds_users}
    assert keep_people == {"user_knn", "vsknn", "lightgcn", "kg", "social"}
