from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.contracts import Run
from polyscene.core.errors import BundleError
from polyscene.nn import rqvae
from polyscene.nn.rqvae import load_rq_vae, rq_vae


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(0)
    centres = rng.standard_normal((12, 10))
    noise = 0.1 * rng.standard_normal((400, 10))
    return (centres[rng.integers(0, 12, 400)] + noise).astype(np.float32)


@pytest.fixture(scope="module")
def quantiser(vectors):
    return rq_vae(vectors, 2, 8, Run(seed=1))


def test_codes_reconstruct_most_of_the_vectors(quantiser, vectors):
    quality = quantiser.quality(vectors, quantiser.codes(vectors))
    assert quality.error[1] < quality.error[0]
    assert quality.error[1] < 0.3
    assert min(quality.usage) > 0.5


def test_training_reveals_more_than_the_random_start(monkeypatch, quantiser, vectors):
    monkeypatch.setattr(rqvae, "EPOCHS", 0)
    start = rq_vae(vectors, 2, 8, Run(seed=1))
    trained, before = (each.quality(vectors, each.codes(vectors)).error[1] for each in (quantiser, start))
    assert trained < 0.5 * before


def test_a_code_without_items_moves_to_where_items_are(vectors):
    import torch

    chance = torch.Generator().manual_seed(0)
    model = rqvae.RqVae(10, 1, 4, chance)
    with torch.no_grad():
        model.books.fill_(1e6)
    batches = rqvae._Shuffled(model, torch.from_numpy(vectors), chance)
    for batch in batches.epoch(0):
        batches.loss(batch)
    assert batches.used_SK.tolist() == [[True, False, False, False]]
    next(batches.epoch(1))
    assert (model.books[0].abs().max(1).values < 1e3).tolist() == [False, True, True, True]


def test_it_is_loaded_as_it_was(quantiser, vectors):
    loaded = load_rq_vae(quantiser.tensors, 2, 8)
    np.testing.assert_array_equal(loaded.codes(vectors), quantiser.codes(vectors))
    np.testing.assert_array_equal(loaded.encode(vectors), quantiser.encode(vectors))


def test_a_missing_tensor_is_named(quantiser):
    tensors = {name: each for name, each in quantiser.tensors.items() if name != "decoder.2.bias"}
    with pytest.raises(BundleError, match=r"'decoder.2.bias' is missing"):
        load_rq_vae(tensors, 2, 8)


def test_no_items_no_trouble():
    quantiser = rq_vae(np.zeros((0, 3), np.float32), 2, 4, replace(Run(), seed=2))
    assert quantiser.codes(np.zeros((0, 3), np.float32)).shape == (0, 2)
