"""A PostgreSQL server of one's own, for tests and measurements: on a socket, gone afterwards."""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from pwd import getpwall
from typing import Literal

from polyscene.core.errors import NotFoundError

SUPERUSER = "postgres"
_QUICK = "listen_addresses='' fsync=off shared_buffers=64MB max_wal_size=256MB log_min_messages=fatal"
"""A killed server loses nothing without fsync; only a power cut would."""


class Cluster:
    """A private server; nobody reaches it but through the socket in its folder."""

    def __init__(self, folder: Path, settings: str = _QUICK) -> None:
        self.folder, self._settings = folder, settings

    @property
    def dsn(self) -> str:
        """Where it listens."""
        return f"host={self.folder} user={SUPERUSER} dbname=postgres"

    def start(self) -> None:
        """Returns when it takes connections."""
        options = " ".join(f"-c {setting}" for setting in self._settings.split())
        self._control("start", "-o", f"-k {self.folder} {options}", "-l", str(self.folder / "server.log"))

    def stop(self, mode: Literal["fast", "immediate"] = "fast") -> None:
        """Returns when it is down; `immediate` is a crash: the next start recovers."""
        self._control("stop", "-m", mode)

    def promote(self) -> None:
        """Makes a standby the primary."""
        self._control("promote")

    @contextmanager
    def standby(self) -> Iterator["Cluster"]:
        """A second server that follows this one and takes no writes until it is promoted."""
        with _folder() as folder:
            _run(folder, "pg_basebackup", "-d", self.dsn, "-D", str(folder / "data"), "-R", "-c", "fast")
            yield from _running(Cluster(folder, self._settings))

    def _control(self, *arguments: str) -> None:
        _run(self.folder, "pg_ctl", "-w", "-t", "60", "-D", str(self.folder / "data"), *arguments)


@contextmanager
def cluster(settings: str = _QUICK) -> Iterator[Cluster]:
    """A new, running server that is stopped and deleted at the end.

    Raises:
        NotFoundError: No server is installed here.
    """
    with _folder() as folder:
        trust = ("--auth=trust", "-U", SUPERUSER, "--encoding=UTF8", "--no-sync")
        _run(folder, "initdb", "-D", str(folder / "data"), *trust)
        yield from _running(Cluster(folder, settings))


def binaries() -> Path:
    """The folder of `initdb` and `pg_ctl`.

    Raises:
        NotFoundError: No server is installed here.
    """
    found = shutil.which("initdb")
    if found is not None:
        return Path(found).resolve().parent
    versions = Path("/usr/lib/postgresql").glob("*/bin/initdb")
    newest = max(versions, key=lambda path: int(path.parts[-3]), default=None)
    if newest is None:
        raise NotFoundError("postgres: no server found; install one, such as Debian's package postgresql")
    return newest.parent


@contextmanager
def _folder() -> Iterator[Path]:
    # not under pytest's folders: others may not look into those, and a socket's path has to be short
    folder = Path(tempfile.mkdtemp(prefix="polyscene-pg-"))
    try:
        if os.getuid() == 0:
            shutil.chown(folder, _account())
        yield folder
    finally:
        shutil.rmtree(folder)


def _running(server: Cluster) -> Iterator[Cluster]:
    server.start()
    try:
        yield server
    finally:
        if (server.folder / "data" / "postmaster.pid").exists():
            server.stop("immediate")


def _account() -> str:
    """Whom to run the server as, since it refuses to run as root."""
    return SUPERUSER if SUPERUSER in {account.pw_name for account in getpwall()} else "nobody"


def _run(folder: Path, program: str, *arguments: str) -> None:
    command = [str(binaries() / program), *arguments]
    if os.getuid() == 0:
        command = ["setpriv", f"--reuid={_account()}", "--clear-groups", *command]
    with (folder / "run.log").open("a", encoding="utf-8") as log:
        done = subprocess.run(command, stdout=log, stderr=log, cwd=folder, check=False)
    if done.returncode:
        raise RuntimeError(f"{program}: {(folder / 'run.log').read_text(encoding='utf-8')}")
