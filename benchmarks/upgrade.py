"""The migration that rebuilds the most, to 0009, of a database with a million events: how long, and how much disk."""

import os
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

from benchmarks.scene import Scene
from benchmarks.start import DELIVERIES, EVENTS
from benchmarks.table import Figure
from faults import old_database

OTHER_RECEIVER = """
INSERT INTO deliveries (event_id, event_type, receiver, workspace, sync_id, state, attempts, created_at,
                        clock_started_at, finished_at, story)
SELECT id, type, 'growth', workspace, sync_id, 'delivered', 1, seen_at, seen_at, seen_at,
       printf('run:%d:%d:production', run_id, sync_id)
FROM events WHERE seq % 5 = 0
"""
SYNCS = """
WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some WHERE n < :syncs)
INSERT INTO syncs (workspace, sync_id, label, watched, marked, mark_run_id, mark_created_at, floor)
SELECT 'production', n, printf('Sync %d', n), 1, 1, n * 100, 1, 1 FROM some
"""
SNAPSHOTS = """
WITH RECURSIVE some(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM some WHERE n < :syncs * 100)
INSERT INTO snapshots (workspace, sync_id, run_id, status, counted, followed, created_at, updated_at, changed_at,
                       completed_at, records_sent, counts)
SELECT 'production', (n - 1) / 100 + 1, n, 'completed', 1, 0, n, n, n, n, 1000,
       '{"records_processed": 1000, "records_updated": 1000, "records_failed": 0, "records_invalid": 0}'
FROM some
"""


def measure(scene: Scene) -> list[Figure]:
    syncs, events = scene.size(2_000, 30), scene.size(1_000_000, 1_000)
    scene.directory.mkdir()
    database = scene.directory / "n.db"
    make(database, syncs, events)
    before = database.stat().st_size
    (scene.directory / "watchlist.yaml").write_text(f"version: 1\ndatabase: sqlite:///{database}\n")
    began = time.monotonic()
    notifier = str(Path(sys.executable).with_name("notifier"))
    command = [notifier, "migrate", "--config", str(scene.directory / "watchlist.yaml")]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL) as process:
        beside = 0
        while process.poll() is None:
            beside = max(beside, sum(_size(file) for file in scene.directory.glob("n.db*")) - before)
            time.sleep(0.02)
    took = time.monotonic() - began
    if process.returncode:
        raise RuntimeError(f"notifier migrate ended with {process.returncode}")
    return [
        Figure(
            f"upgrade to 0009 with {syncs:,} syncs and {events:,} events ({before / 1e6:,.0f} MB)",
            f"{took:.0f} s, {beside / 1e6:,.0f} MB more disk meanwhile, {_size(database) / 1e6:,.0f} MB in the end",
        )
    ]


def make(database: Path, syncs: int, events: int) -> None:
    old_database.empty(database, "0008")
    with closing(sqlite3.connect(database)) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(EVENTS, {"syncs": syncs, "events": events, "body": b"x" * 1_200})
        connection.execute(DELIVERIES)
        connection.execute(OTHER_RECEIVER)
        connection.execute(SYNCS, {"syncs": syncs})
        connection.execute(SNAPSHOTS, {"syncs": syncs})
        connection.commit()
    with database.open("rb") as file:
        os.fsync(file)


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # gone meanwhile
        return 0
