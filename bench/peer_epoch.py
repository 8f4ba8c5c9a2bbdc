"""What an epoch of SASRec costs here and in RecTools, at equal architecture: CPU seconds of one thread.

Width 64, two blocks, two heads, 100 events, loss over all items. Histories are drawn with MovieLens-1M's
numbers and cut to their newest 101 events, so both learn from the same positions. Of RecTools only the
epoch itself counts; of ours the whole fit. Runs alternate; the median counts.

    python -m venv PEER && PEER/bin/pip install 'rectools[torch]==0.19.0'
    python -m bench.peer_epoch --python PEER/bin/python
"""

import argparse
import statistics
import subprocess
import sys
import time
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np

LENGTH = 100


def read(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    """Offsets (U+1,) and items (N,)."""
    offsets, items = (np.fromfile(folder / column, np.int64) for column in ("offsets", "items"))
    return offsets, items


def ours(folder: Path) -> float:
    from polyscene.core.arrays import RaggedTable
    from polyscene.core.catalogue import Catalogue
    from polyscene.core.contracts import Data, Run
    from polyscene.models.sasrec import SasRec

    offsets, items = read(folder)
    columns = {
        "item": items.astype(np.int32),
        "action": np.zeros(len(items), np.int16),
        "value": np.ones(len(items), np.float32),
        "time": np.arange(len(items), dtype=np.int64),
        "scenario": np.zeros(len(items), np.int16),
    }
    users = np.arange(len(offsets) - 1, dtype=np.int32)
    catalogue = Catalogue.bare(int(items.max()) + 1)
    data = Data(users, RaggedTable(offsets, columns), catalogue, at=len(items), clock=False)
    config = SasRec(block="sasrec", heads=2, max_len=LENGTH, epochs=1)
    began = time.process_time()
    config.fit(data, Run(seed=0, threads=1))
    return time.process_time() - began


def theirs(folder: Path, batch: int) -> float:
    import pandas as pd  # the packages of the peer's own environment
    import pytorch_lightning as lightning
    import torch
    from rectools import Columns
    from rectools.dataset import Dataset
    from rectools.models import SASRecModel

    torch.set_num_threads(1)
    offsets, items = read(folder)
    rows = {
        Columns.User: np.repeat(np.arange(len(offsets) - 1), np.diff(offsets)),
        Columns.Item: items,
        Columns.Weight: 1.0,
        Columns.Datetime: pd.to_datetime(np.arange(len(items)), unit="s"),
    }
    spent: list[float] = []

    class Epoch(lightning.Callback):
        def on_train_epoch_start(self, *_: object) -> None:
            spent.append(-time.process_time())

        def on_train_epoch_end(self, *_: object) -> None:
            spent[-1] += time.process_time()

    def trainer() -> lightning.Trainer:
        return lightning.Trainer(
            max_epochs=1,
            accelerator="cpu",
            callbacks=[Epoch()],
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )

    model = SASRecModel(
        n_blocks=2,
        n_heads=2,
        n_factors=64,
        session_max_len=LENGTH,
        loss="softmax",
        batch_size=batch,
        epochs=1,
        get_trainer_func=trainer,
    )
    model.fit(Dataset.construct(pd.DataFrame(rows)))
    return spent[0]


def measured(python: str, side: str, folder: Path, batch: int) -> float:
    command = [python, __file__, "--side", side, "--folder", str(folder), "--batch", str(batch)]
    answer = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(answer.stdout.split()[-1])


def compare(python: str, rounds: int, batch: int) -> None:
    from bench.train_speed import histories

    drawn = histories()
    lengths = np.minimum(drawn.lengths, LENGTH + 1)
    newest = np.concatenate([drawn[row][-length:] for row, length in enumerate(lengths)])
    with TemporaryDirectory() as name:
        folder = Path(name)
        for column, values in (("offsets", np.concatenate([[0], np.cumsum(lengths)])), ("items", newest)):
            values.astype(np.int64).tofile(folder / column)
        print(f"{len(lengths)} users, {lengths.sum() - len(lengths)} targets\n")
        print("| run | RecTools, CPU s | ours, CPU s | ratio |\n| --- | ---: | ---: | ---: |")
        runs = []
        for number in range(rounds):
            runs.append(
                (measured(python, "theirs", folder, batch), measured(sys.executable, "ours", folder, batch))
            )
            peer, own = runs[-1]
            print(f"| {number + 1} | {peer:.1f} | {own:.1f} | {peer / own:.1f} |", flush=True)
    peer, own = (statistics.median(column) for column in zip(*runs, strict=True))
    print(f"| median | {peer:.1f} | {own:.1f} | {peer / own:.1f} |")


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--python", help="the interpreter that has RecTools")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--batch", type=int, default=128, help="RecTools' sequences a step; 128 is its own")
    parser.add_argument("--side", choices=("ours", "theirs"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.side:
        print(ours(asked.folder) if asked.side == "ours" else theirs(asked.folder, asked.batch))
    elif asked.python:
        compare(asked.python, asked.rounds, asked.batch)
    else:
        parser.error("name the interpreter that has RecTools: --python PEER/bin/python")


if __name__ == "__main__":
    main()
