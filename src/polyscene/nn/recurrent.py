"""Recurrent layers whose first weights come from a generator of ours."""

from typing import Literal

import torch
from torch import nn

CellKind = Literal["gru", "lstm"]


def recurrent(
    kind: CellKind, inputs: int, hidden: int, layers: int, chance: torch.Generator
) -> nn.GRU | nn.LSTM:
    """Torch's own recurrent layers over (B, L, `inputs`), batch first; (B, L, `hidden`) states come out.

    First weights are Glorot-uniform toward the gates and orthogonal between states, biases zero but for
    those of the LSTM's forget gate, 1.

    Source: Hochreiter and Schmidhuber 1997, Cho et al. 2014; the forget bias after Jozefowicz et al. 2015.
    """
    made = nn.GRU if kind == "gru" else nn.LSTM
    layer = made(inputs, hidden, layers, batch_first=True, device="meta").to_empty(device=chance.device)
    for name, weights in layer.named_parameters():
        if name.startswith("bias"):
            nn.init.zeros_(weights)
            if kind == "lstm" and name.startswith("bias_ih"):
                weights.data[hidden : 2 * hidden] = 1.0
            continue
        for gate in weights.data.chunk(len(weights) // hidden):
            first = nn.init.orthogonal_ if name.startswith("weight_hh") else nn.init.xavier_uniform_
            first(gate, generator=chance)
    return layer
