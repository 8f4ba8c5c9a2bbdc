import numpy as np
import pytest
import torch
from scipy import sparse

from polyscene.nn.graph import Spread, averaging, balanced, rows_of

CPU = torch.device("cpu")


def random_links(rows=9, columns=6, seed=0):
    return sparse.random(rows, columns, 0.3, format="csr", dtype=np.float32, random_state=seed)


def test_a_spread_and_its_gradient_are_those_of_the_dense_product():
    links = random_links()
    dense = torch.from_numpy(links.toarray())
    x = torch.randn(6, 4, generator=torch.Generator().manual_seed(0), requires_grad=True)
    weight = torch.randn(9, 4, generator=torch.Generator().manual_seed(1))
    (found,) = torch.autograd.grad((Spread(links, CPU)(x) * weight).sum(), x)
    (expected,) = torch.autograd.grad((dense @ x * weight).sum(), x)
    torch.testing.assert_close(Spread(links, CPU)(x), dense @ x)
    torch.testing.assert_close(found, expected)


@pytest.mark.parametrize("shape", [(0, 0), (0, 3), (3, 0), (3, 2)])
def test_no_links_bring_nothing(shape):
    x = torch.ones(shape[1], 2, requires_grad=True)
    out = Spread(sparse.csr_matrix(shape, dtype=np.float32), CPU)(x)
    out.sum().backward()
    assert out.shape == (shape[0], 2)
    assert not out.any()
    assert not x.grad.any()


def test_balanced_links_are_the_symmetric_normalisation():
    touched = sparse.csr_matrix((random_links() > 0).astype(np.float32))
    whole = np.block([[np.zeros((9, 9)), touched.toarray()], [touched.toarray().T, np.zeros((6, 6))]])
    degrees = np.maximum(whole.sum(1), 1)
    np.testing.assert_allclose(
        balanced(touched).toarray(), whole / np.sqrt(np.outer(degrees, degrees)), rtol=1e-6
    )


def test_averaging_rows_sum_to_one_or_are_empty():
    links = random_links()
    sums = np.asarray(averaging(links).sum(axis=1))
    np.testing.assert_allclose(np.ravel(sums), np.diff(links.indptr) > 0, rtol=1e-6)
    assert len(rows_of(links)) == links.nnz
