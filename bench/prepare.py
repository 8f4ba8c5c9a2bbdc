"""Twenty million events prepared beside DuckDB and Polars: CPU seconds, memory, and whether all agree.

    python -m bench.prepare                        20 million events as CSV and Parquet; 4 GB of disk
    python -m bench.prepare --events 2000000

Events are drawn (seeded): items by Zipf's law, users by a log-normal, ids are texts, 5 in 10,000 users are
missing and one row in 1,000 is there twice. The job: read, drop rows without a user and exact copies, give
users, items and actions dense codes in the order of their ids, sort by user, time and row, write columns.
Each tool runs in a process of its own, in turn; memory is its highest resident size, ours held against the
bytes kept.
"""
# ruff: noqa: S608 - the queries are built from this file's own words

import argparse
import json
import resource
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import polars as pl

from bench.board import Figure, keep
from polyscene.dataset.clean import CleaningRules
from polyscene.dataset.prepare.job import PrepareRequest, prepare
from polyscene.dataset.prepare.prepared import open_prepared, read_manifest

USERS, ITEMS, PARTS = 200_000, 100_000, 10
START, SPAN = 1_700_000_000, 365 * 86_400
MEMORY_MB = 1024
COLUMNS = ("user", "item", "action", "value", "time")


def draw(events: int, seed: int = 0) -> Iterator[pl.DataFrame]:
    """The events in parts, each later than the one before, with some that come late."""
    rng = np.random.default_rng(seed)
    users = pl.Series([f"user-{each:07d}" for each in rng.permutation(10 * USERS)[:USERS]])
    items = pl.Series([f"sku-{each:06x}" for each in rng.permutation(16 * ITEMS)[:ITEMS]])
    of_users = np.cumsum(rng.lognormal(0, 1.2, USERS))
    of_items = np.cumsum(1 / np.arange(1, ITEMS + 1) ** 0.9)
    size = events // PARTS
    for part in range(PARTS):
        action = rng.choice(3, size, p=[0.85, 0.1, 0.05])
        times = START + (SPAN * (part + np.sort(rng.random(size))) / PARTS).astype(np.int64)
        late = np.where(rng.random(size) < 0.02, rng.integers(0, 86_400, size), 0)
        frame = pl.DataFrame(
            {
                "user": users[np.searchsorted(of_users, rng.random(size) * of_users[-1])],
                "item": items[np.searchsorted(of_items, rng.random(size) * of_items[-1])],
                "action": pl.Series(["view", "cart", "purchase"])[action],
                "value": np.where(action == 2, rng.lognormal(3, 1, size).round(2), 1.0),
                "timestamp": times - late,
            }
        )
        missing = pl.Series(rng.random(size) < 0.0005)
        frame = frame.with_columns(user=pl.when(~missing).then("user"))
        copies = frame.sample(size // 1000, seed=part)
        yield pl.concat([frame[: size - len(copies)], copies])


def ours(source: str, out: Path) -> None:
    rules = CleaningRules(near_ms=0, bot_per_day=None)
    request = PrepareRequest(source=source, folder=out / "prepared", rules=rules, memory_mb=MEMORY_MB)
    prepare(request)


def duckdb(source: str, out: Path) -> None:
    import duckdb as duck

    csv = source.endswith("csv")
    files = f"{source}/*.{'csv' if csv else 'parquet'}"
    reader = f"read_csv('{files}', all_varchar=true, header=true)" if csv else f"read_parquet('{files}')"
    base = duck.connect(str(out / "work.db"))
    base.execute(f"SET memory_limit='{MEMORY_MB}MB'; SET temp_directory='{out}/spill'")
    base.execute(
        f"""CREATE TABLE raw AS SELECT "user", item, action, CAST(value AS FLOAT) AS value,
        CAST(timestamp AS BIGINT) * 1000 AS time, row_number() OVER () AS place FROM {reader}
        WHERE "user" <> ''"""
    )
    for name, kind in (("user", "INTEGER"), ("item", "INTEGER"), ("action", "SMALLINT")):
        base.execute(
            f"""CREATE TABLE of_{name} AS SELECT "{name}",
            CAST(row_number() OVER (ORDER BY "{name}") - 1 AS {kind}) AS code
            FROM (SELECT DISTINCT "{name}" FROM raw)"""
        )
    base.execute(
        f"""COPY (SELECT u.code AS "user", i.code AS item, a.code AS action, value, time FROM
        (SELECT "user", item, action, value, time, min(place) AS place FROM raw GROUP BY ALL)
        JOIN of_user u USING ("user") JOIN of_item i USING (item) JOIN of_action a USING (action)
        ORDER BY u.code, time, place) TO '{out}/out.parquet' (COMPRESSION uncompressed)"""
    )


def polars(source: str, out: Path) -> None:
    csv = source.endswith("csv")
    frame = (
        pl.scan_csv(f"{source}/*.csv", infer_schema=False)
        if csv
        else pl.scan_parquet(f"{source}/*.parquet")
    )
    frame = frame.with_row_index("place").select(
        "user",
        "item",
        "action",
        pl.col("value").cast(pl.Float32),
        (pl.col("timestamp").cast(pl.Int64) * 1000).alias("time"),
        "place",
    )
    frame = frame.filter(pl.col("user") != "")
    coded = frame
    for name, kind in (("user", pl.Int32), ("item", pl.Int32), ("action", pl.Int16)):
        ids = frame.select(pl.col(name).unique()).collect(engine="streaming").sort(name)
        codes = ids.with_columns(pl.arange(len(ids)).cast(kind).alias(f"{name}_code"))
        coded = coded.join(codes.lazy(), on=name).drop(name).rename({f"{name}_code": name})
    coded.group_by(COLUMNS).agg(pl.col("place").min()).sort("user", "time", "place").drop(
        "place"
    ).sink_parquet(out / "out.parquet", compression="uncompressed", engine="streaming")


TOOLS = {"ours": ours, "DuckDB": duckdb, "Polars": polars}


def run(tool: str, source: Path, out: Path) -> dict[str, float]:
    """CPU seconds, wall seconds and MB of one tool in a process of its own."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    command = [sys.executable, "-m", "bench.prepare", "--run", tool, str(source), str(out)]
    began, before = time.perf_counter(), resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True)
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return {
        "cpu": used.ru_utime + used.ru_stime - before.ru_utime - before.ru_stime,
        "wall": time.perf_counter() - began,
        "mb": float(done.stdout.split()[-1]),
    }


def high_water_mb() -> float:
    """The highest resident size of this process; what getrusage tells counts the parent's from before."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith("VmHWM"))


def result(tool: str, out: Path) -> pl.DataFrame:
    """What a tool wrote, as columns."""
    if tool != "ours":
        return pl.read_parquet(out / "out.parquet").select(COLUMNS)
    histories = open_prepared(out / "prepared", verify=True).data.histories
    return pl.DataFrame(
        {"user": histories.rows().astype(np.int32), **{name: histories[name] for name in COLUMNS[1:]}}
    )


def measure(folder: Path, events: int, form: str) -> list[Figure]:
    source = folder / f"events.{form}"
    source.mkdir(parents=True)
    for number, part in enumerate(draw(events)):
        path = source / f"events-{number:02}.{form}"
        part.write_csv(path) if form == "csv" else part.write_parquet(path)
    costs = {tool: run(tool, source, folder / tool) for tool in TOOLS}
    kept = read_manifest(folder / "ours" / "prepared").bytes
    expected = result("ours", folder / "ours")
    for tool in ("DuckDB", "Polars"):
        if not result(tool, folder / tool).equals(expected):
            raise SystemExit(f"{form}: {tool} and ours differ")
    for tool, cost in costs.items():
        print(f"{form} {tool:7} {json.dumps({name: round(each, 1) for name, each in cost.items()})}")
    mine, best = costs["ours"], min(costs[tool]["cpu"] for tool in ("DuckDB", "Polars"))
    note = ", ".join(f"{tool} {cost['cpu']:.0f} s and {cost['mb']:,.0f} MB" for tool, cost in costs.items())
    return [
        Figure(f"{form}: peak memory over bytes kept", mine["mb"] * 2**20 / kept, at_most=3, note=note),
        Figure(f"{form}: CPU over the better of DuckDB and Polars", mine["cpu"] / best, at_most=1, note=""),
        Figure(f"{form}: CPU s", mine["cpu"], note=f"{len(expected):,} events kept, {kept / 1e6:.0f} MB"),
    ]


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--events", type=int, default=20_000_000)
    parser.add_argument("--run", nargs=3, help=argparse.SUPPRESS)
    asked = parser.parse_args()
    if asked.run:
        tool, source, out = asked.run
        TOOLS[tool](source, Path(out))
        print(high_water_mb())
        return
    figures = []
    for form in ("csv", "parquet"):
        with tempfile.TemporaryDirectory(prefix="polyscene-prepare-") as folder:
            figures += measure(Path(folder), asked.events, form)
    for each in figures:
        print(f"{each.what:50} {each.value:>8.4g}  {each.target:8} {each.verdict:8} {each.note}")
    if asked.events >= 20_000_000:
        keep("prepare", "python -m bench.prepare", figures)


if __name__ == "__main__":
    main()
