"""python -m faults [--short] [--seed N] [ROW ...]: exit code 1 when a row fails."""

import argparse
import random
import sys

from faults.row import Size
from faults.runner import all_rows, judge, table


def main() -> int:
    """Runs the rows that are named, or all."""
    parser = argparse.ArgumentParser(prog="python -m faults", description=__doc__)
    parser.add_argument("--short", action="store_true", help="a little of everything, for CI")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("rows", type=int, nargs="*", metavar="ROW", help="numbers of rows (default: all)")
    options = parser.parse_args()
    known = all_rows()
    if unknown := set(options.rows) - {row.number for row in known}:
        parser.error(f"there is no row {', '.join(map(str, sorted(unknown)))}")
    size = Size(options.short, options.seed)
    print(f"seed {size.seed}", flush=True)
    verdicts = []
    for row in known:
        if not options.rows or row.number in options.rows:
            print(f"row {row.number}: {row.title}", flush=True)
            verdicts.append(judge(row, size))
    print(table(verdicts, size))
    return 0 if all(verdict.passed for verdict in verdicts) else 1


if __name__ == "__main__":
    sys.exit(main())
