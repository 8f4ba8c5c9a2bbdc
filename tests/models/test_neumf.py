import numpy as np
import pytest
import torch
from scipy import sparse
from torch.nn.functional import binary_cross_entropy_with_logits, linear

from polyscene.core.contracts import Run
from polyscene.core.errors import BundleError
from polyscene.core.queries import Queries, history_of
from polyscene.models import neumf
from polyscene.models.neumf import Network, Neumf, touches
from polyscene.nn.bags import Bag
from polyscene.testing.worlds import ask, noise

CONFIG = Neumf(dim=3, hidden=(6, 4), negatives=2, epochs=2, batch_size=16)


@pytest.fixture
def network():
    made = Network(CONFIG, 12, torch.Generator().manual_seed(0)).eval()
    with torch.no_grad():
        for weights in made.parameters():
            weights.normal_(std=0.7, generator=made.chance)
    return made


def plain(network, user_E, item_E):
    """The logit as the paper writes it: vectors side by side, layers, then both sides to one number."""
    gmf, user, item = user_E[:3] * item_E[:3], user_E[3:], item_E[3:]
    first = torch.cat([network.user_first.weight, network.item_first.weight], 1)
    hidden = linear(torch.cat([user, item]), first, network.user_first.bias).relu()
    for layer in network.layers.layers:
        hidden = layer(hidden).relu()
    return network.fused(torch.cat([gmf, hidden]))[0]


def made_of(network, items):
    """A user's vector from what they touched."""
    return network.history[items].sum(0) / max(1, len(items)) ** 0.5


def test_blocks_of_all_items_say_what_each_pair_says(network, monkeypatch):
    monkeypatch.setattr(neumf, "BLOCK", (2, 5))
    users = torch.randn(5, 6, generator=network.chance)
    expected = torch.stack([torch.stack([plain(network, u, i) for i in network.items]) for u in users])
    torch.testing.assert_close(network.every(users), expected)
    torch.testing.assert_close(network(users, network.items.expand(5, -1, -1)), expected)


def test_the_loss_is_binary_cross_entropy_written_out(network):
    """With so many draws that every item comes about equally often."""
    seen = sparse.csr_matrix((np.random.default_rng(0).random((6, 12)) < 0.4).astype(np.float32))
    users, negatives = [4, 1], 3000
    found = touches(network, Bag.of(seen, np.array(users), torch.device("cpu")), negatives).item()
    losses, touched = [], 0
    for user in users:
        own = seen[user].indices.tolist()
        whole = made_of(network, own)
        against = [
            binary_cross_entropy_with_logits(plain(network, whole, network.items[item]), torch.tensor(0.0))
            for item in range(12)
            if item not in own
        ]
        for item in own:
            rest = made_of(network, [each for each in own if each != item])
            logit = plain(network, rest, network.items[item])
            losses.append(binary_cross_entropy_with_logits(logit, torch.tensor(1.0)).item())
            losses.append(negatives * sum(against).item() / 12)
            touched += 1
    assert found == pytest.approx(sum(losses) / (touched * (1 + negatives)), rel=0.02)


def test_what_the_user_touched_is_no_negative(network):
    """One user who touched all: whatever is drawn beside an item, only the item itself counts."""
    bag = Bag.of(sparse.csr_matrix(np.ones((1, 12), np.float32)), np.array([0]), torch.device("cpu"))
    rest = [made_of(network, [each for each in range(12) if each != item]) for item in range(12)]
    logits = torch.stack(
        [plain(network, user, item) for user, item in zip(rest, network.items, strict=True)]
    )
    expected = binary_cross_entropy_with_logits(logits, torch.ones(12)).item() / (1 + 8)
    assert touches(network, bag, 8).item() == pytest.approx(expected, rel=1e-4)


def test_a_user_is_what_their_history_says_and_nobody_in_particular():
    data = noise()
    part = CONFIG.fit(data, Run(seed=1, threads=1))
    queries = Queries.of_histories(history_of([[3, 5, 3], [], [29, 1000]]), data.size)
    found = part.score_all(queries)
    net, codes = part.network, part.rows.codes.tolist()
    with torch.no_grad():
        user = made_of(net, [codes.index(3), codes.index(5)])
        expected = torch.stack([plain(net, user, item) for item in net.items]).numpy()
    np.testing.assert_allclose(found[0, codes], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_array_equal(found[1, codes], part.prior)


def test_a_warm_start_goes_on_where_the_older_part_stood():
    data = noise()
    older = CONFIG.fit(data, Run(seed=1, threads=1))
    again = Neumf(dim=3, hidden=(6, 4), epochs=0).fit(data, Run(seed=2, threads=1), older)
    np.testing.assert_array_equal(again.score_all(ask(data)), older.score_all(ask(data)))


def test_a_state_of_another_shape_is_refused():
    state = CONFIG.fit(noise(), Run(threads=1)).state()
    with pytest.raises(BundleError, match="has shape"):
        Neumf(dim=4, hidden=(6, 4)).load(state, Run())
    del state.tensors["prior"]
    with pytest.raises(BundleError, match="'prior' is missing"):
        CONFIG.load(state, Run())
