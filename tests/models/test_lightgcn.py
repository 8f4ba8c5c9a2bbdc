import numpy as np
import torch

from polyscene.models.lightgcn import LightGcn, Network
from polyscene.nn.pairs import Pairs, Touched
from polyscene.testing.worlds import ask, noise


def network(**settings):
    touched = Touched.of(noise())
    return touched, Network(LightGcn(dim=4, **settings), touched, torch.Generator().manual_seed(0))


def final_vectors(touched, first, layers):
    """(U + R, D) by dense products, as the paper writes them."""
    cells = touched.cells.toarray()
    users, items = cells.shape
    whole = np.zeros((users + items, users + items))
    whole[:users, users:], whole[users:, :users] = cells, cells.T
    degrees = np.maximum(whole.sum(1), 1)
    step = whole / np.sqrt(np.outer(degrees, degrees))
    found = [first]
    for _ in range(layers):
        found.append(step @ found[-1])
    return np.mean(found, axis=0)


def test_users_and_items_are_the_mean_of_their_layers():
    touched, net = network(layers=3)
    users = len(touched.users)
    expected = final_vectors(touched, net.first.detach().numpy().astype(np.float64), 3)
    part = net.part()
    np.testing.assert_allclose(part.items, expected[users:], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(part.query_vectors(ask(noise())), expected[:users], rtol=1e-4, atol=1e-6)


def test_the_loss_is_bpr_between_final_vectors():
    touched, net = network(layers=2, negatives=2)
    (batch, *_) = Pairs(
        touched.cells, batch_size=20, negatives=2, seed=0, device=torch.device("cpu")
    ).epoch(0)
    final = torch.from_numpy(final_vectors(touched, net.first.detach().numpy(), 2)).float()
    users, items = final[batch.users], final[len(touched.users) :]
    right = (users * items[batch.items]).sum(1, keepdim=True)
    wrong = torch.einsum("nd,nkd->nk", users, items[batch.others])
    torch.testing.assert_close(net.loss(batch), -torch.log(torch.sigmoid(right - wrong)).mean())
