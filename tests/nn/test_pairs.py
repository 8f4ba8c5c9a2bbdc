import numpy as np
import torch
from scipy import sparse

from polyscene.nn.pairs import Pairs, Touched
from polyscene.testing.worlds import noise

CPU = torch.device("cpu")


def batches_of(cells, number=0, **settings):
    pairs = Pairs(cells, **{"batch_size": 16, "negatives": 3, "seed": 5, "device": CPU, **settings})
    return pairs, list(pairs.epoch(number))


def test_an_epoch_holds_every_pair_once_and_no_touched_negative():
    cells = Touched.of(noise()).cells
    pairs, batches = batches_of(cells)
    assert len(batches) == pairs.steps
    users, items, others = (
        torch.cat([getattr(each, name) for each in batches]).numpy()
        for name in ("users", "items", "others")
    )
    found = sparse.csr_matrix((np.ones(len(users)), (users, items)), shape=cells.shape)
    assert (found != cells).nnz == 0
    assert others.shape == (cells.nnz, 3)
    dense = cells.toarray()
    assert not dense[users[:, None], others].any()


def test_epochs_differ_and_come_again():
    cells = Touched.of(noise()).cells
    first, second, again = (batches_of(cells, number)[1] for number in (0, 1, 0))
    assert not torch.equal(first[0].items, second[0].items)
    assert all(torch.equal(a.others, b.others) for a, b in zip(first, again, strict=True))


def test_who_touched_everything_keeps_a_touched_negative():
    _, batches = batches_of(sparse.csr_matrix(np.ones((2, 3), np.float32)))
    assert len(batches[0].others) == 6


def test_pieces_are_the_batch():
    _, (batch, *_) = batches_of(Touched.of(noise()).cells)
    pieces = batch.split(3)
    assert torch.equal(torch.cat([piece.others for piece, _ in pieces]), batch.others)
    assert sum(share for _, share in pieces) == 1
