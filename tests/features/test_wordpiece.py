"""Texts to pieces, and items to texts."""

from dataclasses import replace

import numpy as np
import pytest

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import BundleError, ConfigError
from polyscene.features import minilm
from polyscene.features.texts import item_texts, told
from polyscene.features.wordpiece import MARKS, WordPiece, fit_pieces, split

ITEMS = replace(
    Catalogue.bare(3),
    columns={
        "genres": Column("tags", Ragged.of([[0, 1], [], [1]]), ("Drama", "Comedy")),
        "title": Column("text", np.array(["Heat", "Up", ""], object)),
        "year": Column("number", np.array([1995.0, np.nan, 2001.0])),
    },
)


def test_words_are_cut_into_the_longest_known_parts() -> None:
    pieces = WordPiece((*MARKS, "play", "##ing", "##i", "##n", "p", "a", "."))
    assert [pieces.words[code] for code in pieces("Playing a. PLAYED pa")] == [
        *("play", "##ing", "a", ".", "[UNK]", "[UNK]")
    ]


def test_text_is_split_as_bert_splits_it() -> None:
    """Checked with tokenizers 0.23.3 on all film titles and these."""
    text = "Crème brûlée — 5€ “x_y”\u200b 中文\tTom&Jerry's"
    words = [
        "creme",
        "brulee",
        "—",
        "5€",
        "“",
        "x",
        "_",
        "y",
        "”",
        "中",
        "文",
        "tom",
        "&",
        "jerry",
        "'",
        "s",
    ]
    assert list(split(text)) == words


def test_a_learned_vocabulary_spells_what_it_has_seen_once() -> None:
    pieces = fit_pieces(["red fox", "red hen"], 100)
    assert [pieces.words[code] for code in pieces("red fox!")] == ["red", "f", "##o", "##x", "[UNK]"]
    assert pieces.words == fit_pieces(["red hen", "red fox"], 100).words
    again = WordPiece.load(pieces.state())
    assert again.words == pieces.words
    assert pieces("") == []
    assert "red" not in fit_pieces(["red fox", "red hen"], 5).words


def test_a_damaged_vocabulary_is_refused() -> None:
    with pytest.raises(BundleError, match=r"\[PAD\] is missing"):
        WordPiece(("a", "b"))


def test_items_are_told_by_their_texts_and_labels() -> None:
    codes = np.array([0, 1, 2, -1, 99], np.int32)
    assert told(ITEMS, None, "x") == ("title", "genres")
    assert item_texts(ITEMS, codes, ("title", "genres")) == ["Heat. Drama, Comedy", "Up", "Comedy", "", ""]
    assert item_texts(ITEMS, codes[:3], ("year", "title", "gone")) == ["1995. Heat", "Up", "2001"]
    with pytest.raises(ConfigError, match=r"x.attributes: items have no attribute 'genre'.*genres"):
        told(ITEMS, ("genre",), "x")
    with pytest.raises(ConfigError, match="neither texts nor labels"):
        told(Catalogue.bare(3), None, "x")


def test_files_that_are_not_the_published_ones_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip(minilm.PACKAGE)
    monkeypatch.setitem(minilm.DIGESTS, "vocab.txt", "0" * 64)
    with pytest.raises(ConfigError, match="not the published file"):
        minilm.minilm(1, 8, 0.0, None)
