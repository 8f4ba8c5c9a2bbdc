"""What every network over histories owes its part, and how far each sees."""

import pytest
import torch

from polyscene.core.config import fill, find
from polyscene.models.table import KINDS
from polyscene.nn.batching import Padded

CPU = torch.device("cpu")
CAUSAL = {
    "sasrec": {},
    "gru4rec": {"hidden": 6, "layers": 2},
    "lstm": {"hidden": 6},
    "caser": {"window": 3},
    "nextitnet": {"dilations": (1, 2)},
    "hstu": {"clock": "order"},
}


def network_of(kind, rows=20, **settings):
    cls = find(KINDS, kind, kind)
    config = fill(cls, {"dim": 8, "max_len": 16, "dropout": 0.0, **settings}, kind)
    module = __import__(cls.__module__, fromlist=["Network"])
    network = module.Network(config, rows, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for each in network.parameters():
            each.add_(torch.randn(each.shape, generator=torch.Generator().manual_seed(1)) * 0.3)
    return network


def padded(*lists):
    values = torch.tensor([row for each in lists for row in each]).numpy()
    lengths = torch.tensor([len(each) for each in lists]).numpy()
    return Padded.of(values, lengths.cumsum() - lengths, lengths, CPU)


@pytest.mark.parametrize("kind", [each for each in CAUSAL if each not in ("sasrec", "hstu")])
def test_a_position_sees_what_a_shorter_history_shows(kind):
    network = network_of(kind, **CAUSAL[kind])
    rows = [3, 7, 1, 1, 12, 5, 9]
    every = network(padded(rows))[0]
    for length in range(1, 8):
        alone = network(padded(rows[:length]), newest=True)[0]
        torch.testing.assert_close(alone, every[length - 1], rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", list(CAUSAL))
def test_no_position_sees_what_comes_later(kind):
    network = network_of(kind, **CAUSAL[kind])
    before, after = network(padded([3, 7, 1, 4], [3, 7, 1, 18]))
    torch.testing.assert_close(before[:3], after[:3])
    assert not torch.allclose(before[3], after[3])


@pytest.mark.parametrize("kind", [*CAUSAL, "bert4rec"])
def test_neighbours_in_a_batch_change_nothing(kind):
    network = network_of(kind, **CAUSAL.get(kind, {}))
    together = network(padded([3, 7], [1, 2, 3, 4, 5, 6], [9]), newest=True)
    for row, alone in enumerate(([3, 7], [1, 2, 3, 4, 5, 6], [9])):
        torch.testing.assert_close(
            together[row], network(padded(alone), newest=True)[0], rtol=1e-4, atol=1e-5
        )


@pytest.mark.parametrize(
    ("kind", "settings", "sees"),
    [
        ("caser", {"window": 3}, 3),
        ("nextitnet", {"width": 2, "dilations": (1,)}, 4),
        ("nextitnet", {"width": 3, "dilations": (1,)}, 7),
    ],
)
def test_filters_see_as_far_back_as_they_say(kind, settings, sees):
    network = network_of(kind, **settings)
    plain = network(padded(list(range(10))), newest=True)[0]
    for back in range(10):
        rows = list(range(10))
        rows[9 - back] = 15
        changed = not torch.allclose(plain, network(padded(rows), newest=True)[0], atol=1e-6)
        assert changed == (back < sees)


def test_casers_filters_are_plain_convolutions():
    network = network_of("caser", window=4)
    rows = [3, 7, 1, 12, 5]
    image = (network.items[rows[-4:]] * 8**0.5)[None, None]
    found = []
    for height, layer in enumerate(network.horizontal, 1):
        # A filter of ours reads place by place within each dimension; torch wants height, then width.
        kernel = layer.weight.view(-1, 8, height).transpose(1, 2)[:, None]
        found.append(torch.conv2d(image, kernel, layer.bias).relu().amax((2, 3))[0])
    found.append((network.vertical.weight @ image[0, 0]).T.flatten())
    expected = network.output(torch.cat(found)).relu()
    torch.testing.assert_close(network(padded(rows), newest=True)[0], expected, rtol=1e-4, atol=1e-5)
