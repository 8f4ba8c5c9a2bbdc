"""Every finding is made where its fault was put in, and only there."""

import numpy as np
import polars as pl
import pytest

from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.load import tables_from_frames
from polyscene.dataset.quality.books import ADVICE
from polyscene.dataset.quality.volume import plots
from polyscene.jobs.quality import quality

START = 1_704_067_200
HOUR = 3_600
WORDS = [
    "red",
    "blue",
    "green",
    "old",
    "new",
    "small",
    "large",
    "quick",
    "silent",
    "wooden",
    "iron",
    "paper",
    "garden",
    "river",
    "winter",
    "summer",
]


def world(users=60, days=40):
    """Events without a fault: everybody does one thing in some waking hour of each day."""
    rng = np.random.default_rng(5)
    events = pl.DataFrame(
        [
            (
                f"u{user}",
                f"i{rng.integers(50)}",
                START + (24 * day + 7 + user % 15) * HOUR + int(rng.integers(3000)),
            )
            for day in range(days)
            for user, step in enumerate(rng.integers(3000, size=users).tolist())
        ],
        schema=["user", "item", "time"],
        orient="row",
    )
    items = pl.DataFrame(
        {
            "item": [f"i{n}" for n in range(50)],
            "title": [
                f"The {WORDS[n % 16]} {WORDS[n // 3 % 16]} house number {n} by the sea" for n in range(50)
            ],
            "price": rng.uniform(5, 25, 50).round(2),
        }
    )
    return events, items


def written(folder, events, items=None):
    events.write_csv(folder / "events.csv")
    if items is not None:
        items.write_csv(folder / "items.csv")
    return str(folder)


def found(folder, events, items=None):
    report = quality(written(folder, events, items))
    return {(each.topic, each.severity): each for each in report.findings}, report


def test_data_without_a_fault_has_no_finding_but_notes(tmp_path):
    findings, report = found(tmp_path, *world())
    assert not [each for each in findings.values() if each.severity != "note"]
    assert [plot.name for plot in report.plots] == ["volume", "hours", "per_user", "tail"]
    assert sum(report.plots[0].values) == 2_400
    assert report.languages["en"] > 0.5
    assert ("events", "2,400") in report.facts


def future(events, items):
    return events.with_columns(
        pl.when(pl.col("user") == "u1").then(4_000_000_000).otherwise("time").alias("time")
    ), items


def mixed_units(events, items):
    return events.with_columns(
        pl.when(pl.col("user") == "u1").then(pl.col("time") * 1000).otherwise("time").alias("time")
    ), items


def epoch(events, items):
    return events.with_columns(
        pl.when(pl.col("user") == "u1").then(0).otherwise("time").alias("time")
    ), items


def midnight(events, items):
    return events.with_columns(pl.col("time") // 86_400 * 86_400), items


def gap(events, items):
    return events.filter(~pl.col("time").is_between(START + 10 * 24 * HOUR, START + 25 * 24 * HOUR)), items


def jump(events, items):
    rows = [(f"u{n % 60}", f"i{n % 50}", START + (5 * 24 * 3600) + 60 * n) for n in range(1_200)]
    return pl.concat([events, pl.DataFrame(rows, schema=events.schema, orient="row")]), items


def copies(events, items):
    return pl.concat([events, events.head(500)]), items


def machine(events, items):
    rows = [("bot", f"i{n % 50}", START + n) for n in range(900)]
    return pl.concat([events, pl.DataFrame(rows, schema=events.schema, orient="row")]), items


def strangers(events, items):
    return events, items.with_columns(pl.col("item").str.to_uppercase())


def zeros(events, items):
    ten = events.with_columns(pl.col("item").str.replace("i", "0"))
    return ten, items.with_columns(pl.col("item").str.replace("i", "SKU-"))


def rare(events, items):
    """Most ids of the events are nowhere, a few are in the table in capitals."""
    strange = events.with_columns(pl.when(pl.int_range(pl.len()) % 9 == 0).then("item").otherwise(
        pl.format("n{}a", pl.int_range(pl.len()))).alias("item"))  # fmt: skip
    return strange, items.with_columns(pl.col("item").str.to_uppercase())


def cases(events, items):
    return events.with_columns(
        pl.when(pl.col("user") == "u1")
        .then(pl.col("item").str.to_uppercase())
        .otherwise("item")
        .alias("item")
    ), items


def broken(events, items):
    return events, items.with_columns(pl.format("{} cafÃ© crÃ¨me", pl.col("title")).alias("title"))


def tagged(events, items):
    return events, items.with_columns(pl.format("<b>{}</b>", pl.col("title")).alias("title"))


def holes(events, items):
    return events, items.with_columns(
        pl.when(pl.int_range(50) % 3 == 0).then(None).otherwise("price").alias("price")
    )


def outlier(events, items):
    return events, items.with_columns(
        pl.when(pl.int_range(50) == 7).then(99_999.0).otherwise("price").alias("price")
    )


def silent(events, items):
    return events.filter(pl.col("item").str.len_chars() < 3), items


def languages(events, items):
    other = pl.format("Das alte Haus am Meer mit dem grünen Garten und der Nummer {}", pl.int_range(50))
    return events, items.with_columns(
        pl.when(pl.int_range(50) % 2 == 0).then(other).otherwise("title").alias("title")
    )


FAULTS = {
    future: ("clock", "time is after", "latest=MS"),
    epoch: ("clock", "time is before", "earliest=MS"),
    mixed_units: ("clock", "time: not in s as most", "one unit"),
    midnight: ("clock", "Dates without a time of day", "date and time"),
    gap: ("gaps", "Days without any event", "missing days"),
    jump: ("gaps", "Days with many times the usual volume", "look at that day"),
    copies: ("duplicates", "exact copy", "export writes rows twice"),
    machine: ("machines", "Users at the speed of machines", "bot_per_day="),
    strangers: ("ids", "Events and items table write ids differently", "--rule mend_items=case"),
    zeros: ("ids", "Events and items table write ids differently", "prefix"),
    rare: ("ids", "Events and items table write ids differently", "--rule mend_items=case"),
    cases: ("ids", "Item ids that differ only in writing", "--rule mend_items=case"),
    broken: ("texts", "broken by a wrong encoding", "encoding"),
    tagged: ("texts", "HTML", "strip the tags"),
    holes: ("missing", "items.price is often missing", "fill it"),
    outlier: ("values", "items.price: values far outside", "check the unit"),
    silent: ("cold", "Items nobody touched", "fresh"),
    languages: ("texts", "several languages", "multilingual"),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_each_fault_is_found_with_its_remedy(tmp_path, fault):
    topic, title, mend = FAULTS[fault]
    clean = {each.title for each in quality(written(tmp_path, *world())).findings}
    report = quality(written(tmp_path, *fault(*world())))
    new = [each for each in report.findings if title in each.title and each.title not in clean]
    assert new, [each.title for each in report.findings]
    assert new[0].topic == topic
    assert mend in new[0].mend
    assert new[0].seen
    assert new[0].why


def test_the_mend_that_is_proposed_mends(tmp_path):
    from polyscene.dataset.reading import Reading, rules_from_texts

    source = written(tmp_path, *zeros(*world()))
    drift = next(each for each in quality(source).findings if "differently" in each.title)
    name, value = drift.mend.removeprefix("--rule ").split("=")
    mended = quality(source, reading=Reading(rules=rules_from_texts({name: value})))
    assert not [each for each in mended.findings if "differently" in each.title or "lacks" in each.seen]


def test_every_reason_that_cleaning_gives_has_its_own_advice():
    """A reason of the books that nobody advises on would fall to the general sentence."""
    rows = pl.DataFrame(
        {
            "user": ["a", None, "x" * 600, "b\x01", "c", "d", "e", "f", "f", "g"],
            "item": ["1", "1", "1", "1", None, "1", "1", "1", "1", "1"],
            "rating": [1.0, 1, 1, 1, 1, float("inf"), 9, 1, 1, 5],
            "time": [1_700_000_000] * 9 + [5],
        }
    )
    tables = tables_from_frames(rows, rules=CleaningRules(scale=(1, 5)))
    reasons = {*tables.report.tables["events"].removed}
    assert len(reasons) >= 7
    for reason in reasons:
        assert any(reason.startswith(advice.start) for advice in ADVICE), reason


def test_a_million_years_make_no_million_columns():
    events = pl.DataFrame({"user": ["a", "b"], "item": ["x", "y"], "time": [700_000_000, 1_700_000_000]})
    volume = plots(tables_from_frames(events))[0]
    assert len(volume.values) <= 60
    assert sum(volume.values) == 2
