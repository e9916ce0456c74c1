"""python -m faults [--short] [--seed N] [--jobs N] [ROW ...]: exit code 1 when a row fails."""

import argparse
import random
import signal
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

from faults.row import Row, Size
from faults.runner import Verdict, all_rows, judge, table


def main() -> int:
    """Runs the rows that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of everything, for CI")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--jobs", type=int, default=1, help="rows at once (default 1)")
    parser.add_argument("rows", type=int, nargs="*", metavar="ROW", help="numbers of rows (default: all)")
    options = parser.parse_args()
    known = all_rows()
    if unknown := set(options.rows) - {row.number for row in known}:
        parser.error(f"there is no row {', '.join(map(str, sorted(unknown)))}")
    size = Size(options.short, options.seed)
    print(f"seed {size.seed}", flush=True)
    chosen = [row for row in known if not options.rows or row.number in options.rows]
    chosen.sort(key=lambda row: size.pick(*row.limits), reverse=True)  # else the longest would run on alone at the end
    stop = threading.Event()
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # rows and their workers end with us

    def judged(row: Row) -> Verdict:
        print(f"row {row.number}: {row.title}", flush=True)
        return judge(row, size, stop)

    with ThreadPoolExecutor(options.jobs) as jobs:
        try:
            verdicts = list(jobs.map(judged, chosen))
        except KeyboardInterrupt:
            stop.set()
            raise
    print(table(sorted(verdicts, key=lambda verdict: verdict.row.number), size))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
