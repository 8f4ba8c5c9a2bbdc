import numpy as np
import pytest
from scipy import sparse

from polyscene.nn import products
from polyscene.nn.products import product


@pytest.mark.parametrize(
    "shape", [(0, 4, 3), (5, 0, 3), (5, 4, 0), (1, 40, 30), (70, 40, 30), (9, 6, 1100)]
)
@pytest.mark.parametrize("mkl", [True, False])
def test_both_ways_give_the_dense_product(shape, mkl, monkeypatch):
    monkeypatch.setattr(products, "HAS_MKL", mkl and products.HAS_MKL)
    rows, inner, columns = shape
    rng = np.random.default_rng(0)
    left = sparse.csr_matrix(
        (rng.random((rows, inner)) < 0.4) * rng.random((rows, inner)), dtype=np.float32
    )
    right = rng.random((inner, columns), dtype=np.float32)
    found = product(left, right)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found, left.toarray() @ right, rtol=1e-5)
