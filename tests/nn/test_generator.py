import numpy as np
import pytest
import torch

from polyscene.core.arrays import Ragged
from polyscene.nn.batching import Padded
from polyscene.nn.beam import Open, Trie, search
from polyscene.nn.generator import CodeLoss, Generator, Sizes, tokens_of
from polyscene.nn.layers import Shape

IDS = np.array([[0, 0, 0], [0, 0, 1], [0, 2, 0], [1, 1, 0], [2, 0, 0], [2, 0, 1], [2, 0, 5]], np.int32)
CPU = torch.device("cpu")


def network(items=7):
    chance = torch.Generator().manual_seed(0)
    shape = Shape(8, 1)
    model = Generator(Sizes(3, 3, items, 4), shape, shape, chance)
    with torch.no_grad():
        for each in model.parameters():
            each.add_(torch.randn(each.shape, generator=chance) * 0.3)
    return model


def sequences(lists):
    packed = Ragged.of(lists)
    return Padded.of(packed.values, packed.offsets[:-1], packed.lengths, CPU)


def log_likelihood(model, hidden_D, place):
    """Of one id, by the definition: node after node, a softmax over the codes that ids have there."""
    total, tokens = torch.zeros(()), torch.from_numpy(tokens_of(IDS, 3))
    for level in range(3):
        here = (IDS[:, :level] == IDS[place, :level]).all(1)
        state_D = model.write(hidden_D[None], tokens[place : place + 1, :level])[0, -1]
        codes = np.unique(np.minimum(IDS[here, level], 2))
        if len(np.unique(IDS[here, level])) > 1:
            logits = model.logits(state_D, level)
            total = total + logits[min(IDS[place, level], 2)] - logits[codes].logsumexp(0)
    return total


def test_ordinals_beyond_the_table_share_its_last_row():
    assert tokens_of(np.array([[2, 0, 1], [0, 1, 9]]), 3).tolist() == [[2, 3, 7], [0, 4, 8]]


def test_loss_is_the_mean_log_likelihood_of_the_ids():
    model, targets = network(), torch.tensor([0, 3, 5, 2, 1])
    hidden_ND = torch.randn(5, 8, generator=torch.Generator().manual_seed(1))
    loss = CodeLoss(IDS, 3, 0.0, CPU)(model, hidden_ND, targets)
    pairs = zip(hidden_ND, targets.tolist(), strict=True)
    slow = -torch.stack([log_likelihood(model, *each) for each in pairs]).mean()
    torch.testing.assert_close(loss, slow)


def test_smoothing_asks_a_little_of_every_code_that_is_there():
    model, hidden_ND = network(), torch.randn(1, 8, generator=torch.Generator().manual_seed(1))
    plain, smooth = (
        CodeLoss(IDS[[0, 3]], 3, each, CPU)(model, hidden_ND, torch.tensor([0])) for each in (0, 0.2)
    )
    log_K = model.logits(model.write(hidden_ND, torch.zeros(1, 0, dtype=torch.int64))[0, -1], 0)[
        :2
    ].log_softmax(0)
    torch.testing.assert_close(plain, -log_K[0])
    torch.testing.assert_close(smooth, -0.8 * log_K[0] - 0.2 * log_K.mean())


def test_one_id_leaves_nothing_to_choose_but_a_gradient():
    model = network(1)
    loss = CodeLoss(IDS[:1], 3, 0.1, CPU)(
        model, torch.ones(2, 8, requires_grad=True), torch.zeros(2, dtype=torch.int64)
    )
    loss.backward()
    assert loss == 0


def test_search_and_loss_agree_on_probabilities():
    model = network().eval()
    hidden_1D = torch.randn(1, 8, generator=torch.Generator().manual_seed(2))
    ids = IDS[:6]
    trie = Trie.of(ids)

    def logits(query, path):
        states = model.write(hidden_1D[torch.from_numpy(query)], torch.from_numpy(tokens_of(path, 3)))
        return model.logits(states[:, -1], path.shape[1]).numpy()

    with torch.inference_mode():
        open_ = Open.of(np.ones((1, 6), bool), np.zeros(1, np.int64), Ragged.empty(1))
        _, places, scores = search(trie, open_, np.ones(6, bool), logits, np.array([9]))
        loss = CodeLoss(ids, 3, 0.0, CPU)
        losses = [loss(model, hidden_1D, torch.tensor([trie.items[place]])).item() for place in places]
    np.testing.assert_allclose(-scores, losses, atol=1e-5)


def test_padding_and_later_events_change_no_position():
    model, tokens = network().eval(), torch.from_numpy(tokens_of(IDS, 3))
    padded = model.read(sequences([[1, 2], [3, 4, 5, 6]]), tokens)
    torch.testing.assert_close(padded[:1, :2], model.read(sequences([[1, 2]]), tokens))
    newest = model.read(sequences([[1, 2], [3, 4, 5, 6]]), tokens, newest=True)
    torch.testing.assert_close(newest, torch.stack([padded[0, 1], padded[1, 3]]))


@pytest.mark.parametrize("items", [0, 5])
def test_items_without_a_vector_are_read_by_their_codes(items):
    model, tokens = network(items).eval(), torch.from_numpy(tokens_of(IDS, 3))
    left, right = (model.read(sequences([[row]]), torch.cat([tokens, tokens[6:]])) for row in (6, 7))
    torch.testing.assert_close(left, right)
    if items:
        changed = tokens.clone()
        changed[4] = changed[6]
        assert not torch.allclose(model.read(sequences([[4]]), changed), left)


def test_a_code_is_written_given_those_before_it_only():
    model = network().eval()
    hidden_ND, tokens = torch.randn(2, 8), torch.tensor([[1, 3], [1, 5]])
    states = model.write(hidden_ND[:1].expand(2, -1), tokens)
    torch.testing.assert_close(states[0, :2], states[1, :2])
    assert not torch.allclose(states[0, 2], states[1, 2])
