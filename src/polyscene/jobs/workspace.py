"""The workspace: one folder that holds a product's log, scenarios and bundles."""

import tomllib
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Annotated, cast

import msgspec

from polyscene.artifacts.shelf import Shelf
from polyscene.core.config import Config, fill, read
from polyscene.core.errors import ConfigError, NotFoundError
from polyscene.events.log import EventLog, LogReader
from polyscene.jobs.store import KINDS, Store
from polyscene.scenario.file import Scenario, load_scenarios

Positive = Annotated[int, msgspec.Meta(ge=1)]
Natural = Annotated[int, msgspec.Meta(ge=0)]
FILE = "polyscene.toml"
NEWEST_QUALITY = "quality.json"
"""The report of the last job that looked at the quality of the log's data."""


class ServeSettings(Config, frozen=True, kw_only=True, tag="serve"):
    """How the service listens and how much work it takes on at once.

    `hosts`: names by which clients reach it, beside those of this machine. `rate`: requests a second of a
    key that has no limit of its own; `anonymous_rate`: of all who come without a key to a service that has
    none; 0 is no limit.
    """

    host: str = "127.0.0.1"
    port: Annotated[int, msgspec.Meta(ge=0, le=65535)] = 8000
    hosts: tuple[str, ...] = ()
    workers: Positive = 1
    backlog: Positive = 10
    rate: Annotated[float, msgspec.Meta(ge=0)] = 0
    anonymous_rate: Annotated[float, msgspec.Meta(ge=0)] = 0
    drain_s: Annotated[float, msgspec.Meta(ge=0, le=600)] = 2


class TrainSettings(Config, frozen=True, kw_only=True, tag="train"):
    """How fits run. `budget_s` 0 means no limit, `threads` 0 every core.

    `floor`: a bundle is promoted only if its ndcg@10 is at least this share of the current one's; 0: any.
    """

    seed: Natural = 0
    threads: Natural = 0
    budget_s: Annotated[float, msgspec.Meta(ge=0)] = 0
    keep_bundles: Positive = 5
    floor: Annotated[float, msgspec.Meta(ge=0)] = 0.8


@dataclass(frozen=True, slots=True)
class Workspace:
    """A workspace folder and its settings; opening its parts is up to the caller."""

    root: Path
    serve: ServeSettings
    train: TrainSettings
    store: Store

    @classmethod
    def create(cls, root: Path) -> "Workspace":
        """The workspace at `root`, made with the starter scenarios where there is none yet."""
        (root / "scenarios").mkdir(parents=True, exist_ok=True)
        if not (root / FILE).exists():
            for starter in files("polyscene.scenario").joinpath("starter").iterdir():
                if starter.name.endswith(".toml"):
                    (root / "scenarios" / starter.name).write_bytes(starter.read_bytes())
            (root / FILE).write_bytes(files("polyscene.jobs").joinpath("starter", FILE).read_bytes())
        return cls.open(root)

    @classmethod
    def open(cls, root: Path) -> "Workspace":
        """The workspace at `root`.

        Raises:
            NotFoundError: There is no workspace; `polyscene ingest` makes one.
            ConfigError: Its settings file can't be read.
        """
        path = root / FILE
        if not path.is_file():
            raise NotFoundError(
                f"no workspace at {root}: {FILE} is missing; "
                f"make one with `polyscene ingest SOURCE --workspace {root}`"
            )
        try:
            raw = tomllib.loads(path.read_text(encoding="utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as problem:
            raise ConfigError(f"{path}: not readable as TOML: {problem}") from problem
        unknown = sorted(set(raw) - {"serve", "train", "store"})
        if unknown:
            raise ConfigError(f"{path}: unknown table [{unknown[0]}]; known: [serve], [train], [store]")
        store = raw.get("store", {})
        if isinstance(store, dict):
            store = {"kind": "sqlite", **store}
        return cls(
            root,
            fill(ServeSettings, raw.get("serve", {}), f"{path} [serve]"),
            fill(TrainSettings, raw.get("train", {}), f"{path} [train]"),
            cast("Store", read(KINDS, store, f"{path} [store]")),
        )

    def log(self) -> EventLog:
        """The event log, open for writing; the caller closes it."""
        return self.store.log(self.root)

    def reader(self) -> LogReader:
        """The event log, open for reading, also while a service writes to it; the caller closes it.

        Raises:
            NotFoundError: Nothing was ever ingested or posted.
        """
        return self.store.reader(self.root)

    def shelf(self) -> Shelf:
        """The fitted bundles."""
        return Shelf(self.root / "bundles")

    def scenarios(self) -> dict[str, Scenario]:
        """Every scenario file, checked, by name."""
        return load_scenarios(self.root / "scenarios")

    def quarantine(self, name: str) -> Path:
        """Where cleaning puts the rows of the source `name` that it refused."""
        folder = self.root / "quarantine"
        folder.mkdir(exist_ok=True)
        return folder / f"{name}.jsonl"
