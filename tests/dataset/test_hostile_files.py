"""Over 150 hostile files, made from seeds: each is read with its bad rows aside, or refused in words.

Whatever a file holds: no traceback, no other error than `DataError`, which names the file and what to do;
and the log that was there before is as it was.
"""

import gzip
import json
import os
import random
import struct
import subprocess
import sys
import threading

import polars as pl
import pyarrow as pa
import pytest

from polyscene.core.contracts import silent
from polyscene.core.errors import DataError
from polyscene.dataset.load import load_tables
from polyscene.events.event import Event
from polyscene.jobs.ingest import ingest
from polyscene.jobs.workspace import Workspace

HEAD = b"user,item,value,time\n"
GOOD = b"".join(b"u%d,i%d,1,17000000%02d\n" % (n % 9, n % 7, n) for n in range(60))
LINES = [
    json.dumps({"user": f"u{n % 9}", "item": f"i{n % 7}", "value": 1, "time": 1_700_000_000 + n})
    for n in range(60)
]
TEXT = HEAD + GOOD


def row(user="u1", item="i1", value="1", time="1700000000"):
    return f"{user},{item},{value},{time}\n".encode()


def with_line(*lines):
    """Good JSON lines and hostile ones behind."""
    return "\n".join([*LINES, *lines]).encode()


def event(user='"u"', item='"i"', rest=""):
    return f'{{"user":{user},"item":{item},"value":1,"time":1700000000{rest}}}'


def with_rows(*rows):
    """Good rows with hostile ones among them."""
    cut = GOOD.index(b"\n", 400) + 1
    return HEAD + GOOD[:cut] + b"".join(rows) + GOOD[cut:]


def parquet(frame, change=lambda data: data):
    sink = pa.BufferOutputStream()
    frame.write_parquet(sink)
    return change(sink.getvalue().to_pybytes())


FRAME = pl.DataFrame({"user": ["a", "b"] * 20, "item": ["x", "y", "z", "w"] * 10, "value": [1.0] * 40})


def lying_footer(data):
    return data[:-8] + struct.pack("<I", 2**31 - 1) + b"PAR1"


def zstd(data):
    sink = pa.BufferOutputStream()
    with pa.CompressedOutputStream(sink, "zstd") as stream:
        stream.write(data)
    return sink.getvalue().to_pybytes()


# name -> (file name, content, rows that stay (None: refused), words of the error or of a reason)
CASES = {
    "empty": ("e.csv", b"", None, "empty"),
    "one line feed": ("e.csv", b"\n", None, ""),
    "only spaces": ("e.csv", b"   \n  \n", None, ""),
    "header only": ("e.csv", HEAD, None, "no rows"),
    "header without line end": ("e.csv", HEAD.strip(), None, "no rows"),
    "BOM only": ("e.csv", b"\xef\xbb\xbf", None, ""),
    "UTF-16 mark only": ("e.csv", b"\xff\xfe", None, ""),
    "BOM": ("e.csv", b"\xef\xbb\xbf" + TEXT, 60, ""),
    "UTF-16": ("e.csv", TEXT.decode().encode("utf-16"), 60, ""),
    "UTF-16 cut in a letter": ("e.csv", TEXT.decode().encode("utf-16")[:-1], None, "UTF-16"),
    "latin-1": ("e.csv", with_rows("u1,café,1,1700000000\n".encode("latin-1")), 61, ""),
    "one broken letter": (
        "e.csv",
        with_rows("uü,ïé,1,1700000000\n".encode(), b"u1,\xe9\xff,1,1700000000\n"),
        61,
        "broken letter",
    ),
    "cut inside a letter": ("e.csv", TEXT + "u1,é".encode()[:-1], None, "cut short"),
    "cut inside a row": ("e.csv", TEXT + b"u1,i", 60, "value is missing"),
    "NUL": ("e.csv", with_rows(b"u\0,i,1,1\n"), None, "NUL"),
    "all NUL": ("e.csv", b"\0" * 1000, None, ""),
    "CRLF": ("e.csv", TEXT.replace(b"\n", b"\r\n"), 60, ""),
    "CR": ("e.csv", TEXT.replace(b"\n", b"\r"), 60, ""),
    "CR and LF and CRLF": (
        "e.csv",
        HEAD + b"a,x,1,1700000000\r\nb,y,1,1700000001\nc,z,1,1700000002\r\n",
        3,
        "",
    ),
    "open quote": ("e.csv", with_rows(b'u1,"i1,1,1700000000\n'), None, "quote"),
    "quote inside": ("e.csv", with_rows(b'u1,i"1,1,1700000000\n'), 61, ""),
    "quotes doubled": ("e.csv", with_rows(b'u1,"i ""1""",1,1700000000\n'), 61, ""),
    "separator in quotes": ("e.csv", with_rows(b'u1,"a,b",1,1700000000\n'), 61, ""),
    "line feed in quotes": ("e.csv", with_rows(b'u1,"a\nb",1,1700000000\n'), 60, "control character"),
    "too many fields": ("e.csv", with_rows(b"u1,i1,1,1700000000,9,9,9\n"), 60, "can't be read"),
    "too few fields": ("e.csv", with_rows(b"u1\n"), 60, "item is missing"),
    "empty lines": ("e.csv", with_rows(b"\n\n\n"), 60, ""),
    "columns twice": ("e.csv", b"user,item,item\n1,2,3\n", None, "twice"),
    "columns without a name": ("e.csv", b"user,,item\n1,2,3\n", None, "missing"),
    "100,000 columns": (
        "e.csv",
        b",".join(b"c%d" % n for n in range(100_000)) + b"\n" + b"," * 99_999 + b"\n",
        None,
        "columns",
    ),
    "id of 1 MB": ("e.csv", with_rows(row(item="x" * 1_000_000)), 60, "longer than 512"),
    "id of 513": ("e.csv", with_rows(row(item="x" * 513)), 60, "longer than 512"),
    "id of 512": ("e.csv", with_rows(row(item="x" * 512)), 61, ""),
    "value of 10 MB": ("e.csv", with_rows(row(value="9" * 10_000_000)), 60, "not a finite number"),
    "NaN": ("e.csv", with_rows(row(value="nan"), row(value="NaN")), 60, "not a finite number"),
    "infinite": ("e.csv", with_rows(row(value="inf"), row(value="-Infinity")), 60, "not a finite number"),
    "1e308": ("e.csv", with_rows(row(value="1e308")), 60, "not a finite number"),
    "words as values": ("e.csv", with_rows(row(value="many")), 60, "not a finite number"),
    "negative time": ("e.csv", with_rows(row(time="-1")), 60, "time is before"),
    "time 0": ("e.csv", with_rows(row(time="0")), 60, "time is before"),
    "far future": ("e.csv", with_rows(row(time="4000000000")), 60, "time is after"),
    "time of 40 digits": ("e.csv", with_rows(row(time="9" * 40)), 60, "time is"),
    "time 1e300": ("e.csv", with_rows(row(time="1e300")), 60, "time is"),
    "milliseconds among seconds": ("e.csv", with_rows(row(time="1700000999000")), 61, ""),
    "words as times": ("e.csv", with_rows(row(time="yesterday")), 60, "time is missing"),
    "only words as times": ("e.csv", b"user,item,time\n1,2,soon\n1,3,late\n", None, "expected"),
    "31 February": ("e.csv", b"user,item,time\n1,2,2024-02-31\n1,3,2024-03-01\n", 1, "time is missing"),
    "formula": (
        "e.csv",
        with_rows(row(item="=cmd|' /C calc'!A0"), row(item="@SUM(1)"), row(item="+1")),
        63,
        "",
    ),
    "script": ("e.csv", with_rows(row(item="<script>alert(1)</script>")), 61, ""),
    "SQL": ("e.csv", with_rows(row(user="'; DROP TABLE events; --")), 61, ""),
    "path": ("e.csv", with_rows(row(item="../../etc/passwd")), 61, ""),
    "control character": ("e.csv", with_rows(row(item="a\x07b")), 60, "control character"),
    "C1 control character": ("e.csv", with_rows(row(item="a\x85b")), 60, "control character"),
    "right to left": ("e.csv", with_rows(row(item="\u202egnp.exe")), 61, ""),
    "emoji": ("e.csv", with_rows(row(user="👩‍👩‍👧‍👦", item="🎬")), 61, ""),
    "zero width": ("e.csv", with_rows(row(item="a\u200bb")), 61, ""),
    "not NFC": ("e.csv", with_rows(row(item="e\u0301")), 61, ""),
    "spaces": ("e.csv", with_rows(row(user="  u1  ")), 61, ""),
    "NULL ids": ("e.csv", with_rows(row(user="NULL"), row(item="\\N"), row(item="NaN")), 60, "is missing"),
    "gzip named csv": ("e.csv", gzip.compress(TEXT), 60, ""),
    "csv named gz": ("e.csv.gz", TEXT, 60, ""),
    "gzip twice": ("e.csv.gz", gzip.compress(gzip.compress(TEXT)), None, ""),
    "gzip cut": ("e.csv.gz", gzip.compress(TEXT)[:-12], None, "cut short"),
    "gzip with a wrong sum": ("e.csv.gz", gzip.compress(TEXT)[:-8] + b"\0" * 8, None, "damaged"),
    "gzip of nothing": ("e.csv.gz", gzip.compress(b""), None, "empty"),
    "gzip head only": ("e.csv", b"\x1f\x8b\x08", None, ""),
    "gzip and rubbish": ("e.csv.gz", gzip.compress(TEXT) + b"rubbish", None, ""),
    "zstd": ("e.csv", zstd(TEXT), 60, ""),
    "zstd cut": ("e.csv", zstd(TEXT)[:-5], None, ""),
    "zstd head only": ("e.csv", b"\x28\xb5\x2f\xfd", None, ""),
    "zip": ("e.csv", b"PK\x03\x04" + b"x" * 100, None, "zip"),
    "PDF": ("e.csv", b"%PDF-1.7\n" + b"x" * 100, None, "PDF"),
    "picture": ("e.csv", b"\x89PNG\r\n\x1a\n" + bytes(range(256)), None, ""),
    "program": ("e.csv", b"\x7fELF" + bytes(range(256)) * 4, None, ""),
    "JSON lines named csv": ("e.csv", "\n".join(LINES).encode(), 60, ""),
    "JSON array": ("e.json", b"[" + ",".join(LINES).encode() + b"]", None, "jq"),
    "JSON with arrays and scalars": ("e.jsonl", with_line("[1]", "7", '"x"', "null"), 60, "can't be read"),
    "JSON cut": ("e.jsonl", with_line()[:-9], 59, "can't be read"),
    "JSON 100,000 deep": ("e.jsonl", with_line("[" * 100_000), 60, "can't be read"),
    "JSON 100,000 deep inside": ("e.jsonl", with_line('{"user":' * 100_000), 60, "can't be read"),
    "JSON 100,000 deep and closed": (
        "e.jsonl",
        with_line(event(rest=',"x":' + "[" * 100_000 + "]" * 100_000)),
        60,
        "can't be read",
    ),
    "JSON with mixed ids": ("e.jsonl", with_line(event("7", "1.5")), 61, ""),
    "JSON with truths as ids": ("e.jsonl", with_line(event("true")), 61, ""),
    "JSON with objects as ids": ("e.jsonl", with_line(event('{"a":1}')), 61, ""),
    "JSON with objects as ids only": ("e.jsonl", b'{"user":{"a":1},"item":"i"}\n', None, "can't be an id"),
    "JSON with lists as ids only": ("e.jsonl", b'{"user":[1],"item":"i"}\n', None, "can't be an id"),
    "JSON with null ids": ("e.jsonl", with_line(event("null")), 60, "user is missing"),
    "JSON with 80 digits": ("e.jsonl", with_line(event("9" * 80)), 61, ""),
    "JSON with NaN": (
        "e.jsonl",
        with_line('{"user":"u","item":"i","value":NaN,"time":1700000000}'),
        60,
        "not a finite number",
    ),
    "JSON keys twice": ("e.jsonl", with_line(event(rest=',"user":"b"')), 61, ""),
    "JSON lone surrogate": ("e.jsonl", with_line(event('"\\ud800"')), 60, ""),
    "JSON NUL letter": ("e.jsonl", with_line(event('"a\\u0000b"')), 60, "control character"),
    "JSON of 10 MB in one value": (
        "e.jsonl",
        with_line(event(item='"' + "x" * 10_000_000 + '"')),
        60,
        "longer than 512",
    ),
    "JSON empty objects": ("e.jsonl", b"{}\n{}\n", None, ""),
    "Parquet": ("e.parquet", parquet(FRAME), 40, ""),
    "Parquet named csv": ("e.csv", parquet(FRAME), 40, ""),
    "Parquet cut": ("e.parquet", parquet(FRAME, lambda data: data[:-20]), None, ""),
    "Parquet cut in the middle": (
        "e.parquet",
        parquet(FRAME, lambda data: data[: len(data) // 2]),
        None,
        "",
    ),
    "Parquet with a lying footer": ("e.parquet", parquet(FRAME, lying_footer), None, ""),
    "Parquet of rubbish": ("e.parquet", b"PAR1" + b"\xff" * 200 + b"PAR1", None, ""),
    "Parquet head only": ("e.parquet", b"PAR1", None, ""),
    "Parquet with dates as ids": (
        "e.parquet",
        parquet(FRAME.with_columns(user=pl.date(2024, 1, 1))),
        None,
        "can't be an id",
    ),
    "Parquet with NaN": (
        "e.parquet",
        parquet(FRAME.with_columns(value=pl.lit(float("nan")))),
        None,
        "not a finite number",
    ),
    "no header": ("e.csv", GOOD.replace(b"u", b"").replace(b"i", b""), None, "looks like data"),
    "one column": ("e.csv", b"user\n1\n2\n", None, "no column for the item"),
    "text": ("notes.txt", b"Dear all,\nplease find attached\n", None, ""),
}


@pytest.fixture
def space(tmp_path):
    """A workspace whose log holds one event that must survive."""
    space = Workspace.create(tmp_path / "space")
    with space.log() as log:
        log.append([Event(id="kept", user="u", item="i", time=1_700_000_000_000)])
    return space


def events_in(space):
    with space.reader() as log:
        return len(log.columns())


@pytest.mark.parametrize("case", CASES)
def test_a_hostile_file_costs_its_bad_rows_or_is_refused_in_words(space, tmp_path, case):
    name, content, rows, words = CASES[case]
    path = tmp_path / name
    path.write_bytes(content)
    if rows is None:
        with pytest.raises(DataError) as refused:
            ingest(space, str(path), {}, silent)
        told(refused.value, path, words)
        assert events_in(space) == 1
        return
    report = ingest(space, str(path), {}, silent)
    table = report.tables["events"]
    assert table.rows_out == rows
    assert table.rows_in == rows + sum(table.removed.values())
    assert any(words in reason for reason in (*table.removed, ""))
    assert events_in(space) == 1 + report.accepted


def told(problem, path, words):
    text = str(problem)
    assert path.name in text
    assert words in text
    assert len(text) < 2_000
    assert "Traceback" not in text
    assert any(sign in text for sign in ("xport", "--map", "give", "Add", "Save", "onvert", "expected"))


def damaged(seed):
    """A good file with a few bytes flipped, cut out, doubled or swapped, by chance."""
    rng = random.Random(seed)
    kind = ("csv", "jsonl", "parquet", "csv.gz")[seed % 4]
    whole = {
        "csv": TEXT,
        "jsonl": "\n".join(LINES).encode(),
        "parquet": parquet(FRAME),
        "csv.gz": gzip.compress(TEXT),
    }
    data = bytearray(whole[kind])
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(len(data))
        match rng.randrange(4):
            case 0:
                data[at] ^= 1 << rng.randrange(8)
            case 1:
                del data[at : at + rng.randrange(1, 20)]
            case 2:
                data[at:at] = data[at : at + rng.randrange(1, 30)]
            case _:
                data[at:at] = rng.choice([b"\0", b'"', b",", b"\r", b"\xff\xfe", b"\xc3", b"{", b"\n"])
    return f"e.{kind}", bytes(data)


@pytest.mark.parametrize("seed", [*range(60), 1860])
def test_a_damaged_file_is_read_or_refused(tmp_path, seed):
    name, content = damaged(seed)
    (tmp_path / name).write_bytes(content)
    try:
        tables = load_tables(tmp_path / name, quarantine=tmp_path / "q.jsonl")
    except DataError as refused:
        told(refused, tmp_path / name, "")
    else:
        report = tables.report.tables["events"]
        assert report.rows_in == report.rows_out + sum(report.removed.values())


def test_a_packed_file_may_not_fill_the_disk(space, tmp_path):
    bomb = tmp_path / "e.csv.gz"
    with gzip.open(bomb, "wb", compresslevel=9) as stream:
        stream.write(HEAD)
        for _ in range(40):
            stream.write(b"u,i,1,1700000000\n" * 65_536)
    with pytest.raises(DataError, match=r"unpacks to over 100 times its size.*unpack it yourself"):
        ingest(space, str(bomb), {}, silent)
    packed = tmp_path / "z.csv"
    packed.write_bytes(zstd(HEAD + b"u,i,1,1700000000\n" * 65_536 * 40))
    with pytest.raises(DataError, match="unpacks to over 100 times its size"):
        ingest(space, str(packed), {}, silent)


def test_pipes_devices_and_circles_of_links_are_no_files(space, tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    os.mkfifo(folder / "events.csv")
    (folder / "items.csv").symlink_to(folder / "items.csv")
    (folder / "users.csv").symlink_to("/dev/zero")
    (folder / "more").symlink_to(folder)
    for source in (folder, folder / "events.csv", folder / "items.csv", "/dev/zero", "/dev/null"):
        with pytest.raises(DataError):
            ingest(space, str(source), {}, silent)
    assert events_in(space) == 1


def test_a_link_named_by_hand_is_followed(space, tmp_path):
    (tmp_path / "real.csv").write_bytes(TEXT)
    (tmp_path / "link.csv").symlink_to(tmp_path / "real.csv")
    assert ingest(space, str(tmp_path / "link.csv"), {}, silent).accepted == 60


def test_unreadable_folders_are_told(space, tmp_path):
    folder = tmp_path / "in"
    (folder / "events.csv").mkdir(parents=True)
    with pytest.raises(DataError, match="nothing that can be read"):
        ingest(space, str(folder), {}, silent)


PEAK = """
import resource, sys
from pathlib import Path
from polyscene.core.errors import DataError
from polyscene.dataset.load import load_tables
load_tables(Path(sys.argv[1]))
before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
try:
    load_tables(Path(sys.argv[2]))
except DataError:
    pass
print((resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) // 1024)
"""


@pytest.mark.parametrize(
    "case", ["bomb", "value of 10 MB", "100,000 columns", "JSON 100,000 deep and closed", "id of 1 MB"]
)
def test_memory_grows_by_the_size_of_the_file_and_no_more(tmp_path, case):
    (tmp_path / "good.csv").write_bytes(TEXT)
    path = tmp_path / CASES.get(case, ("e.csv.gz",))[0]
    if case == "bomb":
        path.write_bytes(gzip.compress(HEAD + b"u,i,1,1700000000\n" * 65_536 * 40))
    else:
        path.write_bytes(CASES[case][1])
    command = [sys.executable, "-c", PEAK, str(tmp_path / "good.csv"), str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 50 + 4 * path.stat().st_size / 2**20


def test_a_pipe_that_never_ends_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "e.csv")
    done = []

    def look():
        with pytest.raises(DataError, match=r"e\.csv"):
            load_tables(tmp_path / "e.csv")
        done.append(True)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    thread.join(30)
    assert done
