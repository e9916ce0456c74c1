"""make bench: measures the rows that are named, or all, and prints one table.

python -m benchmarks [--smoke] [ROW ...]
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

from benchmarks import (
    absence,
    burst,
    commands,
    engines,
    growth,
    move,
    news,
    peers,
    requests,
    rest,
    rounds,
    start,
    told,
    upgrade,
)
from benchmarks.processes import Api
from benchmarks.scene import Scene
from benchmarks.table import Figure, rendered

ROWS: dict[str, Callable[[Scene], list[Figure]]] = {
    "rest": rest.measure,
    "round": rounds.measure,
    "told": told.measure,
    "requests": requests.measure,
    "news": news.measure,
    "burst": burst.measure,
    "start": start.measure,
    "commands": commands.measure,
    "upgrade": upgrade.measure,
    "move": move.measure,
    "growth": growth.measure,
    "engines": engines.measure,
    "peers": peers.measure,
    "absence": absence.measure,
}


def main() -> int:
    """Measures and prints. Exit code 1 where a row could not be measured; a target that is missed is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all, unless some are named")
    parser.add_argument("--smoke", action="store_true", help="small numbers: whether it runs, not how quick it is")
    options = parser.parse_args()
    if unknown := set(options.rows) - ROWS.keys():
        parser.error(f"no row is named {', '.join(sorted(unknown))}")
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process of a row is left behind
    figures: list[Figure] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="notifier-bench-") as directory:
        for name in options.rows or ROWS:
            begun, before = time.monotonic(), len(figures)
            try:
                with Api() as api:
                    figures += ROWS[name](Scene(api, Path(directory, name), options.smoke))
            except (OSError, RuntimeError, AssertionError, subprocess.TimeoutExpired) as error:
                failed = True
                figures.append(Figure(name, f"could not be measured: {error!r}"))
            print(f"{name}, in {time.monotonic() - begun:.0f} s", file=sys.stderr)
            for figure in figures[before:]:
                print(f"  {figure.what}: {figure.measured}", file=sys.stderr, flush=True)
    print(f"\n{_machine()}\n\n{rendered(figures)}")
    return int(failed)


def _machine() -> str:
    """What all this ran on."""
    names = [line for line in Path("/proc/cpuinfo").read_text().splitlines() if line.startswith("model name")]
    model = names[0].partition(":")[2].strip() if names else platform.machine()
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    load = os.getloadavg()[2]
    return (
        f"{len(os.sched_getaffinity(0))} cores of {model}, {memory:.0f} GiB, Linux {platform.release()}, "
        f"CPython {platform.python_version()}; load of the last quarter of an hour {load:.1f}"
    )


if __name__ == "__main__":
    sys.exit(main())
