"""Layers over fields against their plain forms."""

from itertools import combinations

import numpy as np
import pytest
import torch
from msgspec.structs import replace

from polyscene.core.contracts import Run
from polyscene.nn.clicks import Labelled, learned, logits, mean_loss, sigmoid
from polyscene.nn.fields import Batch, FieldVectors, Mlp, Past, Plan, Sheet, Shuffled, Wide, pairs, squares
from polyscene.rank.bst import Bst
from polyscene.rank.dcn import Dcn
from polyscene.rank.deepfm import DeepFm
from polyscene.rank.din import Din
from polyscene.rank.lstm_ranker import LstmRanker

PLAN = Plan((5, 4), 2, 3)
CPU = torch.device("cpu")


def chance():
    return torch.Generator().manual_seed(0)


def sheet(rows=7, seed=0):
    rng = np.random.default_rng(seed)
    codes = np.column_stack([rng.integers(0, size, rows) for size in PLAN.sizes]).astype(np.int32)
    items = np.array([[0, 2, 3], [0, 0, 4], [0, 0, 0]], np.int32)
    past = Past(items, (items > 0).astype(np.int32), rng.integers(0, 3, rows))
    return Sheet(codes, rng.normal(size=(rows, 2)).astype(np.float32), past)


def batch(rows=7):
    return Batch.of(sheet(rows), np.ones(rows, np.float32), np.arange(rows), CPU)


def test_pairs_are_the_inner_products_of_all_pairs():
    vectors_BMD = torch.randn(4, 6, 3, generator=chance())
    plain = sum((vectors_BMD[:, a] * vectors_BMD[:, b]).sum(1) for a, b in combinations(range(6), 2))
    torch.testing.assert_close(pairs(vectors_BMD), plain)


def test_a_number_multiplies_its_vector_and_a_code_chooses_one():
    layer, rows = FieldVectors(PLAN, 3, chance()), batch()
    found_BMD = layer(rows)
    assert found_BMD.shape == (7, 4, 3)
    torch.testing.assert_close(found_BMD[2, 1], layer.codes[5 + rows.codes[2, 1]])
    torch.testing.assert_close(found_BMD[2, 3], layer.scales[1] * rows.numbers[2, 1])
    assert not layer.past(rows)[rows.past == 0].any()


def test_the_linear_part_is_a_sum_of_weights():
    layer, rows = Wide(PLAN, chance()), batch()
    with torch.no_grad():
        for weights in layer.parameters():
            weights.normal_(generator=chance())
    codes, scales = layer.vectors.codes[:, 0], layer.vectors.scales[:, 0]
    plain = [
        codes[a] + codes[5 + b] + (scales * numbers).sum() + layer.bias[0]
        for (a, b), numbers in zip(rows.codes.tolist(), rows.numbers, strict=True)
    ]
    torch.testing.assert_close(layer(rows), torch.stack(plain))


def test_crosses_are_what_the_paper_writes():
    network, rows = Dcn(dim=2, crosses=2, hidden=(3,)).network(PLAN, chance()).eval(), batch()
    first = x = network.vectors(rows).flatten(1)
    for layer in network.crosses:
        x = torch.stack([a * (layer.weight @ b + layer.bias) + b for a, b in zip(first, x, strict=True)])
    plain = network.output(torch.cat([x, network.layers(first)], 1))[:, 0]
    torch.testing.assert_close(network(rows), plain)


def test_dense_layers_are_normed_before_their_relu():
    layers, x_BD = Mlp(5, (4, 3), 0.0, chance(), norm=True).eval(), torch.randn(6, 5, generator=chance())
    plain = x_BD
    for layer in layers.layers:
        plain = plain @ layer.weight.T + layer.bias
        level = plain - plain.mean(1, keepdim=True)
        plain = (level / (level.square().mean(1, keepdim=True) + 1e-5).sqrt()).clamp(min=0)
    torch.testing.assert_close(layers(x_BD), plain)
    assert not len(Mlp(5, (4, 3), 0.0, chance()).norms)


def test_only_what_belongs_to_codes_is_drawn_to_zero_by_their_weight_decay():
    known = Labelled(sheet(), np.array([1, 0, 1, 0, 1, 0, 1], np.float32))
    config = DeepFm(dim=4, hidden=(3,), l2=0.0, epochs=80, learning_rate=0.03, average=0.0)
    free, drawn = (learned(each, PLAN, known, Run()) for each in (config, replace(config, codes_l2=10.0)))
    assert squares(drawn) < squares(free) / 100
    tables = [each.codes for each in (free.vectors, free.wide.vectors)]
    torch.testing.assert_close(squares(free), sum(each.square().sum() for each in tables))
    assert drawn.vectors.scales.square().sum() > free.vectors.scales.square().sum() / 2


@pytest.mark.parametrize("config", [Din(dim=4), Bst(dim=4), LstmRanker(dim=4)])
def test_places_without_an_event_change_nothing(config):
    rows = sheet()
    longer = [np.pad(each, ((0, 0), (2, 0))) for each in (rows.past.items, rows.past.gaps)]
    wide = Sheet(rows.codes, rows.numbers, Past(*longer, rows.past.owner))
    network = config.network(PLAN, chance()).eval().requires_grad_(False)
    np.testing.assert_allclose(logits(network, rows), logits(network, wide), atol=1e-6)
    other = Past(np.roll(rows.past.items, 1, 0), rows.past.gaps, rows.past.owner)
    assert np.abs(logits(network, Sheet(rows.codes, rows.numbers, other)) - logits(network, rows)).max() > 0


def test_the_state_is_that_of_an_lstm_over_each_past_alone():
    network, rows = LstmRanker(dim=4, states=(6, 5), hidden=(3,)).network(PLAN, chance()).eval(), batch()
    plain = []
    for past, vectors in zip(rows.past, network.vectors(rows), strict=True):
        events = network.vectors.codes[past[past > 0]][None]
        state = network.narrow(network.wide(events)[0])[0][0, -1] if len(events[0]) else torch.zeros(5)
        plain.append(network.output(network.layers(torch.cat([vectors.flatten(), state])))[0])
    torch.testing.assert_close(network(rows), torch.stack(plain))


def test_pieces_of_a_batch_have_its_loss():
    network, rows = Wide(PLAN, chance()), batch()
    whole = network(rows).mean()
    parts = sum(network(piece).mean() * share for piece, share in rows.split(3))
    torch.testing.assert_close(parts, whole)
    assert [len(piece) for piece, _ in rows.split(20)] == [1] * 7


def test_an_epoch_has_every_row_once_and_equal_numbers_equal_orders():
    labels = np.arange(7, dtype=np.float32)
    batches = Shuffled(sheet(), labels, batch_size=3, seed=1, device=CPU)
    first, again, next_ = (torch.cat([each.labels for each in batches.epoch(n)]) for n in (0, 0, 1))
    assert batches.steps == 3
    assert sorted(first.tolist()) == labels.tolist()
    assert first.tolist() == again.tolist() != next_.tolist()


def test_chances_and_loss_are_those_of_the_logits():
    network = Wide(PLAN, chance()).requires_grad_(False)
    network.bias += 2.0
    held = Labelled(sheet(), np.array([1, 0, 1, 0, 1, 0, 1], np.float32))
    chances = sigmoid(logits(network, held.sheet)).astype(np.float64)
    plain = -np.where(held.labels == 1, np.log(chances), np.log(1 - chances)).mean()
    assert mean_loss(network, held) == pytest.approx(plain, rel=1e-5)
    assert sigmoid(np.array([-1000.0, 0.0, 1000.0], np.float32)).tolist() == [0.0, 0.5, 1.0]
