from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from tests.lean.conftest import ITEMS, ROWS

from polyscene.core.errors import BundleError
from polyscene.core.queries import Queries
from polyscene.lean import backbone as module
from polyscene.lean.backbone import LeanBackbone
from polyscene.lean.vectors import FloatVectors
from polyscene.nn.events import Reader
from polyscene.nn.weights import tensors_of

made_once = settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


def asked_of(reading, history, at, scenario):
    return reading.asked(reading.table(history, ROWS), at // 1000, scenario)


def by_torch(network, reading, history, at, scenario):
    """The twin's answer: padded tensors through the torch network."""
    reader = Reader(reading.max_len, reading.actions, reading.scenarios, reading.edges, reading.clock)
    table = reader.table(history, ROWS)
    lengths = np.minimum(table.lengths, reader.max_len)
    queries = replace(Queries.of_histories(history, ITEMS), at=at, scenario=scenario)
    full = np.flatnonzero(lengths)
    vectors = np.zeros((len(history), network.items().shape[1]), np.float32)
    if len(full):
        with torch.inference_mode():
            events = reader.ask(table, queries, full, lengths[full], torch.device("cpu"))
            vectors[full] = network(events, network.items(), newest=True).numpy()
    return vectors


@made_once
@given(
    block=st.sampled_from(["ligr", "hstu", "sasrec"]),
    heads=st.sampled_from([1, 2, 4]),
    layers=st.integers(1, 3),
    clock=st.sampled_from(["order", "last", "query"]),
    positions=st.sampled_from(["relative", "end", "both", "none"]),
    short_conv=st.integers(0, 3),
    lengths=st.lists(st.integers(0, 20), max_size=5),
    piece=st.sampled_from([3, 100]),
    seed=st.integers(0, 100),
)
def test_it_encodes_as_its_torch_twin(
    twins, histories, block, heads, layers, clock, positions, short_conv, lengths, piece, seed
):
    network, lean, reading = twins(block, heads, layers, clock, positions, seed=seed, short_conv=short_conv)
    history = histories(lengths, seed)
    newest = np.array([history.ragged("time")[row].max(initial=0) for row in range(len(lengths))], np.int64)
    at = newest + np.random.default_rng(seed).choice([-2_000, 0, 5_000, 10**9], len(lengths))
    scenario = np.arange(len(lengths)) % 3
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(module, "PIECE", piece)
        vectors = lean.encode(asked_of(reading, history, at, scenario))
    expected = by_torch(network, reading, history, at, scenario)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)


def test_an_unknown_time_of_asking_is_read_as_in_torch(twins, histories):
    network, lean, reading = twins(clock="query")
    history, at, scenario = histories([7]), np.array([-1000]), np.array([1])
    vectors = lean.encode(asked_of(reading, history, at, scenario))
    expected = by_torch(network, reading, history, at, scenario)
    np.testing.assert_allclose(vectors, expected, rtol=1e-5, atol=1e-5)
    assert not np.allclose(vectors, lean.encode(asked_of(reading, history, at + 10**12, scenario)))


def test_numbers_beyond_exp_stay_finite(twins, histories):
    network, _, reading = twins()
    tensors = {name: values * 100 for name, values in tensors_of(network).items()}
    lean = LeanBackbone.of(FloatVectors(network.items().numpy() * 100), tensors, "ligr", 1, reading.max_len)
    assert np.isfinite(
        lean.encode(asked_of(reading, histories([9]), np.zeros(1, np.int64), np.zeros(1)))
    ).all()


def test_a_missing_tensor_is_named(twins):
    network, _, _ = twins()
    tensors = tensors_of(network)
    del tensors["trunk.blocks.1.hidden.weight"]
    with pytest.raises(BundleError, match=r"tensor 'hidden.weight' is missing.*fit the model again"):
        LeanBackbone.of(FloatVectors(network.items().numpy()), tensors, "ligr", 1, 12)
