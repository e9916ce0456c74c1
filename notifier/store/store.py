"""What the worker asks of the database, as a whole; each stage is handed its own half of it.

Two connections: one writes (see writer.py), one only reads. That one never checkpoints SQLite's WAL.
"""

import asyncio
from collections.abc import AsyncIterator, Callable, Collection, Container
from contextlib import asynccontextmanager
from datetime import datetime, timedelta

from notifier.model.delivery import Backlog
from notifier.model.identity import Id
from notifier.model.incident import Check
from notifier.store.database import Database, database_at
from notifier.store.delivering import DeliveringStore
from notifier.store.reader import DatabaseReader, open_reader
from notifier.store.seat import Counters, Introduction, Seat
from notifier.store.sql import retention
from notifier.store.sql import worker as sql
from notifier.store.sql.order import WRITES
from notifier.store.sql.stored import MICROSECOND
from notifier.store.watching import WatchingStore
from notifier.store.writer import Writer
from notifier.watchlist.database import DatabasePlace

PRUNE_AT_ONCE = 1_000
NOBODY = Introduction("", 0, "")


class Store:
    """The worker's database, open. Made by `open_store`."""

    def __init__(
        self, place: DatabasePlace, database: Database, seat: Seat, reader: DatabaseReader, writer: Writer
    ) -> None:
        self.place = place
        self.seat = seat
        self.attending: asyncio.Task[None] = asyncio.create_task(seat.run(writer.thread), name="attend")
        """Takes part in who does the work; a StoreError of it is for good."""
        self.watching = WatchingStore(reader, writer, is_shared=seat.is_shared)
        self.delivering = DeliveringStore(reader, writer)
        self._reader = reader
        self._writer = writer
        self._database = database

    @property
    def works(self) -> bool:
        """Whether the last write succeeded."""
        return self._writer.works

    @property
    def idle(self) -> timedelta:
        """How long ago the last write succeeded."""
        return self.seat.idle or self._writer.idle

    async def hurry(self) -> None:
        """From now on no write waits long for another process' lock: the process is about to end."""
        await self._writer.hurry()

    async def take_alone(self, parts: Collection[str], watchlist: str) -> None:
        """As the seat's. Raises StoreError also where the seat can't be taken for good."""
        taking = asyncio.create_task(self.seat.take_alone(parts, watchlist), name="take the place alone")
        try:
            await asyncio.wait((taking, self.attending), return_when=asyncio.FIRST_COMPLETED)
            if self.attending.done():
                self.attending.result()
            await taking
        finally:
            taking.cancel()

    @property
    def look_every(self) -> timedelta:
        """How often it is worth to ask for `changes_from_outside`."""
        return self._database.look_every

    async def changes_from_outside(self) -> Counters:
        """What others have written, as numbers that move with it. Raises StoreError."""
        return await self._writer.changes_from_outside()

    async def give(self, parts: Collection[str]) -> None:
        """Parts that this worker no longer works at may be another's, behind all that was to be written for them.
        Raises StoreError."""
        if self.seat.is_shared:
            await self._writer.flush()
            await self.seat.give(parts, self._writer.thread)

    def is_in_place(self) -> bool:
        """Whether the database is still the one that was opened: SQLite writes to a deleted file silently."""
        return self._database.is_in_place()

    async def save_worker(self, version: str, started_at: datetime, last_seen_at: datetime) -> None:
        """The sign of life."""
        row = {"id": 1, "version": version, "started_at": started_at, "last_seen_at": last_seen_at}
        await self._writer.write((sql.SAVE_WORKER, [row]))

    async def last_seen_at(self) -> datetime | None:
        """When a worker last gave a sign of life; None where none has. Raises StoreError."""
        return next((row.last_seen_at for row in await self._reader.read(sql.LAST_SEEN)), None)

    async def backlog(self) -> Backlog:
        """What waits, is dead or wrong now, for those who count it."""
        waiting, dead = await self._reader.read(sql.WAITING), await self._reader.read(sql.DEAD)
        incidents = await self._reader.read(sql.OPEN_INCIDENTS)
        return Backlog(
            pending={row.receiver: row.number for row in waiting},
            oldest={row.receiver: row.created_at for row in waiting},
            dead={row.receiver: row.number for row in dead},
            incidents={(row.workspace, Check(row.check)): row.number for row in incidents},
        )

    async def try_it(self) -> None:
        """Writes no more than that this worker is alive; on a shared database that is one write. Raises StoreError."""
        await self._writer.flush()

    async def prune(
        self,
        cutoff: datetime,
        raise_floor: Callable[[str, Id, datetime], None],
        workspaces: Container[str] | None = None,
        *,
        finished: bool = True,
    ) -> None:
        """Removes what is from before `cutoff`, bit by bit: where `finished`, deliveries that are, events without any,
        and stories that are over; and snapshots of these workspaces, or of all.

        `raise_floor` hears of each workspace and sync, before its snapshots go, up to when nothing of it is ever news
        any more: who holds the mark in memory must not take what is forgotten for news.
        """
        if finished:
            await self._prune_finished(cutoff)
        for row in await self._reader.read(retention.CROWDED_SYNCS):
            if workspaces is None or row.workspace in workspaces:
                await self._prune_snapshots(row.workspace, row.sync_id, cutoff, raise_floor, workspaces)

    async def _prune_finished(self, cutoff: datetime) -> None:
        many = {"cutoff": cutoff, "most": PRUNE_AT_ONCE}
        while (await self._reader.read(retention.LEFT_OVER, **many))[0][0]:
            await self._writer.write((retention.PRUNE_DELIVERIES, [many]), (retention.PRUNE_EVENTS, [many]))
        if (await self._reader.read(retention.OLD_STORIES, cutoff=cutoff))[0][0]:
            old = [{"cutoff": cutoff}]
            await self._writer.write(
                (retention.PRUNE_POSTED, old), (retention.PRUNE_INCIDENTS, old), (retention.PRUNE_ALERTS, old)
            )

    async def _prune_snapshots(
        self,
        workspace: str,
        sync_id: Id,
        cutoff: datetime,
        raise_floor: Callable[[str, Id, datetime], None],
        workspaces: Container[str] | None,
    ) -> None:
        key = {"of_workspace": workspace, "of_sync_id": sync_id, "cutoff": cutoff}
        (left,) = await self._reader.read(retention.OLD_SNAPSHOTS, **key)
        if not left.number or (workspaces is not None and workspace not in workspaces):  # it was given away meanwhile
            return
        # Of the same instant some may go and some stay: what goes lies below the floor.
        newest = left.newest and left.newest + MICROSECOND
        if newest is not None:
            raise_floor(workspace, sync_id, newest)
        floor = {**key, "new_floor": newest}
        await self._writer.write((retention.RAISE_FLOOR, [floor]), (retention.PRUNE_SNAPSHOTS, [key]))


@asynccontextmanager
async def open_store(place: DatabasePlace, introduction: Introduction = NOBODY) -> AsyncIterator[Store]:
    """Opens a database that `migrate` has brought up to date, and takes a place at it. Raises DatabaseUnusable."""
    database = database_at(place)
    seat = database.seat(introduction)
    # The reader is closed first: the last to close empties SQLite's WAL into the file, which a reader can't.
    async with database.writing() as thread, open_reader(database) as reader:
        writer = Writer(thread, database, seat, WRITES)
        writer.start()
        store = Store(place, database, seat, reader, writer)
        try:
            with database.in_use():
                yield store
        finally:
            store.attending.cancel()
            await asyncio.gather(store.attending, return_exceptions=True)
            await writer.close()
            await seat.leave(writer.thread)
