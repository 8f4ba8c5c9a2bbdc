"""What cleaning took out, corrected or noticed, with why it matters and how to mend it."""

from collections.abc import Mapping
from typing import NamedTuple

from polyscene.dataset.quality.finding import Finding, Findings, Topic, graded, of, share
from polyscene.dataset.tables import TableReport


class Advice(NamedTuple):
    """What to say of a reason of the books that begins with `start`."""

    start: str
    topic: Topic
    why: str
    mend: str


_LOST = "each removed row is an act that models never see"
ADVICE = (
    Advice("exact copy", "duplicates", "counted twice, an act looks twice as strong; one of each is kept",
           "find out why the export writes rows twice; nothing else is to be done"),
    Advice("same act again", "duplicates", "double clicks are no second interest; the first is kept",
           "set --rule near_ms=0 to keep them, or a longer time to drop more"),
    Advice("repeat of an earlier", "duplicates", "carts and songs repeat on purpose, ratings don't",
           "--rule repeats=first (or last) keeps one per user and item"),
    Advice("repeated by a later",
    "duplicates", "the rule 'repeats' says so", "--rule repeats=all keeps all"),
    Advice("time is before", "clock", "a time of 1970 is most often a missing one or seconds read as "
           "milliseconds; such events would come first in every history",
           "export the time in one unit; --rule earliest=MS moves the limit"),
    Advice("time is after", "clock", "an event of the future would be the newest of its user for ever",
           "set the clock of the machine that wrote it; --rule latest=MS moves the limit"),
    Advice("time is missing", "clock", "without a time an event has no place in a history",
           "fill the column, or --map time= to take the order of the file"),
    Advice("time: not in", "clock", "seconds and milliseconds are mixed; each was read by its size",
           "write one unit; nothing is lost"),
    Advice("user did more than", "machines", "a machine's clicks teach what nobody wants",
           "--rule bot_per_day=N sets the limit, null keeps everyone"),
    Advice("user is", "missing", "an event of nobody is in no history", "log an id for guests too"),
    Advice("item is not in the items table", "ids", "what has no content can't be understood, only counted",
           "add the items, or --rule unknown_items=drop; see also the findings on ids"),
    Advice("item is", "missing", "an event on nothing teaches nothing", "fill the column of items"),
    Advice("user holds", "ids", _LOST, "write ids as plain text without control or broken characters"),
    Advice("item holds", "ids", _LOST, "write ids as plain text without control or broken characters"),
    Advice("user:", "ids", "one person under two ids has two short histories", "write ids in one form"),
    Advice("item:", "ids", "one item under two ids gets half the evidence", "write ids in one form"),
    Advice("value is outside", "values", _LOST, "--rule scale=LOW,HIGH declares the scale"),
    Advice("value is", "values", _LOST, "write a finite number, or map no value: --map value="),
    Advice("value: missing", "values", "an act without a number counts 1 beside the others",
           "give each action its weight in the scenario (positive = { ... })"),
    Advice("rating is 0", "values", "0 may mean 'not rated' rather than the worst rating",
           "--rule scale=1,10 removes the zeros, if that is what they mean"),
    Advice("user has fewer", "cold", "the rule 'min_user' says so", "--rule min_user=1 keeps all"),
    Advice("item has fewer", "cold", "the rule 'min_item' says so", "--rule min_item=1 keeps all"),
    Advice("line can't be read", "cleaning", _LOST,
           "look at the lines in the quarantine file: mostly a separator or quote inside a value"),
    Advice("replaced by a later row", "duplicates", "one id stands for several rows; the last one counts",
           "make the id unique, or keep the rows apart under ids of their own"),
    Advice("edge leads back", "ids", "who is linked with himself tells nothing", "drop such rows"),
)  # fmt: skip
_OTHER = Advice("", "cleaning", _LOST, "look at the rows in the quarantine file")


def look_at_books(reports: Mapping[str, TableReport], quarantine: str | None) -> Findings:
    """A finding for every reason in the books of cleaning."""
    where = f" The rows are in {quarantine}." if quarantine else ""
    for table, report in reports.items():
        for reason, count in report.removed.items():
            yield _finding(f"{table}: {reason}", reason, count, report, f"taken out.{where}")
        for reason, count in report.changed.items():
            yield _finding(f"{table}: {reason}", reason, count, report, "corrected and kept.")
        for reason, count in report.noticed.items():
            yield _finding(f"{table}: {reason}", reason, count, report, "kept as they are.")


def _finding(title: str, reason: str, count: int, report: TableReport, fate: str) -> Finding:
    advice = next((each for each in ADVICE if reason.startswith(each.start)), _OTHER)
    part = share(count, report.rows_in)
    severity = graded(part) if fate.startswith("taken") else graded(part, warn=0.4, bad=2.0)
    seen = f"{of(count, report.rows_in, 'rows')}, {fate}"
    return Finding(severity, advice.topic, title, seen, advice.why, advice.mend, count, part)
