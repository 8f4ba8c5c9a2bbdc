"""5,000 requests that schemathesis makes from the API's document, on a tiny world.

python -m bench.fuzz                          5,000 cases
python -m bench.fuzz --cases 500 --seed 3
"""

import argparse
import sys
import tempfile
import time
from pathlib import Path

import httpx

from polyscene.observe.logs import set_up
from polyscene.testing.fuzz import fuzz
from polyscene.testing.service import live, tiny_workspace


def main() -> int:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--cases", type=int, default=5_000)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    set_up("error")
    start = time.perf_counter()
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as folder:
        root = tiny_workspace(Path(folder) / "workspace").root
        with live(root) as url:
            document = httpx.get(f"{url}/openapi.json").json()
            # a good request to this one starts a training; its own tests look at it
            found = fuzz(
                url, document, options.cases, options.seed, skip=lambda label: label == "POST /v1/jobs"
            )
    print(f"{found.requests} requests in {time.perf_counter() - start:.0f} s: {dict(found.statuses)}")
    for what, how in found.breaches.items():
        print(f"- {what}\n  {how[:400]}")
    print(f"{len(found.breaches)} breaches")
    return 1 if found.breaches or found.requests < options.cases * 0.8 else 0


if __name__ == "__main__":
    sys.exit(main())
