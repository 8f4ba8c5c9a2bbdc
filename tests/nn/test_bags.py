from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy import sparse

from polyscene.nn.bags import Bag, Bags, BagSum, multinomial, squared

CPU = torch.device("cpu")


def matrix(users=20, items=12, seed=0):
    """Random histories; user 3 has none."""
    seen = np.random.default_rng(seed).random((users, items)) < 0.4
    seen[:, 0], seen[3] = True, False
    return sparse.csr_matrix(seen.astype(np.float32))


def bags(histories, **settings):
    plain = {"batch_size": 8, "epochs": 3, "seed": 5, "device": CPU}
    return Bags(histories, **{**plain, **settings})


def multi_hot(bag, items=12):
    """The rows that papers write their losses with."""
    dense = torch.zeros(len(bag), items)
    dense[bag.owners(), bag.rows] = 1
    return dense


def whole(users=(0, 1, 2, 4)):
    return Bag.of(matrix(), np.array(users), CPU)


def test_a_bag_holds_its_users_items():
    users = [5, 0, 19]
    np.testing.assert_array_equal(multi_hot(whole(users)), matrix().toarray()[users])


def test_a_pass_shows_every_user_with_an_item_once():
    histories = matrix()
    batches = list(bags(histories).epoch(0))
    assert [len(batch) for batch in batches] == [8, 8, 3]
    assert bags(histories).steps == 3
    shown = torch.cat([multi_hot(batch) for batch in batches]).numpy()
    expected = np.delete(histories.toarray(), 3, 0)
    np.testing.assert_array_equal(shown[np.lexsort(shown.T)], expected[np.lexsort(expected.T)])


def test_equal_numbers_give_equal_batches_and_others_another_order():
    first, again, other = (
        torch.cat([batch.rows for batch in bags(matrix()).epoch(number)]) for number in (1, 1, 2)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)


def test_a_batch_knows_where_the_training_stands():
    found = bags(matrix(), passes=2)
    batches = [*found.epoch(0), *found.epoch(1), *found.epoch(2)]
    assert len(batches) == 3 * found.steps == 18
    assert [batch.turn for batch in batches] == np.repeat(np.arange(6), 3).tolist()
    np.testing.assert_allclose([batch.progress for batch in batches], np.arange(18) / 18)


def test_nobody_with_an_item_gives_no_steps():
    empty = bags(sparse.csr_matrix((4, 3), dtype=np.float32))
    assert empty.steps == 0
    assert not list(empty.epoch(0))


def test_pieces_make_up_the_batch():
    bag = replace(whole((0, 1, 2, 4, 5)), turn=7, progress=0.5)
    pieces = bag.split(3)
    assert sum(share for _, share in pieces) == pytest.approx(1)
    assert all((piece.turn, piece.progress) == (7, 0.5) for piece, _ in pieces)
    torch.testing.assert_close(torch.cat([multi_hot(piece) for piece, _ in pieces]), multi_hot(bag))
    logits = torch.randn(5, 12, generator=torch.Generator().manual_seed(1))
    parts = logits.split([len(piece) for piece, _ in pieces])
    total = sum(
        multinomial(part, piece) * share for part, (piece, share) in zip(parts, pieces, strict=True)
    )
    torch.testing.assert_close(total, multinomial(logits, bag))
    assert len(bag.split(99)) == 5


def test_the_first_layer_is_a_dense_one_on_rows_of_length_one():
    layer, bag = BagSum(12, 6, 0.5, torch.Generator().manual_seed(0)).eval(), whole()
    layer.bias.data.normal_(generator=torch.Generator().manual_seed(1))
    rows = torch.nn.functional.normalize(multi_hot(bag))
    expected = rows @ layer.vectors + layer.bias
    torch.testing.assert_close(layer(bag), expected)
    layer(bag).square().sum().backward()
    found, layer.vectors.grad = layer.vectors.grad, None
    expected.square().sum().backward()
    torch.testing.assert_close(found, layer.vectors.grad)


def test_corruption_leaves_out_its_share_and_keeps_the_sum():
    layer = BagSum(12, 1, 0.25, torch.Generator().manual_seed(0))
    layer.vectors.data.fill_(1.0)
    everyone = torch.arange(20_000)
    bag = Bag(torch.zeros(20_000, dtype=torch.int64), everyone, torch.ones(20_000), everyone)
    bag = replace(bag, counts=bag.counts.long())
    sums = layer(bag)[:, 0]
    assert set(sums.tolist()) == {0.0, float(torch.tensor(256 / 192))}
    assert (sums == 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert torch.equal(layer(bag, whole=True)[:, 0], torch.ones(20_000))


@pytest.mark.parametrize(
    ("loss", "twin"),
    [
        (multinomial, lambda logits, seen: -(logits.log_softmax(1) * seen).sum(1).mean()),
        (squared, lambda scores, seen: (scores - seen).square().sum(1).mean()),
    ],
)
def test_losses_are_their_definitions_on_dense_rows(loss, twin):
    bag = whole()
    scores = torch.randn(4, 12, generator=torch.Generator().manual_seed(2), requires_grad=True)
    found = loss(scores, bag)
    (gradient,) = torch.autograd.grad(found, scores)
    expected = twin(scores, multi_hot(bag))
    torch.testing.assert_close(found, expected)
    torch.testing.assert_close(gradient, torch.autograd.grad(expected, scores)[0])
