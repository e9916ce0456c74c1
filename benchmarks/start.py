"""A start with 10,000 syncs and a million old events in the database: from the process' birth to its first poll."""

import os
import sqlite3
from pathlib import Path
from statistics import median

from benchmarks.processes import worker
from benchmarks.scene import Scene
from benchmarks.table import Figure

STARTS = 3
EVENTS = """
WITH RECURSIVE old(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM old WHERE n < :events)
INSERT INTO events (id, type, workspace, sync_id, run_id, seen_at, body)
SELECT printf('evt_%032x', n), 'sync_run.completed', 'production', n % :syncs + 1, n,
       (unixepoch() - 2419200) * 1000000 + 2419200 * 1000000 / :events * n, :body
FROM old
"""
DELIVERIES = """
INSERT INTO deliveries (event_id, event_type, receiver, workspace, sync_id, state, attempts, created_at,
                        clock_started_at, finished_at)
SELECT id, type, 'hook', workspace, sync_id, 'delivered', 1, seen_at, seen_at, seen_at FROM events
"""


def measure(scene: Scene) -> list[Figure]:
    syncs, events = scene.size(10_000, 30), scene.size(1_000_000, 1_000)
    directory = scene.directory / "worker"
    with scene.api.workspace("before", syncs) as workspace, worker(directory, workspace, rate=100_000):
        workspace.wait_for("polls", syncs)
    _add_history(directory / "notifier.db", syncs, events)
    took = [_start(scene, directory, syncs, number) for number in range(STARTS)]
    size = (directory / "notifier.db").stat().st_size / 1e6
    return [
        Figure(
            f"start with {syncs:,} syncs and {events:,} events ({size:,.0f} MB)",
            f"first poll after {median(took):.2f} s ({min(took):.2f} to {max(took):.2f})",
            "<= 2 s",
            median(took) <= 2,
        )
    ]


def _start(scene: Scene, directory: Path, syncs: int, number: int) -> float:
    with scene.api.workspace(f"start-{number}", syncs) as workspace, worker(directory, workspace) as process:
        workspace.wait_for("polls", 1)
        return float(workspace.tell("counts")["first_poll_at"]) - process.started_at


def _add_history(database: Path, syncs: int, events: int) -> None:
    """Four weeks of events, each delivered; within the retention, so that none of it is removed at the start."""
    with sqlite3.connect(database) as connection:
        connection.execute("PRAGMA synchronous=OFF")
        connection.execute(EVENTS, {"syncs": syncs, "events": events, "body": b"x" * 1_200})
        connection.execute(DELIVERIES)
    connection.close()
    with database.open("rb") as file:
        os.fsync(file)  # else the worker's first commit would wait for all this to reach the disk
