"""The item table: ids alone without content, content alone for new items, chance from one generator."""

import numpy as np
import torch

from polyscene.nn.content import ItemTable
from polyscene.nn.layers import table
from polyscene.nn.weights import put_tensors, tensors_of

CONTENT_RC = torch.randn(50, 6, generator=torch.Generator().manual_seed(3))


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def built(id_dropout=0.0, seed=0):
    """A table whose every parameter says something."""
    items = ItemTable(50, 4, chance(seed), CONTENT_RC, id_dropout)
    for place, parameter in enumerate(items.parameters()):
        parameter.data.normal_(generator=chance(10 + place))
    return items


def test_without_content_it_is_the_id_table():
    items = ItemTable(50, 4, chance(), None, 0.5)
    assert list(tensors_of(items)) == ["ids"]
    torch.testing.assert_close(items(), table(50, 4, chance()))
    assert not items.cold(CONTENT_RC).any()
    assert items.cold(CONTENT_RC).shape == (50, 4)


def test_training_starts_as_ids_only():
    items = ItemTable(50, 4, chance(), CONTENT_RC)
    torch.testing.assert_close(items(), items.ids)


def test_an_item_is_its_id_and_its_content_and_a_new_one_the_unknown_id_and_its_content():
    items = built()
    content_RD = items.cold(CONTENT_RC) - items.unknown
    torch.testing.assert_close(items(), items.ids + content_RD)
    alone = items.cold(CONTENT_RC[7:8])
    torch.testing.assert_close(alone, items.cold(CONTENT_RC)[7:8])


def test_a_row_without_its_id_is_what_a_new_item_would_be():
    items = built(0.4).train()
    whole, new = items.eval()(), items.cold(CONTENT_RC)
    items.train()
    shares = []
    for _ in range(40):
        rows = items()
        dropped = (rows == new).all(1)
        torch.testing.assert_close(rows[~dropped], whole[~dropped])
        shares.append(dropped.float().mean().item())
    assert len(set(shares)) > 1
    assert abs(np.mean(shares) - 0.4) < 0.05
    assert not (items.eval()() == new).all(1).any(), "nothing is dropped outside training"


def test_equal_seeds_drop_equal_rows():
    left, right, other = built(0.5).train(), built(0.5).train(), built(0.5, seed=1).train()
    assert torch.equal(left(), right())
    assert torch.equal(left(), right())
    assert not torch.equal(left(), other())


def test_gradients_reach_ids_content_and_the_unknown_id():
    items = built(0.5).train()
    items().square().sum().backward()
    assert all(parameter.grad.any() for parameter in items.parameters())


def test_weights_survive_saving_and_content_is_not_among_them():
    items = built()
    saved = tensors_of(items)
    assert sorted(saved) == ["hidden.bias", "hidden.weight", "ids", "output.weight", "unknown"]
    loaded = ItemTable(50, 4, chance(5), CONTENT_RC)
    put_tensors(loaded, saved)
    torch.testing.assert_close(loaded(), items())
    assert not items.state_dict().keys() & {"content"}
