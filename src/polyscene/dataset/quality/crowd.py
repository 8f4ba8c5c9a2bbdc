"""Who and what the events are about: machines, repeats, and what is nearly unknown."""

import polars as pl

from polyscene.dataset.quality.finding import Finding, Findings, graded, of, share
from polyscene.dataset.tables import Tables

HOUR_MS = 3_600_000
PER_HOUR = 600
"""More acts than this in one hour, one every six seconds without a pause, are no person's."""
COLD = 5


def look_at_crowd(tables: Tables) -> Findings:
    """Machines, users with too large a part, near copies, and cold users and items."""
    events = tables.events
    if tables.clock:
        yield from _machines(events)
        yield from _twice(events)
    yield from _heavy(events)
    yield from _cold(tables)
    yield from _content(tables)


def _machines(events: pl.DataFrame) -> Findings:
    hours = events.group_by("user", pl.col("time") // HOUR_MS).len().filter(pl.col("len") > PER_HOUR)
    users = hours["user"].unique()
    if not len(users):
        return
    count = len(events.filter(pl.col("user").is_in(users.implode())))
    fastest = hours.sort("len", descending=True).row(0, named=True)
    part = share(count, len(events))
    yield Finding(
        graded(part), "machines", "Users at the speed of machines",
        f"{len(users):,} did more than {PER_HOUR} things in an hour, user {fastest['user']} "
        f"{fastest['len']:,}; {of(count, len(events), 'events are theirs')}",
        "popularity and co-occurrence follow them: a few machines move slates for everyone",
        f"--rule bot_per_day={max(1_000, PER_HOUR * 4)} leaves them out; block them where events "
        "are posted",
        count, part,
    )  # fmt: skip


def _twice(events: pl.DataFrame) -> Findings:
    rows = events.select(pl.struct("user", "item", "time").is_duplicated().sum()).item()
    part = share(rows, len(events))
    if rows:
        yield Finding(
            graded(part, warn=0.02, bad=0.3), "duplicates",
            "Same user, item and moment under several actions or values",
            of(rows, len(events), "events"), "one act logged by two systems counts twice",
            "log it once, or weigh the actions in the scenario (positive = { ... })", rows, part,
        )  # fmt: skip


def _heavy(events: pl.DataFrame) -> Findings:
    users = events.group_by("user").len().sort("len", "user", descending=True)
    top = users.row(0, named=True)
    part = share(top["len"], len(events))
    if len(users) >= 50 and part > 0.02:
        yield Finding(
            graded(part, warn=0.02, bad=0.2), "machines", "One user has a large part of all events",
            f"user {top['user']}: {of(top['len'], len(events), 'events')}",
            "a test account, a shop's own, or 'guest' under one id: its history is nobody's taste",
            "give guests an id each; leave the account out of the export", top["len"], part,
        )  # fmt: skip


def _cold(tables: Tables) -> Findings:
    for name, plural in (("user", "users"), ("item", "items")):
        counts = tables.events.group_by(name).len()["len"]
        few, once = int((counts < COLD).sum()), int((counts == 1).sum())
        part = share(few, len(counts))
        if part > 0.1:
            yield Finding(
                graded(part, warn=0.5, bad=0.95), "cold", f"{plural.capitalize()} with few events",
                f"{of(few, len(counts), plural)} have under {COLD} events, {once:,} have one",
                "their taste is hardly known: sequence and content help, pure co-occurrence does not"
                if name == "user" else "collaborative models can't place them: content and 'fresh' can",
                "keep a fallback (popular, covisit on the page's item); evaluate shows figures "
                "by history length"
                if name == "user" else "give items titles and attributes; keep `fresh` in the union",
                few, part,
            )  # fmt: skip


def _content(tables: Tables) -> Findings:
    if tables.items is None:
        return
    touched = tables.events["item"].unique()
    known = tables.items["item"]
    blank = touched.len() - int(touched.is_in(known.implode()).sum())
    silent = known.len() - int(known.is_in(touched.implode()).sum())
    if blank:
        part = share(blank, len(touched))
        yield Finding(
            graded(part), "cold", "Items in events without content", of(blank, len(touched), "items"),
            "nothing is known of them but their ids: no title to show, no filter, no content to compare",
            "add them to the items table; --rule unknown_items=drop leaves their events out", blank, part,
        )  # fmt: skip
    if silent:
        part = share(silent, len(known))
        yield Finding(
            graded(part, warn=0.5, bad=0.98), "cold",
            "Items nobody touched", of(silent, len(known), "items"),
            "collaborative models never show them; they are the catalogue's sleeping part",
            "keep `fresh` or a content model in the union, so that they get a chance", silent, part,
        )  # fmt: skip
