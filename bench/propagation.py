"""CPU milliseconds of one step along the links between users and items, by every way torch and SciPy have.

MovieLens 1M's ratings of 3 and more, both ways, 64 wide, on one core; all variants in turn, `--rounds`
times; the least counts, as a busy machine only adds.

    python -m bench.propagation
"""

import argparse
import time
import warnings

import numpy as np
import torch
from scipy import sparse

from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.encode import encode
from polyscene.dataset.load import load_tables
from polyscene.nn.graph import Spread, balanced, rows_of
from polyscene.nn.pairs import Touched

DIM = 64


def variants(links: sparse.csr_matrix, x: torch.Tensor, users: int):
    plain = x.numpy()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch calls its CSR layout a beta
        whole = torch.sparse_csr_tensor(
            *(torch.from_numpy(each) for each in (links.indptr, links.indices, links.data)),
            size=links.shape,
        )
    half = torch.from_numpy(links[:users, users:].toarray())
    columns, rows = torch.from_numpy(links.indices.astype(np.int64)), torch.from_numpy(rows_of(links))
    weights = torch.from_numpy(links.data)[:, None]
    spread = Spread(links, x.device)
    return {
        "bags (ours)": lambda: spread(x),
        "torch CSR": lambda: whole @ x,
        "SciPy CSR": lambda: links @ plain,
        "dense halves": lambda: (half @ x[users:], half.mT @ x[:users]),
        "gather and add": lambda: torch.zeros_like(x).index_add_(0, rows, x[columns] * weights),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    rounds = parser.parse_args().rounds
    torch.set_num_threads(1)
    data = encode(load_tables("ml-1m", rules=CleaningRules(min_value=3)), only_touched=True).data
    touched = Touched.of(data)
    links = balanced(touched.cells)
    x = torch.randn(links.shape[0], DIM, generator=torch.Generator().manual_seed(0))
    ways = variants(links, x, len(touched.users))
    spent: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(rounds):
        for name, step in ways.items():
            began = time.process_time()
            step()
            spent[name].append((time.process_time() - began) * 1e3)
    print(f"{links.nnz:,} links, {links.shape[0]:,} vectors of {DIM}")
    for name, each in spent.items():
        print(f"{name:16s} {min(each):8.1f} ms")


if __name__ == "__main__":
    main()
