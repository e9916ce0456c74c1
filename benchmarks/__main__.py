"""make bench: measures the rows that are named, or all, and prints one table.

python -m benchmarks [--smoke] [ROW ...]
python -m benchmarks [--smoke] pair OLD NEW        two checkouts of the project, each with its .venv
"""

import argparse
import os
import platform
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Final

from benchmarks import (
    absence,
    burst,
    change,
    commands,
    engines,
    growth,
    move,
    news,
    pair,
    peers,
    replicas,
    requests,
    rest,
    rounds,
    start,
    told,
    upgrade,
)
from benchmarks.processes import ROOT, Api
from benchmarks.scene import Scene
from benchmarks.table import Figure, rendered

PAIR: Final = "pair"
"""Not among all rows, as it wants to be told what to compare."""
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
    "change": change.measure,
    "replicas": replicas.measure,
    PAIR: pair.measure,
    "peers": peers.measure,
    "absence": absence.measure,
}


def main() -> int:
    """Measures and prints. Exit code 1 where a row could not be measured; a target that is missed is no failure."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", description=__doc__)
    parser.add_argument("rows", nargs="*", metavar="ROW", help=f"of {', '.join(ROWS)}; all, unless some are named")
    parser.add_argument("--smoke", action="store_true", help="small numbers: whether it runs, not how quick it is")
    options = parser.parse_args()
    rows, checkouts = _sorted(options.rows, parser)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that no process of a row is left behind
    figures: list[Figure] = []
    failed = False
    with tempfile.TemporaryDirectory(prefix="notifier-bench-") as directory:
        for name in rows or [row for row in ROWS if row != PAIR]:
            begun, before = time.monotonic(), len(figures)
            try:
                with Api() as api:
                    figures += ROWS[name](Scene(api, Path(directory, name), options.smoke, checkouts))
            except (OSError, RuntimeError, AssertionError, subprocess.TimeoutExpired) as error:
                failed = True
                figures.append(Figure(name, f"could not be measured: {error!r}"))
            print(f"{name}, in {time.monotonic() - begun:.0f} s", file=sys.stderr)
            for figure in figures[before:]:
                print(f"  {figure.what}: {figure.measured}", file=sys.stderr, flush=True)
    print(f"\n{_machine()}\n\n{rendered(figures)}")
    return int(failed)


def _sorted(words: Sequence[str], parser: argparse.ArgumentParser) -> tuple[list[str], tuple[Path, Path]]:
    """The rows among what was asked for, and the two checkouts; one is beside itself where none are named."""
    rows = [word for word in words if word in ROWS]
    others = [word for word in words if word not in ROWS]
    if unknown := [word for word in others if not pair.is_checkout(Path(word))]:
        parser.error(f"no row is named {', '.join(unknown)}, and no checkout with its .venv is there")
    if not others:
        return rows, (ROOT, ROOT)
    if PAIR not in rows or len(others) != 2:
        parser.error("pair takes two checkouts, and no other row takes any")
    return rows, (Path(others[0]).resolve(), Path(others[1]).resolve())


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
