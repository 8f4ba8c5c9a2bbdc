"""A network that writes the id of the next item code by code, and its loss.

Legend: B sequences, L positions, D width, N targets, R item rows, C levels of an id, K codes a level.
"""

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from polyscene.core.arrays import Codes, spans
from polyscene.nn.batching import Padded
from polyscene.nn.beam import Trie
from polyscene.nn.layers import Shape, Trunk, table

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Sizes:
    """Of the tables of a `Generator`; `items`: how many items have a vector of their own in the input."""

    levels: int
    codes: int
    items: int
    max_len: int


class Generator(nn.Module):
    """Events go in as the sum of their codes' vectors; the next item comes out as codes, first to last.

    A causal trunk reads one summed vector an event instead of C tokens, so its sequences are C times
    shorter; what it expects next heads a second causal trunk, over the codes of one item.
    """

    def __init__(self, sizes: Sizes, reader: Shape, writer: Shape, chance: torch.Generator) -> None:
        super().__init__()
        self.sizes, dim = sizes, reader.dim
        self.codes = table(sizes.levels * sizes.codes, dim, chance)
        self.outputs = table(sizes.levels * sizes.codes, dim, chance)
        self.items = table(sizes.items, dim, chance)
        self.positions = table(sizes.max_len, dim, chance)
        self.places = table(sizes.levels, dim, chance)
        self.reader, self.writer = Trunk(reader, chance), Trunk(writer, chance)

    def read(self, sequences: Padded, tokens_RC: Tensor, *, newest: bool = False) -> Tensor:
        """(B, L, D) what each position expects next; (B, D) at the newest event only if `newest`.

        Rows at and above ``sizes.items`` have no vector of their own, only those of their codes.
        """
        x_BLD = self.codes[tokens_RC[sequences.rows]].sum(2) + self.positions[sequences.ages]
        if len(self.items):
            old_BL = sequences.rows < len(self.items)
            own_BLD = self.items[sequences.rows.clamp_max(len(self.items) - 1)]
            x_BLD = x_BLD + own_BLD * old_BL[..., None]
        output: Tensor = self.reader(x_BLD * self.codes.shape[1] ** 0.5, sequences.last if newest else None)
        return output

    def write(self, hidden_ND: Tensor, tokens_NC: Tensor) -> Tensor:
        """(N, c + 1, D) the decoder's states after an expectation and each of c tokens written so far."""
        written = self.codes[tokens_NC] * self.codes.shape[1] ** 0.5
        x = torch.cat([hidden_ND[:, None], written], 1) + self.places[: tokens_NC.shape[1] + 1]
        output: Tensor = self.writer(x)
        return output

    def logits(self, states_ND: Tensor, level: int) -> Tensor:
        """(N, K) of the code at a level."""
        K = self.sizes.codes
        return states_ND @ self.outputs[level * K : (level + 1) * K].mT


def tokens_of(ids_RC: Codes, codes: int) -> Ints:
    """(R, C) rows of the token tables; ordinals at and above `codes` share the last row of their level."""
    capped_RC = np.minimum(ids_RC, codes - 1).astype(np.int64)
    return capped_RC + np.arange(ids_RC.shape[1]) * codes


class CodeLoss:
    """Cross-entropy of the target's codes, each among the codes that existing items have at that point."""

    def __init__(self, ids_RC: Codes, codes: int, smoothing: float, device: torch.device) -> None:
        self.tokens_RC = torch.from_numpy(tokens_of(ids_RC, codes)).to(device)
        self.smoothing, self.K, self.device = smoothing, codes, device
        self.trie = Trie.of(ids_RC)
        place_R = np.argsort(self.trie.items)
        self.nodes = [np.searchsorted(starts, place_R, side="right") - 1 for starts in self.trie.starts]

    def __call__(self, network: Generator, hidden_ND: Tensor, targets_N: Tensor) -> Tensor:
        """Mean over targets of the sum over levels."""
        tokens_NC = self.tokens_RC[targets_N]
        states_NCD = network.write(hidden_ND, tokens_NC[:, :-1])
        rows_N = targets_N.cpu().numpy()
        total = states_NCD.sum() * 0  # a loss even where no code is left to choose
        for level in range(tokens_NC.shape[1]):
            parent_N = self.nodes[level][rows_N]
            counts_N = self.trie.children[level][parent_N + 1] - self.trie.children[level][parent_N]
            split_n = np.flatnonzero(counts_N > 1)
            if not len(split_n):
                continue
            closed_nK = self._closed(level, parent_N[split_n], counts_N[split_n])
            picked_n = torch.from_numpy(split_n).to(self.device)
            logits_nK = network.logits(states_NCD[picked_n, level], level)
            target_n1 = (tokens_NC[picked_n, level] - level * self.K)[:, None]
            total = total + self._cross_entropy(logits_nK, closed_nK, target_n1)
        return total / len(targets_N)

    def _closed(self, level: int, parent_n: Ints, counts_n: Ints) -> Tensor:
        """(n, K) True for codes that no item has below the parent."""
        child = spans(self.trie.children[level][parent_n], counts_n)
        code = np.minimum(self.trie.ids[self.trie.starts[level + 1][child], level], self.K - 1)
        closed_nK = np.ones((len(parent_n), self.K), bool)
        closed_nK[np.repeat(np.arange(len(parent_n)), counts_n), code] = False
        return torch.from_numpy(closed_nK).to(self.device)

    def _cross_entropy(self, logits_nK: Tensor, closed_nK: Tensor, target_n1: Tensor) -> Tensor:
        log_nK = logits_nK.masked_fill(closed_nK, -torch.inf).log_softmax(1)
        loss = -log_nK.gather(1, target_n1).sum()
        if self.smoothing:
            even_n = log_nK.masked_fill(closed_nK, 0).sum(1) / (~closed_nK).sum(1)
            loss = (1 - self.smoothing) * loss - self.smoothing * even_n.sum()
        return loss
