"""The filter language: its grammar, its errors, and the mask against a row-by-row reading."""

from operator import ge, gt, le, lt

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from polyscene.core.arrays import Ragged
from polyscene.core.catalogue import Catalogue, Column
from polyscene.core.errors import FilterError
from polyscene.rules.expression import MAX_DEPTH, MAX_LENGTH, All, Check, Expr, Node, Not, Some, parse
from polyscene.rules.filter import mask

WORDS = ("drama", "comedy", "it's", 'a "b"')
ROWS = [
    {"year": 1990.0, "genre": "drama", "tags": ["comedy", "drama"], "title": "Heat"},
    {"year": 2001.0, "genre": "comedy", "tags": [], "title": ""},
    {"year": None, "genre": None, "tags": ["it's"], "title": "Up"},
    {"year": 1990.0, "genre": "it's", "tags": ['a "b"', "it's"], "title": "Heat"},
    {"year": -3.5, "genre": 'a "b"', "tags": ["drama"], "title": "drama"},
]


def catalogue() -> Catalogue:
    def place(word: str | None) -> int:
        return -1 if word is None else WORDS.index(word)

    years = [np.nan if row["year"] is None else row["year"] for row in ROWS]
    columns = {
        "year": Column("number", np.array(years)),
        "genre": Column("category", np.array([place(row["genre"]) for row in ROWS], np.int32), WORDS),
        "tags": Column("tags", Ragged.of([[place(tag) for tag in row["tags"]] for row in ROWS]), WORDS),
        "title": Column("text", np.array([row["title"] for row in ROWS], object)),
    }
    size = len(ROWS)
    return Catalogue(
        np.arange(size, dtype=np.int64),
        np.ones(size, bool),
        np.array([0, 0, 1, 1, 1], np.int16),
        ("movie", "song"),
        columns,
    )


def chosen(text: str) -> list[int]:
    return np.flatnonzero(mask(parse(text), catalogue())).tolist()


@pytest.mark.parametrize(
    ("text", "rows"),
    [
        ('genre = "drama"', [0]),
        ("genre == 'it\\'s'", [3]),
        ('genre = "a \\"b\\""', [4]),
        ('genre != "drama"', [1, 3, 4]),
        ("year >= 1990 and year < 2000", [0, 3]),
        ("year = -3.5", [4]),
        ("year in [1990, 2001]", [0, 1, 3]),
        ("year not in [1990]", [1, 4]),
        ("year is missing or title is missing", [1, 2]),
        ("not year > 1995", [0, 2, 3, 4]),
        ("NOT (year is missing) AND genre = 'drama' OR title='Up'", [0, 2]),
        ('tags has any ["drama", "no such tag"]', [0, 4]),
        ('tags has all ["drama", "comedy"]', [0]),
        ('tags has all ["drama", "no such tag"]', []),
        ('tags has any ["no such tag"]', []),
        ("tags is missing", [1]),
        ("tags is not missing", [0, 2, 3, 4]),
        ("kind = 'movie'", [0, 1]),
        ("put_at >= 3", [3, 4]),
        ("title in ['Heat', 'Up']", [0, 2, 3]),
        ("`year` = 2001", [1]),
    ],
)
def test_grammar(text: str, rows: list[int]) -> None:
    assert chosen(text) == rows


def test_booleans_meet_numbers_and_words() -> None:
    columns = {
        "stock": Column("number", np.array([1.0, 0.0, np.nan])),
        "flag": Column("category", np.array([0, 1, -1], np.int32), ("true", "false")),
    }
    items = Catalogue(np.zeros(3, np.int64), np.ones(3, bool), np.zeros(3, np.int16), columns=columns)
    assert mask(parse("stock = true"), items).tolist() == [True, False, False]
    assert mask(parse("flag != true"), items).tolist() == [False, True, False]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("genr = 'drama'", "unknown attribute 'genr'; did you mean 'genre'?"),
        ("year = 1 and", "expected the name of an attribute, got 'the end'"),
        ("year = ", "expected a text in quotes, a number, true or false"),
        ("year 1", "expected a comparison, 'in', 'has' or 'is' after 'year', got '1'"),
        ("(year = 1", "expected ')'"),
        ("year = 1 genre = 'x'", "expected 'and', 'or' or the end, got 'genre'"),
        ("year = 'x", "is a quote missing?"),
        ("year in []", "expected a text in quotes"),
        ("genre > 'a'", "it has no order"),
        ("genre has any ['a']", "not tags"),
        ("tags = 'drama'", "use 'has any [..]'"),
        ("year = 'x'", "can't be compared with the text 'x'"),
        ("genre = 3", "put the value 3 in quotes"),
        ("not " * (MAX_DEPTH + 1) + "year = 1", "inside each other"),
        ("", "expected the name of an attribute"),
        ("year in [" + "1," * 1_001 + "1]", "values in one list"),
    ],
)
def test_errors_say_what_and_point_at_the_place(text: str, message: str) -> None:
    with pytest.raises(FilterError) as caught:
        mask(parse(text), catalogue())
    assert message in str(caught.value)
    assert str(caught.value).endswith("^")


def test_the_caret_stands_under_the_place() -> None:
    with pytest.raises(FilterError) as caught:
        mask(parse("year = 1\nand jear = 2"), catalogue())
    _, line, caret = str(caught.value).split("\n")
    assert line[caret.index("^") :] == "jear = 2"


def test_length_is_limited() -> None:
    with pytest.raises(FilterError, match=f"at most {MAX_LENGTH}"):
        parse("x" * (MAX_LENGTH + 1))


def naive(node: Node, row: dict[str, object]) -> bool:  # noqa: PLR0911
    """The same meaning, one row at a time."""
    if isinstance(node, Not):
        return not naive(node.part, row)
    if isinstance(node, All):
        return all(naive(part, row) for part in node.parts)
    if isinstance(node, Some):
        return any(naive(part, row) for part in node.parts)
    value = row[node.name]
    if node.op in ("missing", "present"):
        return (value in (None, "", [])) == (node.op == "missing")
    if value in (None, "", []):
        return False
    if node.op.startswith("has"):
        hits = [tag in value for tag in node.values]  # type: ignore[operator]
        return all(hits) if node.op == "has all" else any(hits)
    if node.op in ("=", "in"):
        return value in node.values
    if node.op in ("!=", "not in"):
        return value not in node.values
    order = {"<": lt, "<=": le, ">": gt, ">=": ge}[node.op]
    return bool(order(value, node.values[0]))


def show(node: Node) -> str:
    """The node as filter text, fully bracketed."""
    if isinstance(node, Not):
        return f"not ({show(node.part)})"
    if isinstance(node, All | Some):
        return (" and " if isinstance(node, All) else " or ").join(f"({show(part)})" for part in node.parts)
    if node.op in ("missing", "present"):
        return f"{node.name} is {'not ' * (node.op == 'present')}missing"
    quoted = [
        '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'
        if isinstance(value, str)
        else f"{value:g}"
        for value in node.values
    ]
    values = f"[{', '.join(quoted)}]" if node.op in ("in", "not in", "has any", "has all") else quoted[0]
    return f"{node.name} {node.op} {values}"


numbers = st.sampled_from([1990.0, 2001.0, -3.5, 0.0])
words = st.sampled_from([*WORDS, "no such word", "Heat"])


def checks_of(name: str, ops: list[str], value: st.SearchStrategy[object]) -> st.SearchStrategy[Node]:
    def build(op: str, values: list[object]) -> Node:
        count = {"missing": 0, "present": 0}.get(op, len(values) if " " in op or op == "in" else 1)
        return Check(name, op, tuple(values[:count]))  # type: ignore[arg-type]

    values = st.lists(value, min_size=1, max_size=3)
    return st.builds(build, st.sampled_from([*ops, "missing", "present"]), values)


leaves = st.one_of(
    checks_of("year", ["=", "!=", "<", "<=", ">", ">=", "in", "not in"], numbers),
    checks_of("genre", ["=", "!=", "in", "not in"], words),
    checks_of("title", ["=", "!=", "in", "not in"], words),
    checks_of("tags", ["has any", "has all"], words),
)
parts = lambda inner: st.lists(inner, min_size=2, max_size=3).map(tuple)  # noqa: E731
trees = st.recursive(
    leaves,
    lambda inner: st.one_of(
        st.builds(Not, inner), st.builds(All, parts(inner)), st.builds(Some, parts(inner))
    ),
    max_leaves=8,
)


@settings(max_examples=200, deadline=None)
@given(trees)
def test_mask_equals_the_naive_reading_and_text_round_trips(node: Node) -> None:
    items = catalogue()
    expected = [naive(node, row) for row in ROWS]
    assert mask(Expr("", node), items).tolist() == expected
    assert mask(parse(show(node)), items).tolist() == expected


@settings(max_examples=200, deadline=None)
@given(st.text(alphabet="year in[](),=<>!'\"`1.-nothasmigd ", max_size=40))
def test_any_text_gives_a_mask_or_a_filter_error(text: str) -> None:
    try:
        found = mask(parse(text), catalogue())
    except FilterError as problem:
        assert "filter:" in str(problem)  # noqa: PT017
    else:
        assert found.shape == (len(ROWS),)
