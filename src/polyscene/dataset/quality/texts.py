"""The texts of items: language (of a seeded sample), emptiness, broken letters, markup."""

import polars as pl

from polyscene.dataset.quality.finding import Finding, Findings, graded, of, share
from polyscene.dataset.schema import TEXTS, fold
from polyscene.dataset.tables import Tables

SAMPLE = 300
"""Texts whose language is told; each costs about 3 ms."""
LEAST = 40
"""Shorter texts don't tell their language."""
MOJIBAKE = r"Ã[\x80-\xbf©¨¤¶¼±]|â€[™œ“”˜¦]|Â[\xa0°»«]|ï¿½|\x{fffd}"
_MARKUP = r"<[a-zA-Z/][^<>]{0,200}>|&[a-z]{2,6};"


def text_columns(tables: Tables) -> list[str]:
    """The attributes of items that hold prose."""
    if tables.items is None:
        return []
    texts = [c for c in tables.items if c.dtype == pl.String and c.name not in ("item", "kind")]
    return [c.name for c in texts if fold(c.name) in TEXTS or _spaced(c)]


def _spaced(texts: pl.Series) -> bool:
    """Whether most values have a space between words."""
    return 2 * int(texts.str.contains(r"\w\s\w").sum()) > texts.len() - texts.null_count()


def languages(tables: Tables, seed: int = 0) -> dict[str, float]:
    """Share of texts by language (ISO 639-1; ``?``: can't be told), commonest first."""
    columns = text_columns(tables)
    if tables.items is None or not columns:
        return {}
    joined = tables.items.select(pl.concat_str(columns, separator=". ", ignore_nulls=True)).to_series()
    long = joined.filter(joined.str.len_chars() >= LEAST)
    texts = long.sample(min(SAMPLE, len(long)), seed=seed).to_list()
    counts: dict[str, int] = {}
    for text in texts:
        found = _language(text)
        counts[found] = counts.get(found, 0) + 1
    ranked = sorted(counts.items(), key=lambda pair: (-pair[1], pair[0]))
    return {name: count / len(texts) for name, count in ranked}


def _language(text: str) -> str:
    from langdetect import DetectorFactory, LangDetectException, detect_langs

    DetectorFactory.seed = 0
    try:
        best = detect_langs(text[:500])[0]
    except LangDetectException:
        return "?"
    return str(best.lang) if best.prob > 0.9 else "?"


def look_at_texts(tables: Tables, shares: dict[str, float]) -> Findings:
    """Several languages, missing and very short texts, broken letters and markup."""
    if tables.items is None:
        return
    main = [name for name, part in shares.items() if part >= 0.05 and name != "?"]
    if len(main) > 1:
        said = ", ".join(f"{name} {part:.0%}" for name, part in list(shares.items())[:5])
        yield Finding(
            "note", "texts", "Texts in several languages", f"in a sample: {said}",
            "words are compared as they are written: items of different languages never look alike",
            "use a multilingual encoder, or keep the language as an attribute and filter by it",
            0, 1 - shares[main[0]],
        )  # fmt: skip
    for name in text_columns(tables):
        yield from _column(name, tables.items[name])


def _column(name: str, texts: pl.Series) -> Findings:
    total = len(texts)
    length = texts.fill_null("").str.strip_chars().str.len_chars()
    checks = (
        (
            int((length < 3).sum()),
            "empty or of one or two letters",
            "an item without words can't be placed by content, nor be told by people",
            f"fill {name}, or map another column: --map items.{name}=COLUMN",
            0.01,
        ),
        (
            int(texts.str.contains(MOJIBAKE).sum()),
            "with letters broken by a wrong encoding",
            "caf\u00c3\u00a9 is another word than caf\u00e9, for search and for encoders",
            "read the source in its own encoding (mostly UTF-8) and export again",
            0.001,
        ),
        (
            int(texts.str.contains(_MARKUP).sum()),
            "with HTML in them",
            "tags count as words, and are shown to people as they stand",
            "strip the tags in the export",
            0.01,
        ),
    )
    for count, what, why, mend, warn in checks:
        part = share(count, total)
        if count:
            yield Finding(graded(part, warn, 0.3), "texts", f"{name}: texts {what}",
                          of(count, total, "items"), why, mend, count, part)  # fmt: skip
