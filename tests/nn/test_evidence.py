import numpy as np
import pytest

from polyscene.core.arrays import Ragged, RaggedTable
from polyscene.core.clock import DAY_MS
from polyscene.lean.evidence import SMOOTHING, USUAL_EVENTS, Evidence
from polyscene.nn.evidence import Counted, usual_weights, weigh

LISTS = [[0, 1, 2, 3], [1, 2, 0], [3, 1, 2], [2, 3, 0, 1], [0, 2]]
COUNT = 5


def table(lists):
    items = Ragged.of(lists, np.int64)
    return RaggedTable(items.offsets, {"row": items.values})


def counted(lists=LISTS, **settings):
    return Counted(**{"lags": 2, "ease_l2": 2.0, **settings}).of(table(lists).ragged("row"), COUNT)


def each_one(items):
    return Ragged(np.arange(len(items) + 1), items.astype(np.int64))


def transitions(lists, lag):
    counts = np.zeros((COUNT, COUNT))
    for each in lists:
        for source, target in zip(each, each[lag:], strict=False):
            counts[source, target] += 1
    return counts


def written_out(evidence, lists):
    """(B, F, R) features by their definition."""
    rows = []
    for each in lists:
        row = [*evidence.popularity]
        for lag in evidence.lags:
            source = np.zeros(COUNT) if len(each) < lag.lag else transitions(LISTS, lag.lag)[each[-lag.lag]]
            row.append(np.log1p(source / (SMOOTHING * np.exp(evidence.popularity[0]))))
        score = evidence.ease[each].sum(0)
        rows.append([*row, score / score.std()])
    return np.array(rows, np.float32)


def counted_later():
    """As of the fit: two half-lives of one day and five."""
    sequences = table(LISTS).ragged("row")
    times = (np.arange(len(sequences.values)) % 7) * DAY_MS
    return Counted(lags=2, ease_l2=2.0, horizon="later", recent_days=(1.0, 5.0)).of(sequences, COUNT, times)


@pytest.mark.parametrize("cells", [1, 40, 10_000])
@pytest.mark.parametrize("of", [counted, counted_later])
def test_what_is_added_equals_features_written_out(cells, of, monkeypatch):
    monkeypatch.setattr("polyscene.lean.evidence.CELLS", cells)
    rng = np.random.default_rng(0)
    evidence = of()
    evidence = evidence.reweighed(rng.normal(size=evidence.weights.shape).astype(np.float32))
    asked = [[2], [], [0, 1], [3, 1, 2, 0]]
    logits = rng.normal(size=(4, COUNT)).astype(np.float32)
    ours = logits.copy()
    evidence.add(ours, table(asked))
    some = [0, 2, 3]
    moves = np.log(np.array([1, 2, 4]) / USUAL_EVENTS)
    gates = evidence.weights[0] + evidence.weights[1] * moves[:, None]
    features = written_out(evidence, [asked[each] for each in some])
    twin = logits[some] * (1 + gates[:, :1]) + (gates[:, 1:, None] * features).sum(1)
    np.testing.assert_allclose(ours[some], twin, rtol=1e-4, atol=1e-4)
    np.testing.assert_array_equal(ours[1], logits[1])
    made = np.concatenate([each for _, each in evidence.features(table(asked))])
    np.testing.assert_allclose(made, features, rtol=1e-4, atol=1e-4)


def test_what_is_of_late_counts_half_for_each_half_life():
    sequences, times = Ragged.of([[0, 1], [1, 2]], np.int64), np.array([0, 3, 3, 4]) * DAY_MS
    evidence = Counted(lags=0, horizon="later", recent_days=(1.0,)).of(sequences, 3, times)
    worth = np.array([0.5**4, 0.5 + 0.5, 1.0])
    worth += 0.1 * worth.mean()
    np.testing.assert_allclose(evidence.popularity[1], np.log(worth / worth.sum()), rtol=1e-5)
    assert len(Counted(horizon="later").of(sequences, 3).popularity) == 1  # no times, no "of late"


def test_every_history_counts_alike_whatever_number_of_targets_it_has():
    evidence, past = counted(lags=0, ease_items=0), table([[0], [0], [0]])
    logits = np.random.default_rng(0).normal(size=(3, COUNT)).astype(np.float32)
    thrice, once = (Ragged.of([wanted, [2], [2, 3]], np.int64) for wanted in ([1, 1, 1], [1]))
    alike = weigh(evidence, logits.copy(), past, thrice)
    np.testing.assert_allclose(alike, weigh(evidence, logits.copy(), past, once), atol=1e-4)
    assert np.abs(alike).max() > 0.01


def test_nothing_is_weighed_before_it_was_tried():
    logits = np.ones((2, COUNT), np.float32)
    counted().add(logits, table([[1], [2, 3]]))
    assert (logits == 1).all()


def follows(users=400, seed=0):
    """Histories whose next item follows from the newest: item + 1, or chance in a fifth of them."""
    rng = np.random.default_rng(seed)
    start = rng.integers(COUNT, size=users)
    elsewhere = (start + 2 + rng.integers(3, size=users)) % COUNT
    after = np.where(rng.random(users) < 0.8, (start + 1) % COUNT, elsewhere)
    return start, after


def say(weighed):
    """What the network counts beyond 1 after a single event."""
    return weighed.weights[0, 0] + weighed.weights[1, 0] * np.log(1 / USUAL_EVENTS)


def test_evidence_weighs_what_it_is_worth_and_a_false_network_nothing():
    start, after = follows()
    known, asked = slice(0, 200), slice(200, 400)
    lists = np.stack([start, after], 1)
    evidence = counted(lists[known].tolist(), lags=1, ease_items=0)
    rng = np.random.default_rng(1)
    noise = (3 * rng.normal(size=(200, COUNT))).astype(np.float32)
    past = table(start[asked, None].tolist())
    weighed = evidence.reweighed(weigh(evidence, noise.copy(), past, each_one(after[asked])))
    assert abs(1 + say(weighed)) < 0.2
    scores = noise.copy()
    weighed.add(scores, past)
    right = (scores.argmax(1) == after[asked]).mean()
    assert right > 0.7
    assert (noise.argmax(1) == after[asked]).mean() < 0.4


def test_a_network_that_knows_all_keeps_its_say():
    start, after = follows()
    past = table(start[:, None].tolist())
    sure = np.full((400, COUNT), -2.0, np.float32)
    sure[np.arange(400), after] = 2.0
    evidence = counted(np.stack([start, after], 1).tolist(), lags=1, ease_items=0)
    weighed = evidence.reweighed(weigh(evidence, sure, past, each_one(after)))
    assert say(weighed) > 0


def test_items_of_the_history_are_no_candidates_unless_users_come_back():
    """The network is sure of what is in the history: no fault where nobody returns."""
    start, after = follows()
    past = table(start[:, None].tolist())
    logits = np.zeros((400, COUNT), np.float32)
    logits[np.arange(400), start] = 9.0
    logits[np.arange(400), after] = 3.0
    evidence = counted(np.stack([start, after], 1).tolist(), lags=0, ease_items=0)
    apart = say(evidence.reweighed(weigh(evidence, logits.copy(), past, each_one(after))))
    back = np.where(np.arange(400) == 0, start, after)
    together = say(evidence.reweighed(weigh(evidence, logits.copy(), past, each_one(back))))
    assert apart > 0
    assert together < apart


def test_no_linear_model_above_the_bound():
    evidence = counted(ease_items=COUNT - 1)
    assert evidence.ease is None
    assert evidence.weights.shape == usual_weights(evidence).shape == (2, 4)
    assert usual_weights(counted())[0, -1] > 0


def test_of_each_row_of_the_linear_model_the_largest_weights_are_kept():
    whole, thin, past = counted(), counted(ease_links=2), table([[0], [1, 3], [2, 2, 4]])
    smallest = np.argsort(np.abs(whole.ease), axis=1)[:, : COUNT - 2]
    np.put_along_axis(whole.ease, smallest, 0, 1)
    assert thin.tensors()["evidence.ease:values"].shape == (COUNT, 2)
    for (_, expected), (_, found) in zip(whole.features(past), thin.features(past), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)


def test_of_nothing_no_weights_are_kept():
    evidence = Counted(ease_links=2).of(table([]).ragged("row"), 0)
    assert evidence.ease.columns.shape == evidence.ease.values.shape == (0, 0)


@pytest.mark.parametrize("of", [counted, counted_later, lambda: counted(ease_links=3)])
def test_evidence_comes_back_as_it_was_saved(of):
    evidence = of()
    evidence = evidence.reweighed(np.full_like(evidence.weights, 0.5))
    again = Evidence.load(evidence.tensors())
    assert again is not None
    assert again.tensors().keys() == evidence.tensors().keys()
    for name, values in evidence.tensors().items():
        np.testing.assert_array_equal(again.tensors()[name], values)
    assert Evidence.load({}) is None
