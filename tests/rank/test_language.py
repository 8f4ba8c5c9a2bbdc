"""Rankers that read: they learn from words alone, serve items put later, and come back from a bundle."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged, offsets_of
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.config import Config, find, read, to_json
from polyscene.core.contracts import Data, Effect, Examples, Run, State, StillView
from polyscene.core.errors import BundleError, ConfigError
from polyscene.core.queries import Queries, history_of
from polyscene.core.slates import Slates
from polyscene.features import minilm
from polyscene.rank import examples, language
from polyscene.rank.bert import Bert
from polyscene.rank.cross_encoder import CrossEncoder
from polyscene.rank.lm_ranker import LmRanker
from polyscene.rank.table import KINDS
from polyscene.testing.checks import same
from polyscene.testing.worlds import noise

SMALL = {"layers": 1, "dim": 32, "heads": 2, "dropout": 0.0, "max_len": 24, "history": 2, "negatives": 3}
FROM_SCRATCH = {**SMALL, "pretrained": False, "learning_rate": 2e-3, "average": 0.9, "epochs": 7}
CONFIGS: dict[str, Config] = {
    "bert": Bert(**{**FROM_SCRATCH, "reading": 64, "reading_rate": 1e-3}),
    "cross_encoder": CrossEncoder(**FROM_SCRATCH),
    "lm_ranker": LmRanker(**{**SMALL, "reading": 64, "reading_epochs": 1, "epochs": 3, "average": 0.9}),
}
SIDES = ("red", "blue")
ITEMS, USERS, WIDTH = 40, 150, 6


def catalogue(size: int = ITEMS) -> Catalogue:
    """Items of two colours, as their texts say; their tags say nothing."""
    texts = np.array([f"{SIDES[code % 2]} thing number {code // 8}" for code in range(size)], object)
    tags = Ragged(np.arange(size + 1), np.zeros(size, np.int32))
    columns = {"title": Column("text", texts), "tags": Column("tags", tags, ("thing",))}
    return replace(Catalogue.bare(size), columns=columns)


def slates(queries: Queries, lists: np.ndarray) -> Slates:
    return Slates(offsets_of(np.full(len(queries), lists.shape[1])), lists.ravel().astype(np.int32),
                  np.zeros(lists.size, np.float32))  # fmt: skip


@pytest.fixture(scope="module")
def known() -> Data:
    """Who has touched red things goes on to a red one; of each slate one candidate has the right colour."""
    rng = np.random.default_rng(0)
    side = rng.integers(0, 2, USERS)
    half = ITEMS // 2
    past = rng.integers(0, half, (USERS, 4)) * 2 + side[:, None]
    lists = rng.permuted(np.tile(np.arange(half), (USERS, 1)), axis=1)[:, :WIDTH] * 2 + (1 - side[:, None])
    right = rng.integers(0, WIDTH, USERS)
    lists[np.arange(USERS), right] = lists[np.arange(USERS), right] ^ 1
    history = history_of(past.tolist())
    queries = Queries.of_histories(history, ITEMS)
    labels = np.zeros(lists.shape, np.float32)
    labels[np.arange(USERS), right] = 1
    examples = Examples(queries, slates(queries, lists), labels.ravel())
    world = noise(users=USERS, items=ITEMS)
    return replace(
        world, histories=history, catalogue=catalogue(), actions=("like", "hide"), examples=examples
    )


@pytest.fixture(scope="module")
def parts(known: Data) -> dict[str, object]:
    return {kind: config.fit(known, Run(seed=1, threads=1)) for kind, config in CONFIGS.items()}


def hits(part: object, examples: Examples) -> float:
    """Share of slates whose labelled candidate comes to stand first."""
    found = part(examples.queries, examples.slates)
    wanted = examples.slates.items[examples.labels > 0]
    return float((found.items[found.offsets[:-1]] == wanted).mean())


@pytest.mark.parametrize("kind", CONFIGS)
def test_it_learns_from_words_which_candidate_comes(
    kind: str, known: Data, parts: dict[str, object]
) -> None:
    assert hits(parts[kind], known.examples) > 0.8


@pytest.mark.parametrize("kind", CONFIGS)
def test_items_put_later_are_read_as_any_other(kind: str, known: Data, parts: dict[str, object]) -> None:
    part, grown = parts[kind], catalogue(ITEMS + 2)
    state = part.state()
    later = CONFIGS[kind].load(state, Run(view=StillView(grown)))
    queries = Queries.of_histories(history_of([[1, 3, 5], [0, 2, 4]]), ITEMS + 2)
    found = later(queries, slates(queries, np.array([[ITEMS, ITEMS + 1]] * 2)))
    assert found.items[found.offsets[:-1]].tolist() == [ITEMS + 1, ITEMS]


@pytest.mark.parametrize("kind", CONFIGS)
def test_a_batch_is_its_singles_and_a_bundle_is_its_part(
    kind: str, known: Data, parts: dict[str, object]
) -> None:
    part, config = parts[kind], CONFIGS[kind]
    queries, given = known.examples.queries, known.examples.slates
    before = given.items.copy()
    batch = part(queries, given)
    assert part.effect == {Effect.SCORES, Effect.ORDERS}
    np.testing.assert_array_equal(given.items, before)
    again = config.load(part.state(), Run(view=StillView(known.catalogue)))
    np.testing.assert_array_equal(again(queries, given).scores, batch.scores)
    for row in (0, 7, USERS - 1):
        one = part(queries.take(np.array([row])), given.take(np.array([row])))
        same(one, batch.take(np.array([row])))
    assert read(KINDS, to_json(config), "check") == config
    assert "Source:" in (type(config).__doc__ or "")


@pytest.mark.parametrize("kind", CONFIGS)
def test_odd_requests_are_answered(kind: str, known: Data, parts: dict[str, object]) -> None:
    part = parts[kind]
    assert not len(part(known.examples.queries.take(np.arange(2)), Slates.empty(2)).items)
    assert not len(part(known.examples.queries.take(np.arange(0)), Slates.empty(0)))
    strange = Queries.of_histories(history_of([[], [-1, 10**6]]), ITEMS)
    found = part(strange, slates(strange, np.array([[1, 0, 10**6]] * 2)))
    assert np.isfinite(found.scores).all()
    assert len(found.items) == 6
    np.testing.assert_allclose(
        found.take(np.array([0])).scores, found.take(np.array([1])).scores, atol=1e-5
    )


@pytest.mark.parametrize("kind", CONFIGS)
def test_equal_seeds_learn_equal_weights(kind: str, known: Data) -> None:
    few = read(KINDS, {**to_json(CONFIGS[kind]), "slates": 20, "reading": 16, "epochs": 1}, "check")
    one, two = (few.fit(known, Run(seed=3, threads=1)).state().tensors for _ in range(2))
    assert one.keys() == two.keys()
    assert all(np.array_equal(one[name], two[name]) for name in one)


def test_what_was_typed_is_what_a_cross_encoder_reads(known: Data, parts: dict[str, object]) -> None:
    queries = Queries.of_histories(history_of([[], [], [0, 2]]), ITEMS)
    typed = replace(
        queries, context={"query": np.array(["red thing number 2", "blue thing number 2", " "])}
    )
    offered = slates(queries, np.array([[0, 1]] * 3))
    for kind, best in (("cross_encoder", [0, 1, 0]), ("bert", None)):
        found, plain = parts[kind](typed, offered), parts[kind](queries, offered)
        if best is None:
            np.testing.assert_array_equal(found.scores, plain.scores)
        else:
            assert found.items[found.offsets[:-1]].tolist() == best


def test_frozen_layers_stay_as_they_came(known: Data) -> None:
    pytest.importorskip(minilm.PACKAGE)
    config = Bert(layers=2, frozen=1, slates=4, reading=8, epochs=1, max_len=24, negatives=1)
    part = config.fit(known, Run(threads=1))
    moved = part.state().tensors
    import torch

    _, bert = minilm.minilm(2, 24, 0.1, torch.Generator())
    kept = dict(bert.named_parameters())
    for name, values in kept.items():
        same = np.array_equal(values.detach().numpy(), moved[f"network/bert.{name}"])
        assert same == name.startswith(("embedding.", "layers.0.")), name


PROBLEMS: list[tuple[str, dict[str, object], str]] = [
    ("bert", {"dim": 32}, "published weights have dim 384"),
    ("bert", {"layers": 7}, "6 layers"),
    ("bert", {"layers": 2}, "of 2 layers"),
    ("cross_encoder", {"pretrained": False, "dim": 30}, "can't be shared by 12 heads"),
    ("lm_ranker", {"dim": 30}, "can't be shared by 4 heads"),
]


@pytest.mark.parametrize(("kind", "settings", "said"), PROBLEMS)
def test_settings_that_do_not_go_together_are_refused(
    kind: str, settings: dict[str, object], said: str
) -> None:
    with pytest.raises(ConfigError, match=said):
        find(KINDS, kind, "check")(**settings)


def test_what_is_missing_is_named(
    known: Data, parts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    config = CONFIGS["bert"]
    with pytest.raises(ConfigError, match="no labelled examples"):
        config.fit(replace(known, examples=None), Run())
    with pytest.raises(ConfigError, match="neither texts nor labels"):
        config.fit(replace(known, catalogue=Catalogue.bare(ITEMS)), Run())
    with pytest.raises(ConfigError, match=r"attributes: items have no attribute 'titel'.*title"):
        read(KINDS, {**to_json(config), "attributes": ["titel"]}, "x").fit(known, Run())
    with pytest.raises(ConfigError, match=r"action: no event is called 'lik'.*like"):
        read(KINDS, {**to_json(config), "action": "lik"}, "x").fit(known, Run())
    with pytest.raises(ConfigError, match="view"):
        config.load(parts["bert"].state(), Run())
    state = parts["bert"].state()
    for name in ("phrasing/pieces/words", "network/score.weight"):
        broken = State({key: each for key, each in state.tensors.items() if key != name}, state.meta)
        with pytest.raises(BundleError, match="missing"):
            config.load(broken, Run(view=StillView(known.catalogue)))
    monkeypatch.setattr(minilm, "PACKAGE", "no_such_package_at_all")
    with pytest.raises(ConfigError, match=r"polyscene\[bert\].*pretrained to false"):
        Bert().fit(known, Run())


def test_without_labels_it_says_so(known: Data) -> None:
    blank = replace(known.examples, labels=np.zeros_like(known.examples.labels))
    run = Run(threads=1)
    CONFIGS["cross_encoder"].fit(replace(known, examples=blank), run)
    assert "no candidate was what came next" in run.warnings[0]


def test_blocks_are_only_a_matter_of_memory(
    known: Data, parts: dict[str, object], monkeypatch: pytest.MonkeyPatch
) -> None:
    config, part = CONFIGS["bert"], parts["bert"]
    whole = config._known(part.phrasing, known, known.examples, Run())
    scores = part(known.examples.queries, known.examples.slates).scores
    monkeypatch.setattr(examples, "BLOCK", 64)
    monkeypatch.setattr(language, "BLOCK", 64)
    assert config._known(part.phrasing, known, known.examples, Run()).digest() == whole.digest()
    again = part(known.examples.queries, known.examples.slates).scores
    np.testing.assert_allclose(again, scores, atol=1e-5)
