"""Each method on small tensors: what comes back, how far it is off, what it refuses."""

import numpy as np
import pytest

from polyscene.compress.methods import METHODS, Distil, PruneLinks, method_of
from polyscene.core.errors import ConfigError
from polyscene.lean.packing import unpacked
from polyscene.lean.vectors import LowRankVectors, vectors_of

R, D = 300, 16


@pytest.fixture
def tensors():
    rng = np.random.default_rng(0)
    made = {
        "items": rng.normal(size=(R, 4)) @ rng.normal(size=(4, D)) + rng.normal(size=(R, D)) / 10,
        "evidence.ease": rng.normal(size=(R, R)) ** 3,
        "trunk.blocks.0.hidden.weight": rng.normal(size=(4 * D, D)),
        "trunk.blocks.0.output.weight": rng.normal(size=(D, 2 * D)),
        "trunk.norm.weight": rng.normal(size=D),
    }
    counts = rng.integers(1, 9, 50).astype(np.float32)
    return {name: each.astype(np.float32) for name, each in made.items()} | {
        "codes": np.arange(R, dtype=np.int32),
        "evidence.1.counts": counts,
    }


def size(tensors):
    return sum(each.nbytes for each in tensors.values())


def error(tensors, made, name):
    back = unpacked(made)[name]
    assert back.dtype == np.float32
    return np.linalg.norm(back - tensors[name]) / np.linalg.norm(tensors[name])


@pytest.mark.parametrize(
    ("text", "name", "most", "part"),
    [
        ("int8", "items", 0.01, 0.3),
        ("int8", "evidence.ease", 0.03, 0.3),
        ("bf16", "trunk.blocks.0.hidden.weight", 0.004, 0.55),
        ("product:parts=8", "items", 0.15, 1.0),
        ("low_rank:rank=4", "items", 0.1, 0.98),
        ("hashed:share=0.5", "items", 0.8, 0.995),
        ("prune_links:keep=150", "evidence.ease", 0.2, 0.8),
        ("prune_weights:share=0.5", "trunk.blocks.0.output.weight", 0.3, 1.001),
    ],
)
def test_a_packed_matrix_comes_back_nearly_as_it_was(tensors, text, name, most, part):
    made = method_of(text)(tensors, R)
    assert 0 < error(tensors, made, name) < most
    assert size(made) < part * size(tensors)
    assert unpacked(made).keys() == tensors.keys()
    np.testing.assert_array_equal(made["codes"], tensors["codes"])


def test_methods_stand_on_each_other(tensors):
    made = dict(tensors)
    for text in ("prune_links:keep=150", "low_rank:rank=8", "int8"):
        made = method_of(text)(made, R)
    assert {"evidence.ease:columns", "evidence.ease:values", "evidence.ease:values:scale"} < made.keys()
    assert made["items:left"].dtype == np.int8
    assert error(tensors, made, "evidence.ease") < 0.2
    assert error(tensors, made, "items") < 0.1
    np.testing.assert_array_equal(unpacked(made)["evidence.1.counts"], tensors["evidence.1.counts"])
    assert made["evidence.1.counts"].dtype == np.uint8


def test_the_largest_links_stay_and_no_others(tensors):
    made = unpacked(PruneLinks(keep=5)(tensors, R))["evidence.ease"]
    assert ((made != 0).sum(1) == 5).all()
    np.testing.assert_array_equal(
        np.sort(np.abs(made), 1)[:, -5:], np.sort(np.abs(tensors["evidence.ease"]), 1)[:, -5:]
    )


def test_units_that_carry_nothing_go_first_and_change_nothing(tensors):
    hidden = tensors["trunk.blocks.0.hidden.weight"].reshape(2, 2 * D, D)
    hidden[:, ::4] *= 1e-6
    made = method_of("prune_units:share=0.25")(tensors, R)
    assert made["trunk.blocks.0.hidden.weight"].shape == (3 * D, D)
    x = np.random.default_rng(1).normal(size=(5, D)).astype(np.float32)

    def feed(given):
        switch, value = np.split(x @ given["trunk.blocks.0.hidden.weight"].T, 2, 1)
        return np.maximum(switch, 0) * value @ given["trunk.blocks.0.output.weight"].T

    np.testing.assert_allclose(feed(made), feed(tensors), atol=1e-4)


def test_low_rank_vectors_score_as_the_floats_they_stand_for(tensors):
    made = method_of("low_rank:rank=4")(tensors, R)
    vectors = vectors_of(made, "items")
    assert isinstance(vectors, LowRankVectors)
    assert vectors.shape == (R, D)
    queries = np.random.default_rng(1).normal(size=(3, D)).astype(np.float32)
    floats = unpacked(made)["items"]
    np.testing.assert_allclose(vectors.scores(queries), queries @ floats.T, rtol=1e-4, atol=1e-4)
    np.testing.assert_allclose(vectors.of(np.array([7, 2])), floats[[7, 2]], rtol=1e-5, atol=1e-5)


def test_settings_are_read_from_a_text():
    assert method_of("distil:set.dim=64,set.block=hstu,weight=0.7") == Distil(
        set={"dim": 64, "block": "hstu"}, weight=0.7
    )


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("int9", "unknown method 'int9'; did you mean 'int8'"),
        ("prune_links:kep=5", "kep"),
        ("prune_links:keep", "expected KEY=VALUE after the colon, got 'keep'"),
        ("prune_units:share=2", "< 1.0"),
        ("product:parts=5", "items is 16 wide, which 5 parts don't divide"),
        ("low_rank:rank=16", "rank 16 saves nothing"),
    ],
)
def test_what_is_wrong_is_said(tensors, text, says):
    with pytest.raises(ConfigError, match=says):
        method_of(text)(tensors, R)


@pytest.mark.parametrize("kind", sorted(set(METHODS) - {"distil"}))
def test_a_method_with_nothing_to_work_on_says_so(kind):
    with pytest.raises(ConfigError, match=f"{kind}: the model has no .* of floats; leave {kind} out"):
        method_of(kind)({"codes": np.arange(R)}, R)
