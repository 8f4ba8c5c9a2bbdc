"""The shim that stands between a process and its disk, compiled where there is a compiler."""

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

SOURCE = Path(__file__).with_name("shim.c")


@pytest.fixture(scope="session")
def shim(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, str]]:
    """Gives the environment for a child under the shim: `shim(root, eio=path, trace=path, cut=path)`."""
    compiler = shutil.which("gcc") or shutil.which("cc")
    if not compiler or not Path("/proc/self/fd").is_dir():
        pytest.skip("no C compiler or no /proc: the disk of a child can't be tampered with")
    library = tmp_path_factory.mktemp("shim") / "shim.so"
    command = [compiler, "-shared", "-fPIC", "-O1", "-o", library, SOURCE, "-ldl"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    if done.returncode:
        pytest.skip(f"the shim can't be compiled here: {done.stderr[:200]}")

    def environment(root: Path, **files: Path) -> dict[str, str]:
        told = {f"SHIM_{name.upper()}": str(path) for name, path in files.items()}
        return {**os.environ, "LD_PRELOAD": str(library), "SHIM_ROOT": str(root.resolve()), **told}

    return environment
