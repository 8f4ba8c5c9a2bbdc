"""The parts of language networks against slow, obvious forms and published figures."""

import numpy as np
import pytest
import torch

from polyscene.core.arrays import Ragged
from polyscene.features import minilm
from polyscene.nn.bert import Bert, Shape
from polyscene.nn.causal import Causal
from polyscene.nn.layers import Shape as TrunkShape
from polyscene.nn.lessons import MASKED, Events, Judged, Reading, slate_loss
from polyscene.nn.tokens import Marks, Packer, Pairs, Tokens

MARKS = Marks(pad=0, begin=2, end=3, mask=4)
CPU = torch.device("cpu")


def pairs() -> Pairs:
    firsts = Ragged.of([[10, 11, 12, 13, 14, 15], []], np.int64)
    seconds = Ragged.of([[20, 21], [22], [23, 24, 25, 26, 27]], np.int64)
    return Pairs(firsts, seconds, np.array([0, 1, 0]))


def test_pairs_are_packed_and_the_oldest_is_cut() -> None:
    tokens = Packer(MARKS, 10)(pairs(), CPU)
    assert tokens.pieces.tolist() == [
        [2, 11, 12, 13, 14, 15, 3, 20, 21, 3],
        [2, 3, 22, 3, 0, 0, 0, 0, 0, 0],
        [2, 13, 14, 15, 3, 23, 24, 25, 26, 3],
    ]
    assert tokens.segments[1].tolist() == [0, 0, 1, 1, 0, 0, 0, 0, 0, 0]
    assert tokens.real.sum(1).tolist() == Packer(MARKS, 10).lengths(pairs()).tolist() == [10, 4, 10]


def test_the_published_encoder_gives_the_published_vectors() -> None:
    """Printed by transformers 5.23.0 for the pair "toy story", "animation, children's"."""
    pytest.importorskip(minilm.PACKAGE)
    words, bert = minilm.minilm(6, 64, 0.1, torch.Generator())
    packer = Packer(Marks(*(words.mark(name) for name in ("[PAD]", "[CLS]", "[SEP]", "[MASK]"))), 64)
    one = Pairs(
        Ragged.of([words("Toy Story")], np.int64),
        Ragged.of([words("Animation, Children's")], np.int64),
        np.zeros(1, np.int64),
    )
    tokens = packer(one, CPU)
    assert tokens.pieces.tolist() == [[101, 9121, 2466, 102, 7284, 1010, 2336, 1005, 1055, 102]]
    with torch.inference_mode():
        hidden_BLD = bert.eval()(tokens)
        pooled_BD = bert.pooled(hidden_BLD)
    expected = [-0.0751115307, -0.0777448788, 0.6370035409, -0.2399860322]
    np.testing.assert_allclose(hidden_BLD[0, 0, :4].numpy(), expected, atol=1e-5)
    expected = [-0.0198256671, 0.0250001568, 0.0258743703, 0.0806495696]
    np.testing.assert_allclose(pooled_BD[0, :4].numpy(), expected, atol=1e-5)


def test_padding_changes_nothing() -> None:
    chance = torch.Generator().manual_seed(0)
    packer = Packer(MARKS, 12)
    bert = Bert(Shape(30, 8, 2, 2, 16, 12), chance).eval()
    causal = Causal(30, 12, TrunkShape(8, 2, 2), chance).eval()
    together, alone = packer(pairs(), CPU), packer(pairs().take(np.array([1])), CPU)
    with torch.inference_mode():
        torch.testing.assert_close(bert(together)[1, :4], bert(alone)[0])
        told_P, row_P = causal(together)
        torch.testing.assert_close(told_P[row_P == 1], causal(alone)[0])


def test_likelihoods_are_those_of_the_pieces_that_follow() -> None:
    chance = torch.Generator().manual_seed(0)
    causal = Causal(30, 12, TrunkShape(8, 1, 2), chance).eval()
    row = Tokens(
        *(torch.tensor([each]) for each in ([2, 10, 3, 20, 21, 3], [0, 0, 0, 1, 1, 1], [True] * 6))
    )
    with torch.inference_mode():
        told_P, _ = causal(row, second=True)
        slow = []
        for place in (3, 4, 5):
            hidden_LD = causal.trunk((causal.pieces[row.pieces[0, :place]] + causal.places[:place])[None])[
                0
            ]
            slow.append((hidden_LD[-1] @ causal.pieces.mT).log_softmax(0)[row.pieces[0, place]])
    torch.testing.assert_close(told_P, torch.stack(slow))


def test_the_loss_of_slates_is_that_of_each_alone() -> None:
    chance = torch.Generator().manual_seed(0)
    scores_N = torch.randn(7, generator=chance) * 50
    labels_N = torch.tensor([0.0, 1, 0, 1, 1, 0, 0])
    slate = torch.tensor([0, 0, 0, 1, 1, 1, 1])
    tokens = Packer(MARKS, 12)(pairs(), CPU)
    slow = [
        -(labels / labels.sum() * scores.log_softmax(0)).sum()
        for labels, scores in ((labels_N[:3], scores_N[:3]), (labels_N[3:], scores_N[3:]))
    ]
    torch.testing.assert_close(slate_loss(scores_N, Judged(tokens, labels_N, slate)), sum(slow) / 2)


def reading(*, strangers: bool = True) -> Reading:
    """Two histories of 50 items; item i is told by the one piece 10 + i."""
    texts = Ragged.of([[10 + row] for row in range(50)], np.int64)
    items = np.tile(np.arange(50), 2)
    starts = np.repeat([0, 50], 50)
    events = Events(texts, items[:, None], starts)
    return Reading(events, items, Packer(MARKS, 16), 1_000, 3, 20, 0, CPU, strangers)


def test_reading_hides_some_pieces_and_swaps_some_second_texts() -> None:
    lessons = reading()
    batches = list(lessons.epoch(0))
    assert len(batches) == lessons.steps == 5
    holes = words = hidden = 0
    for batch in batches:
        plain, holed = batch.plain.pieces, batch.tokens.pieces
        assert torch.equal(plain.view(-1)[batch.places], batch.wanted)
        touched = (plain != holed).view(-1).nonzero()[:, 0]
        assert torch.isin(touched, batch.places).all()
        holes, words = holes + len(batch.places), words + int((plain >= 10).sum())
        hidden += int((holed == MARKS.mask).sum())
        for row, follows in zip(plain.tolist(), batch.follows.tolist(), strict=True):
            told = [piece for piece in row if piece >= 10]
            past, came = told[:-1], told[-1]
            assert past == list(range(past[0], past[0] + len(past)))
            assert came == past[-1] + 1 or not follows
    assert abs(holes / words - MASKED) < 0.05
    assert 0.6 < hidden / holes < 0.95
    assert 0.35 < float(torch.cat([batch.follows for batch in batches]).mean()) < 0.65
    again = next(iter(reading().epoch(0)))
    assert torch.equal(again.tokens.pieces, batches[0].tokens.pieces)
    assert not torch.equal(next(iter(reading().epoch(1))).tokens.pieces, batches[0].tokens.pieces)
    faithful = list(reading(strangers=False).epoch(0))
    assert all(batch.follows.all() for batch in faithful)
