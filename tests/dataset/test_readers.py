"""Every format gives the same tables, and hostile files an error that names file and remedy."""

import gzip
import json

import polars as pl
import pyarrow as pa
import pytest

from polyscene.core.errors import DataError
from polyscene.dataset.load import load_tables
from polyscene.dataset.readers import collect, scan

ROWS = [("007", "a b", 4.5, 978300760), ("8", 'say "hi"', 3.0, 978300761), ("9", "café", 1.0, 978300762)]
FRAME = pl.DataFrame(ROWS, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")


def write(folder, name, text):
    path = folder / name
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def atomic(frame):
    head = "user_id:token\titem_id:token\trating:float\ttimestamp:float"
    return "\r\n".join([head, *("\t".join(map(str, row)) for row in frame.rows())]) + "\r\n"


WRITERS = {
    "events.csv": lambda frame: frame.write_csv(),
    "events.tsv": lambda frame: atomic(frame).replace(":token", "").replace(":float", ""),
    "data.inter": atomic,
    "ratings.csv.gz": lambda frame: gzip.compress(frame.write_csv().encode()),
    "interactions.csv": lambda frame: frame.write_csv(separator=";", include_bom=True),
    "events.jsonl": lambda frame: frame.write_ndjson(),
    "events.json": lambda frame: frame.write_ndjson() + "\n\n",
}


@pytest.mark.parametrize("name", WRITERS)
def test_every_text_format_gives_the_same_events(tmp_path, name):
    write(tmp_path, name, WRITERS[name](FRAME))
    events = load_tables(tmp_path).events
    assert events.select("user", "item", "value").rows() == [(u, i, v) for u, i, v, _ in ROWS]
    assert events["time"].to_list() == [t * 1000 for *_, t in ROWS]
    assert events["row"].to_list() == [0, 1, 2]


def test_parquet_gives_the_same_events(tmp_path):
    FRAME.write_parquet(tmp_path / "events.parquet")
    FRAME.write_csv(tmp_path / "copy.csv")
    assert load_tables(tmp_path).events.equals(load_tables(tmp_path / "copy.csv").events)


def test_a_lone_quote_in_a_tab_file_swallows_nothing(tmp_path):
    path = write(tmp_path, "e.tsv", 'user\titem\n1\t"open\n2\tb\n3\tc"\n')
    assert load_tables(path).events["item"].to_list() == ['"open', "b", 'c"']


def test_quoted_separators_and_line_breaks_are_read(tmp_path):
    path = write(tmp_path, "e.csv", 'user,item,value\n1,"a, ""b""",2\n')
    assert load_tables(path).events["item"].to_list() == ['a, "b"']


def test_a_csv_line_with_too_many_fields_is_kept_aside(tmp_path):
    path = write(tmp_path, "e.csv", "user,item,value\n1,a,1\n2,b,1,9,9\n\n3,c\n4,d,1\n")
    tables = load_tables(path, quarantine=tmp_path / "q.jsonl")
    report = tables.report.tables["events"]
    assert tables.events["user"].to_list() == ["1", "4"]
    assert tables.events["row"].to_list() == [0, 4]
    assert report.removed == {"user is missing": 1, "value is missing": 1, "line can't be read": 1}
    assert (report.rows_in, report.rows_out) == (5, 2)
    lines = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert {
        "table": "events",
        "source": str(path),
        "row": 1,
        "cause": "5 fields where the header has 3",
        "values": {"line": "2,b,1,9,9"},
    } in lines


def test_a_json_line_cut_short_is_kept_aside(tmp_path):
    path = write(tmp_path, "e.jsonl", '{"user":1,"item":"a"}\n[1]\n{"user":2,"item":"b"}\n{"user":3,"it')
    tables = load_tables(path, quarantine=tmp_path / "q.jsonl")
    assert tables.events["user"].to_list() == ["1", "2"]
    assert tables.events["row"].to_list() == [0, 2]
    assert tables.report.tables["events"].removed == {"line can't be read": 2}
    rows = [json.loads(line) for line in (tmp_path / "q.jsonl").read_text().splitlines()]
    assert [row["row"] for row in rows] == [1, 3]
    assert rows[1]["values"]["line"].startswith('{"user":3,"it')


def test_huge_and_mixed_ids_in_json_are_read_by_their_digits(tmp_path):
    huge = "9" * 40
    path = write(tmp_path, "e.jsonl", f'{{"user":{huge},"item":1}}\n{{"user":"x","item":2}}\n')
    assert load_tables(path).events["user"].to_list() == [huge, "x"]


def test_only_asked_columns_are_read(tmp_path):
    FRAME.write_parquet(tmp_path / "events.parquet")
    raw = scan(tmp_path / "events.parquet")
    assert "item_id" in raw.columns
    frame, _ = collect(raw, ["user_id"])
    assert frame.columns == ["__row", "user_id"]


LETTERS = "user,item\n1,café\n2,crème brûlée\n3,Łódź\n"
WRITTEN = {
    "latin-1": (LETTERS.replace("Łódź", "Köln").encode("latin-1"), "Windows-1252"),
    "utf-16": (LETTERS.encode("utf-16"), "UTF-16"),
    "utf-16 without a mark": (LETTERS.encode("utf-16-le"), "UTF-16"),
    "chinese": ("user,item\n1,苹果手机\n2,牛奶\n".encode("gb18030"), "GB18030"),
    "old mac": (LETTERS.replace("\n", "\r").encode(), "lines end in CR"),
    "gzip": (gzip.compress(LETTERS.encode()), "packed with gzip"),
}


@pytest.mark.parametrize("case", WRITTEN)
def test_what_a_file_is_its_bytes_tell_and_the_report_says(tmp_path, case):
    content, said = WRITTEN[case]
    expected = {"latin-1": ["café", "crème brûlée", "Köln"], "chinese": ["苹果手机", "牛奶"]}
    tables = load_tables(write(tmp_path, "e.csv", content))
    assert tables.events["item"].to_list() == expected.get(case, ["café", "crème brûlée", "Łódź"])
    assert any(said in note for note in tables.report.notes)


def test_zstd_is_read_and_parquet_under_any_name(tmp_path):
    with pa.output_stream(tmp_path / "e.csv", compression="zstd") as stream:
        stream.write(LETTERS.encode())
    assert load_tables(tmp_path / "e.csv").events["item"].to_list()[2] == "Łódź"
    FRAME.write_parquet(tmp_path / "f.csv")
    assert len(load_tables(tmp_path / "f.csv").events) == 3


def test_a_broken_letter_costs_its_row_and_nothing_else(tmp_path):
    lines = [f"u{n},naïve {n}".encode() for n in range(50)]
    lines[7] = b"u7,na\xefve 7"
    tables = load_tables(write(tmp_path, "e.csv", b"user,item\n" + b"\n".join(lines)))
    assert len(tables.events) == 49
    assert tables.report.tables["events"].removed == {"item holds a broken letter (U+FFFD)": 1}


BAD = {
    "no bytes": ("e.csv", b"", r"e\.csv: the file is empty.*Export it again"),
    "no rows": ("e.csv", b"user,item\n", r"e\.csv: the events table has no rows"),
    "empty gzip": ("e.csv.gz", gzip.compress(b""), r"e\.csv\.gz: .*empty"),
    "cut gzip": ("e.csv.gz", gzip.compress(b"user,item\n1,2\n" * 99)[:-9], r"e\.csv\.gz: can't be read"),
    "cut letter": (
        "e.csv",
        "user,item\n1,é".encode()[:-1],
        r"e\.csv: it ends inside a letter, so it is cut short",
    ),
    "nul": ("e.jsonl", b'{"user":1,"item":2}\n{"user":1\0}\n', r"e\.jsonl: line 2 holds a NUL byte"),
    "no header": ("e.csv", b"1,2,5\n1,3,4\n", r"e\.csv: the first line \(1, 2, 5\) looks like data"),
    "same name twice": ("e.csv", b"user,item,item\n1,2,3\n", r"e\.csv: column name 'item' is there twice"),
    "nameless": ("e.csv", b"user,,item\n1,2,3\n", r"e\.csv: column name '' is missing"),
    "open quote": ("e.csv", b'user,item\n1,2\n3,"x\n', r"e\.csv: line 3: .*a quote must be closed"),
    "array": ("e.json", b'[{"user":1,"item":2}]', r"e\.json: one JSON array.*jq"),
    "no objects": ("e.jsonl", b"1\n2\n", r"e\.jsonl: none of 2 lines is a JSON object"),
    "no bytes at all": ("e.parquet", b"", r"e\.parquet: can't be read .*Export it again"),
    "deep": ("e.jsonl", b"[" * 100_000, r"e\.jsonl: .*array"),
    "deep object": ("e.jsonl", b'{"a":' * 100_000, r"e\.jsonl: none of 1 lines is a JSON object"),
    "no parquet": ("e.parquet", b"PAR1 nothing", r"e\.parquet: can't be read .*Export it again"),
    "unknown ending": ("e.xlsx", b"x", r"e\.xlsx: unknown ending '\.xlsx'; expected \.csv"),
    "lists as ids": ("e.jsonl", b'{"user":[1],"item":2}\n', r"e\.jsonl, column 'user': holds List.*id"),
    "all removed": (
        "e.csv",
        b"user,item\n,a\n,b\n",
        r"e\.csv: cleaning left no event \(user is missing: 2\)",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_hostile_files_name_file_and_remedy(tmp_path, case):
    name, content, message = BAD[case]
    path = write(tmp_path, name, content)
    with pytest.raises(DataError, match=message):
        load_tables(path)


def test_parquet_cut_short(tmp_path):
    path = tmp_path / "events.parquet"
    FRAME.write_parquet(path)
    write(tmp_path, "events.parquet", path.read_bytes()[:-20])
    with pytest.raises(DataError, match=r"events\.parquet: can't be read .*cut short or damaged"):
        load_tables(path)


def test_control_characters_and_endless_ids_lose_only_their_rows(tmp_path):
    frame = pl.DataFrame({"user": ["a", "b\0", "c" * 600, "d\ne"], "item": ["1", "2", "3", "4"]})
    frame.write_parquet(tmp_path / "events.parquet")
    tables = load_tables(tmp_path)
    assert tables.events["user"].to_list() == ["a"]
    assert tables.report.tables["events"].removed == {
        "user is longer than 512 characters": 1,
        "user holds a control character": 2,
    }
