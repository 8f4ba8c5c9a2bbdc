"""A service that tells, at its end, what it opened outside its workspace and whom it dialled.

python watched_child.py WORKSPACE      tells its URL, then serves until its standard input ends
"""

import json
import os
import sys
from pathlib import Path

from polyscene.observe.logs import set_up
from polyscene.serve.settings import LineLimits, Settings
from polyscene.testing.service import live

OPENING = frozenset(
    ["open", "os.listdir", "os.scandir", "os.remove", "os.rename", "os.mkdir", "os.link", "os.symlink"]
)
DIALLING = frozenset(
    ["socket.connect", "socket.getaddrinfo", "subprocess.Popen", "os.system", "os.exec", "urllib.Request"]
)


def main() -> None:
    root = Path(sys.argv[1]).resolve()
    found: set[str] = set()
    code = tuple(os.path.realpath(each) for each in {*sys.path, sys.prefix, sys.base_prefix} if each)

    def watch(event: str, arguments: tuple[object, ...]) -> None:
        if event in DIALLING:
            found.add(f"{event} {arguments[1:]}")
        elif event in OPENING and isinstance(arguments[0], str | bytes | os.PathLike):
            path = os.path.realpath(os.fsdecode(arguments[0]))
            # modules that are imported on first use lie beside the program; counters read /proc about it
            own = (f"{root}{os.sep}", f"/proc/{os.getpid()}/", *code)
            if not path.startswith(own) and path not in (str(root), "/dev/null"):
                found.add(f"{event} {path}")

    set_up("info", as_json=True)
    settings = Settings(
        line=LineLimits(head_s=0.3, linger_s=0.2, idle_s=0.5), body_timeout_s=0.3, lines_timeout_s=0.3
    )
    with live(root, settings) as url:
        sys.stdout.write(f"{url}\n")
        sys.stdout.flush()
        sys.addaudithook(watch)
        sys.stdin.read()
        told = sorted(found)
    sys.stdout.write(json.dumps(told))


if __name__ == "__main__":
    main()
