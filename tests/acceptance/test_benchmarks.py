"""`make bench` in small: it runs, and every row says something. No figure is judged here."""

import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.__main__ import ROWS

SAYS = {
    "rest": ("CPU per poll at rest", "peak memory", "new connections in a round"),
    "round": ("a round of 50 at 100 ms, 16 at once ",),
    "told": ("seen to delivered, Slack", "seen to delivered, webhook"),
    "requests": ("requests a minute at rest, 20 syncs", "requests a minute at rest, 20 syncs, at most 10 a second"),
    "news": (
        "change to message, the notifier, 20 syncs, hints trusted",
        "change to message, the notifier, 20 syncs, hints off",
        "change to message, the notifier, 20 syncs, nothing announced",
        "change to message, a plain poller, 20 syncs",
    ),
    "burst": ("burst: 30 runs",),
    "start": ("start with 30 syncs and 1,000 events",),
    "commands": ("start-up of `notifier status`", "start-up of `notifier status`, no byte code"),
    "upgrade": ("upgrade to 0009 with 30 syncs and 1,000 events",),
    "move": ("a move of 1,000 events (", "a move of 1,000 events from PostgreSQL to SQLite"),
    "growth": ("growth: CPU per poll",),
    "engines": ("a commit of 1 change", "a commit of 20 changes", "a commit of 200 changes"),
    "change": (
        "20 changes to a webhook and to Slack: CPU of the worker",
        "20 changes to a webhook and to Slack: commits",
        "20 changes to a webhook and to Slack: rows that PostgreSQL wrote",
    ),
    "replicas": (
        "1, 2 replicas: parts of each",
        "1, 2 replicas: polls a second at rest, of 40 wanted",
        "1, 2 replicas: writing transactions a change",
        "1, 2 replicas: change to message",
    ),
    "pair": (
        "new beside old, `notifier status`: CPU",
        "new beside old, `notifier run --once`, 20 syncs: peak memory",
        "new beside old, a change to a webhook: CPU",
    ),
    "peers": ("peers",),
    "absence": ("one of three workers: SIGTERM",),
}

ON_POSTGRESQL = ("engines", "move", "change", "replicas", "absence")


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize(
    "name", [pytest.param(name, marks=pytest.mark.postgresql) if name in ON_POSTGRESQL else name for name in ROWS]
)
def test_a_benchmark_runs_and_prints_its_rows_of_the_table(name: str) -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "benchmarks", "--smoke", name]
    ended = subprocess.run(command, cwd=root, capture_output=True, text=True, timeout=580, check=False)
    assert ended.returncode == 0, ended.stderr
    table = [line for line in ended.stdout.splitlines() if line.startswith("|")]
    missing = [row for row in SAYS[name] if not any(row in line for line in table)]
    assert missing == [], ended.stdout
    assert all(line.count("|") == 5 for line in table)
