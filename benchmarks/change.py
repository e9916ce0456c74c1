"""What a change costs a whole worker on SQLite and on PostgreSQL: two workers with the same syncs, turn by turn.

In a turn each sync of one of them has a new run, all at the same moment, and a webhook and Slack are told of each; the
other is at rest meanwhile. What polls at rest cost was measured before, and is taken off. Slack's channels have their
pace, so that there are many of them. PostgreSQL is this machine's, by loopback; both write through to the disk.
"""

import struct
import time
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.database import Database, Done
from benchmarks.engines import DURABLE
from benchmarks.processes import Process, Workspace, worker
from benchmarks.scene import Scene
from benchmarks.table import Figure, percentile, spread
from tests.postgres.programs import REMEDY, programs
from tests.postgres.server import own_server

COMMITS: Final = 8
"""Where SQLite's index of its log counts them (iChange of WalIndexHdr)."""
NOBODY: Final = Done(0, 0, 0, 0, 0, 0, 0)


CHANNELS: Final = 50
"""Of Slack; each takes one message a second."""


@dataclass(frozen=True, slots=True)
class _Looked:
    """What a side has used and done so far."""

    at: float
    cpu: float
    commits: float
    server: Done


class _Side:
    """A worker on one of the engines: on a file where there is no `database`. All figures are of a turn's changes."""

    def __init__(self, workspace: Workspace, process: Process, directory: Path, database: Database | None) -> None:
        self.workspace = workspace
        self._process = process
        self._index = directory / "notifier.db-shm"
        self._database = database
        self._at_rest = (0.0, 0.0)
        self.walls: list[float] = []
        self.waits: list[float] = []
        self.cpus: list[float] = []
        self.of_server: list[float] = []
        self.commits: list[float] = []
        self.done: list[Done] = []

    @property
    def totals(self) -> list[float]:
        """CPU of the worker and its connections at the server."""
        return [ours + theirs for ours, theirs in zip(self.cpus, self.of_server, strict=True)]

    def look(self) -> _Looked:
        """At both its process and its database."""
        server = self._database.done() if self._database else NOBODY
        commits = server.writes if self._database else self._commits()
        return _Looked(time.monotonic(), self._process.cpu, commits, server)

    def _commits(self) -> int:
        with self._index.open("rb") as index:
            index.seek(COMMITS)
            return int(struct.unpack("=I", index.read(4))[0])

    def rested(self, before: _Looked) -> None:
        """What was used since then is what polls at rest use."""
        now = self.look()
        took = now.at - before.at
        self._at_rest = ((now.cpu - before.cpu) / took, now.server.since(before.server).cpu / took)

    def turn(self, syncs: int) -> None:
        """Each sync changes, and all is told."""
        self.workspace.set_up(happened={}, changed={}, posts=[])
        before = self.look()
        self.workspace.tell("add_runs", list(range(1, syncs + 1)))
        self.workspace.wait_for("posts", 2 * syncs, 180)
        time.sleep(1.5)  # the last outcome is kept, and the server has added up what it did
        now, seen = self.look(), self.workspace.seen()
        took, done = now.at - before.at, now.server.since(before.server)
        self.walls.append(max(seen["posts"]) - before.at)
        self.waits += [1_000 * (seen["told"][run] - at) for run, at in seen["changed"].items()]
        self.cpus.append(1_000 * (now.cpu - before.cpu - took * self._at_rest[0]) / syncs)
        self.of_server.append(1_000 * (done.cpu - took * self._at_rest[1]) / syncs)
        self.commits.append((now.commits - before.commits) / syncs)
        self.done.append(done)


def measure(scene: Scene) -> list[Figure]:
    if programs() is None:
        return [Figure("a change on two engines", f"not measured: {REMEDY}")]
    syncs, turns, rest = scene.size(1_000, 20), scene.size(3, 1), scene.size(20, 2)
    with ExitStack() as stack:
        server = stack.enter_context(own_server(DURABLE))
        url = stack.enter_context(server.database())
        database = stack.enter_context(Database(server, url))
        sides = [_side(scene, stack, syncs, None), _side(scene, stack, syncs, database)]
        for side in sides:
            side.workspace.wait_for("polls", 2 * syncs)
        before = [side.look() for side in sides]
        time.sleep(rest)
        for side, old in zip(sides, before, strict=True):
            side.rested(old)
        for number in range(turns):
            for side in reversed(sides) if number % 2 else sides:
                side.turn(syncs)
    return _figures(sides[0], sides[1], syncs)


def _side(scene: Scene, stack: ExitStack, syncs: int, database: Database | None) -> _Side:
    name = "PostgreSQL" if database else "SQLite"
    workspace = stack.enter_context(scene.api.workspace(f"change-{name}", syncs))
    directory = scene.directory / name
    place = f"database: '{database.url}'\n" if database else ""
    interval = f"{scene.size(10, 1)}s"
    process = worker(
        directory, workspace, poll_interval=interval, hints=False, rest=place + _receivers(workspace, syncs)
    )
    return _Side(workspace, stack.enter_context(process), directory, database)


def _receivers(workspace: Workspace, syncs: int) -> str:
    """A webhook is told of every run, and each of many Slack channels of its share of them."""
    slack = f"type: slack, api_url: '{workspace.slack}'"
    lines = ["watches: [{syncs: all}]", "receivers:", f"  hook: {{type: webhook, url: '{workspace.hook}'}}"]
    for number in range(CHANNELS):  # a token each: the API says of all that they are the same channel
        token, channel = f"xoxb-benchmark-token-{number}", f"C0123456{number:03}"
        lines.append(f"  channel{number}: {{{slack}, token: {token}, channel: {channel}}}")
    lines += ["routes:", "  - {events: [sync_run.*], receivers: [hook]}"]
    for number in range(min(CHANNELS, syncs)):
        own = ", ".join(str(sync_id) for sync_id in range(number + 1, syncs + 1, CHANNELS))
        lines.append(f"  - {{events: [sync_run.*], syncs: [{own}], receivers: [channel{number}]}}")
    return "\n".join([*lines, ""])


def _figures(sqlite: _Side, postgres: _Side, syncs: int) -> list[Figure]:
    what = f"{syncs:,} changes to a webhook and to Slack"
    both = (sqlite, postgres)
    done = postgres.done
    rows, own, log = (
        f"{median(values) / syncs:.3g}"
        for values in (
            [each.rows for each in done],
            [each.own_rows for each in done],
            [each.wal / 1e3 for each in done],
        )
    )
    waits = "; ".join(f"{percentile(side.waits, 50):.0f} and {percentile(side.waits, 99):.0f} ms" for side in both)
    return [
        _beside(f"{what}: CPU of the worker", "ms a change", sqlite.cpus, postgres.cpus),
        _beside(
            f"{what}: CPU of the worker and its connections at the server", "ms a change", sqlite.cpus, postgres.totals
        ),
        _beside(f"{what}: commits", "a change", sqlite.commits, postgres.commits),
        _beside(f"{what}: until all is told", "s", sqlite.walls, postgres.walls),
        Figure(f"{what}: seen to told, p50 and p99", f"SQLite {waits.replace('; ', '; PostgreSQL ')}", "shown"),
        Figure(
            f"{what}: rows that PostgreSQL wrote",
            f"{rows} a change, and {own} that only replicas have; {log} kB of its log",
            "shown",
        ),
    ]


def _beside(what: str, unit: str, sqlite: Sequence[float], postgres: Sequence[float]) -> Figure:
    """The ratio is of turns that followed one another."""
    ratios = [theirs / ours for ours, theirs in zip(sqlite, postgres, strict=True)]
    said = f"SQLite {median(sqlite):.3g}, PostgreSQL {median(postgres):.3g} {unit}: {spread(ratios)} x"
    return Figure(what, said, "shown")
