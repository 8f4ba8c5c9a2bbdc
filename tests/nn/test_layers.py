import pytest
import torch

from polyscene.nn.layers import Dropout, SelfAttention, Shape, Trunk, linear, table


def chance(seed=0):
    return torch.Generator().manual_seed(seed)


def inputs(B=3, L=6, D=8):
    return torch.randn(B, L, D, generator=chance(5))


def trunk(block="ligr", heads=2, dropout=0.0, relative=False):
    reach, buckets = (4, 5) if relative else (0, 0)
    model = Trunk(Shape(8, 2, heads, block, dropout, reach, buckets), chance())
    for name, each in model.named_parameters():
        if "relative" in name:
            each.data.normal_(generator=chance(2))
    return model


def clock(B=3, L=6):
    return torch.randint(5, (B, L, L), generator=chance(4))


@pytest.mark.parametrize("block", ["ligr", "hstu", "sasrec"])
@pytest.mark.parametrize("heads", [1, 2, 4])
@pytest.mark.parametrize("relative", [False, True])
def test_last_position_alone_equals_the_full_pass(block, heads, relative):
    model, last = trunk(block, heads, relative=relative), torch.tensor([5, 0, 3])
    full = model(inputs(), None, clock())[torch.arange(3), last]
    torch.testing.assert_close(model(inputs(), last, clock()), full)


@pytest.mark.parametrize("block", ["ligr", "hstu", "sasrec"])
def test_padding_on_the_right_changes_nothing(block):
    model, x = trunk(block, relative=True), inputs()
    longer = torch.cat([x, torch.full((3, 2, 8), 9.0)], 1)
    later = torch.nn.functional.pad(clock(), (0, 2, 0, 2), value=1)
    torch.testing.assert_close(model(longer, None, later)[:, :6], model(x, None, clock()))
    last = torch.tensor([5, 5, 5])
    torch.testing.assert_close(model(longer, last, later), model(x, last, clock()))


@pytest.mark.parametrize("block", ["ligr", "hstu", "sasrec"])
def test_the_future_is_not_seen(block):
    model, x = trunk(block, relative=True), inputs()
    before = model(x, None, clock())
    x[:, 4:] += 1
    torch.testing.assert_close(model(x, None, clock())[:, :4], before[:, :4])


@pytest.mark.parametrize("block", ["ligr", "sasrec"])
def test_biases_matter_by_distance_and_by_time(block):
    model, plain = trunk(block, relative=True), trunk(block)
    plain.load_state_dict(model.state_dict(), strict=False)
    assert not torch.allclose(model(inputs(), None, clock()), plain(inputs()))
    assert not torch.allclose(model(inputs(), None, clock()), model(inputs(), None, clock() * 0))


@pytest.mark.parametrize("block", ["ligr", "hstu", "sasrec"])
def test_every_weight_gets_a_gradient(block):
    model = trunk(block, relative=True)
    # A plain sum would be constant: the final norm takes the mean away.
    (model(inputs(), None, clock()) ** 3).sum().backward()
    assert [name for name, each in model.named_parameters() if not each.grad.any()] == []


def test_attention_agrees_with_torchs_multi_head_layer():
    ours, theirs = (
        SelfAttention(Shape(8, 1, 2), chance()),
        torch.nn.MultiheadAttention(8, 2, batch_first=True),
    )
    theirs.in_proj_weight.data.copy_(ours.inputs.weight)
    theirs.in_proj_bias.data.copy_(ours.inputs.bias)
    theirs.out_proj.weight.data.copy_(ours.output.weight)
    theirs.out_proj.bias.data.copy_(ours.output.bias)
    future = torch.ones(6, 6, dtype=torch.bool).triu(1)
    expected, _ = theirs(inputs(), inputs(), inputs(), attn_mask=future)
    torch.testing.assert_close(ours(inputs()), expected)


def test_equal_seeds_give_equal_layers():
    left, right, other = linear(4, 3, chance(1)), linear(4, 3, chance(1)), linear(4, 3, chance(2))
    assert torch.equal(left.weight, right.weight)
    assert not torch.equal(left.weight, other.weight)
    assert not left.bias.any()
    assert torch.equal(table(4, 3, chance(1)), table(4, 3, chance(1)))


def test_building_layers_leaves_the_global_stream_alone():
    torch.manual_seed(3)
    expected = torch.rand(2)
    torch.manual_seed(3)
    trunk()(inputs())
    assert torch.equal(torch.rand(2), expected)


@pytest.mark.parametrize("share", [0.1, 0.2, 0.5, 0.999])
def test_dropout_keeps_the_mean_and_drops_its_share(share):
    drop, ones = Dropout(share, chance()), torch.ones(401, 1003)
    kept = drop(ones)
    assert (kept == 0).float().mean() == pytest.approx(share, abs=0.005)
    assert kept.mean() == pytest.approx(1, abs=0.01 if share < 0.9 else 0.2)


def test_dropout_is_uniform_within_a_draw():
    # Eight values share one 64-bit draw: each of the eight must be dropped equally often.
    zero = Dropout(0.5, chance())(torch.ones(80_000)).view(-1, 8) == 0
    assert (zero.float().mean(0) - 0.5).abs().max() < 0.02


def test_dropout_passes_everything_when_not_training():
    assert torch.equal(Dropout(0.5, chance()).eval()(inputs()), inputs())
    assert torch.equal(Dropout(0.0, chance())(inputs()), inputs())


def test_dropout_repeats_with_its_seed():
    left, right = Dropout(0.5, chance(1)), Dropout(0.5, chance(1))
    assert torch.equal(left(inputs()), right(inputs()))
    assert not torch.equal(left(inputs()), Dropout(0.5, chance(1))(inputs()))
