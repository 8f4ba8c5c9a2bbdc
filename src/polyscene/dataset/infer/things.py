"""The tables beside the events: items, users and edges, found by what their keys join."""

from polyscene.dataset.infer.profile import Profile
from polyscene.dataset.infer.roles import Guess
from polyscene.dataset.infer.sheets import LEAST, Draft, Sheet, edge_score, ends_of, entity_score, keys_of
from polyscene.dataset.infer.vocabulary import bare, named
from polyscene.dataset.schema import TableName


def find_items_and_users(draft: Draft) -> None:
    """Adds the tables whose keys hold the items and the users of the events."""
    for table, role in (("items", "item"), ("users", "user")):
        _find(draft, table, role)  # type: ignore[arg-type]


def _find(draft: Draft, table: TableName, role: str) -> None:
    column = draft.column(role)
    if column is None:
        return
    ranked = []
    for sheet in draft.free():
        looks = entity_score(sheet, table)
        for key in keys_of(sheet):
            joined = column.within(key)
            same = column.name == key.name and not bare(key.name)
            named_so = same and len(sheet.columns) > 1 and (key.unique or named(column.name, role) > 0)
            if joined > 0.1 and (looks >= 0.3 or named_so):
                ranked.append(
                    (looks + joined + 0.5 * same + 0.3 * named(key.name, role), sheet, key, joined)
                )
    if not ranked:
        return
    score, sheet, key, joined = max(ranked, key=lambda each: each[0])
    draft.tables[table] = (sheet,)
    why = f"one row per value, and {joined:.0%} of the {role}s of the events are in it"
    draft.guesses.append(Guess(table, role, key.name, min(0.99, 0.3 + score / 4), (why,)))
    if table == "items":
        _find_title(draft, sheet, key.name)


def _find_title(draft: Draft, sheet: Sheet, key: str) -> None:
    def score(column: Profile) -> float:
        return named(column.name, "title") + 0.5 * column.prose + 0.2 * (column.length < 120)

    chosen = [each for each in sheet.columns.values() if each.name != key and each.kind == "text"]
    best = max(chosen, key=score, default=None)
    if best is not None and score(best) >= 0.7:
        why = "its name says so" if named(best.name, "title") else "its values read like titles"
        draft.guesses.append(Guess("items", "title", best.name, min(0.95, 0.3 + score(best) / 3), (why,)))


def find_edges(draft: Draft) -> None:
    """Adds the table that links users or items of the events, if one is there."""
    known = [column for role in ("user", "item") if (column := draft.column(role)) is not None]
    ranked = []
    for sheet in draft.free():
        ends = ends_of(sheet)
        if ends is None or edge_score(sheet) < LEAST:
            continue
        joined = max((min(each.within(end) for each in ends) for end in known), default=0.0)
        same = any(end.name == each.name for each in ends for end in known)
        ranked.append((edge_score(sheet) + joined + 0.5 * same, sheet, ends, joined))
    if not ranked:
        return
    score, sheet, ends, joined = max(ranked, key=lambda each: each[0])
    draft.tables["edges"] = (sheet,)
    why = f"links ids with ids; {joined:.0%} of its ends are in the events"
    sure = min(0.95, score / 2)
    draft.guesses += [
        Guess("edges", end, column.name, sure, (why,))
        for end, column in zip(("source", "target"), ends, strict=True)
    ]
    for column in sheet.columns.values():
        if column not in ends and named(column.name, "relation") >= 0.9:
            draft.guesses.append(Guess("edges", "relation", column.name, 0.9, ("its name says so",)))
