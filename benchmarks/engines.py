"""What a commit costs on SQLite and on PostgreSQL, turn by turn in one run: wall time, and this process' CPU a change.

A change is what a poll records that found one: a mark, a snapshot, an event, two deliveries. PostgreSQL is this
machine's, by loopback, and writes through to the disk as SQLite does (`fsync` on); what it does in its own processes is
not counted.
"""

import asyncio
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from benchmarks.scene import Scene
from benchmarks.table import Figure, percentile
from notifier.model.event import Addressee, Event, EventType, Observation
from notifier.model.run import Snapshot, Watched
from notifier.model.sync import Mark
from notifier.store.migrate import migrate
from notifier.store.store import Store, open_store
from notifier.watchlist.database import ServerUrl
from tests.postgres.programs import REMEDY, programs
from tests.postgres.server import own_server

AT_ONCE: Final = (1, 20, 200)
NOW: Final = datetime(2026, 1, 1, tzinfo=UTC)
DURABLE: Final = {"fsync": "on", "full_page_writes": "on"}


def measure(scene: Scene) -> list[Figure]:
    if programs() is None:
        return [Figure("commits on two engines", f"not measured: {REMEDY}")]
    path = scene.directory / "notifier.db"
    path.parent.mkdir(parents=True, exist_ok=True)
    migrate(path)
    with own_server(DURABLE) as server, server.database() as url:
        migrate(ServerUrl(url))
        return asyncio.run(_measured(path, ServerUrl(url), scene.size(60, 2)))


async def _measured(path: Path, place: ServerUrl, turns: int) -> list[Figure]:
    figures = []
    async with open_store(path) as sqlite, open_store(place) as postgres:
        await postgres.seat.until(trusted=True)
        for count in AT_ONCE:
            took: dict[Store, list[tuple[float, float]]] = {sqlite: [], postgres: []}
            for _ in range(turns):
                for store, figures_of in took.items():
                    figures_of.append(await _commit(store, count))
            figures.append(_figure(count, took[sqlite], took[postgres]))
    return figures


def _figure(count: int, sqlite: Sequence[tuple[float, float]], postgres: Sequence[tuple[float, float]]) -> Figure:
    said = [
        f"{name} {percentile([wall for wall, _ in took], 50) * 1_000:.1f} ms, "
        f"{percentile([cpu for _, cpu in took], 50) / count * 1_000_000:.0f} us of CPU a change"
        for name, took in (("SQLite", sqlite), ("PostgreSQL", postgres))
    ]
    return Figure(f"a commit of {count} change{'s' if count > 1 else ''}", "; ".join(said), "shown")


class _Numbers:
    """Each run, sync and event is a new one."""

    last = 0

    @classmethod
    def next(cls) -> int:
        cls.last += 1
        return cls.last


async def _commit(store: Store, count: int) -> tuple[float, float]:
    """Seconds, and seconds of CPU."""
    seen = [_change(_Numbers.next()) for _ in range(count)]
    wall, cpu = time.monotonic(), time.process_time()
    await asyncio.gather(*map(store.watching.record, seen))
    return time.monotonic() - wall, time.process_time() - cpu


def _change(number: int) -> Observation:
    snapshot = Snapshot(
        run_id=number,
        sync_id=number,
        watched=Watched("failed", canceled=False, error_code="E", error_message="It failed", error_detail=None),
        created_at=NOW,
        updated_at=NOW,
        changed_at=NOW,
        followed=False,
    )
    event = Event(
        id=f"evt_{number}",
        type=EventType.FAILED,
        workspace="main",
        sync_id=number,
        run_id=number,
        seen_at=NOW,
        body=b"{}" * 500,
        addressees=(Addressee("one"), Addressee("two")),
    )
    mark = Mark(number, NOW, None)
    return Observation("main", number, "A sync", snapshots=(snapshot,), events=(event,), mark=mark)
