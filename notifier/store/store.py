"""What the worker asks of the database. The one place, with its neighbours here, that speaks SQL.

Two connections: one writes (see writer.py), one only reads and never checkpoints.
"""

import asyncio
import sqlite3
from collections.abc import AsyncIterator, Collection, Iterable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

from sqlalchemy import Executable, Row, event
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from notifier.errors import StoreUnavailable
from notifier.model import (
    DeliveryState,
    Mark,
    Message,
    Observation,
    PendingDelivery,
    PreviousRun,
    ReceiverState,
    Settlement,
    Snapshot,
    Watched,
    WatchedSync,
    WorkspaceState,
)
from notifier.store import statements as sql
from notifier.store.sqlite import Role, explained, set_up, url
from notifier.store.writer import Writer

PRUNE_AT_ONCE = 1_000


class Store:
    """The worker's database, open. Made by `open_store`."""

    def __init__(self, path: Path, writer: AsyncConnection, reader: AsyncConnection) -> None:
        self.path = path
        self._writing = writer
        self._reader = reader
        self._reading = asyncio.Lock()
        self._writer = Writer(writer, path, sql.WRITES)
        self._identity = _identity(path)

    @property
    def works(self) -> bool:
        """Whether the last write succeeded."""
        return self._writer.works

    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that is open: SQLite writes to a deleted file silently."""
        return _identity(self.path) == self._identity

    async def changes_from_outside(self) -> int:
        """A number that differs once another process has written (SQLite's data_version)."""
        raw = await self._writing.get_raw_connection()
        driver: Any = raw.driver_connection
        try:
            async with driver.execute("PRAGMA data_version") as cursor:
                (version,) = await cursor.fetchone()
        except sqlite3.Error as error:  # the driver's own: this one statement does not pass through SQLAlchemy
            raise StoreUnavailable(f"{self.path}: {error}") from error
        return int(version)

    async def _read(self, statement: Executable, **parameters: object) -> Sequence[Row[Any]]:
        async with self._reading:
            with explained(self.path):
                if self._reader.invalidated:  # SQLAlchemy gives a connection up whose statement was cancelled
                    await self._reader.rollback()  # it connects anew at the next statement
                return (await self._reader.execute(statement, parameters)).all()

    # --- the worker itself ---

    async def save_worker(self, version: str, started_at: datetime, last_seen_at: datetime) -> None:
        """The sign of life."""
        row = {"id": 1, "version": version, "started_at": started_at, "last_seen_at": last_seen_at}
        await self._writer.write((sql.SAVE_WORKER, [row]))

    async def workspaces(self) -> dict[str, WorkspaceState]:
        rows = await self._read(sql.WORKSPACES)
        return {row.name: WorkspaceState(**row._mapping) for row in rows}

    async def save_workspace(self, state: WorkspaceState) -> None:
        row = {name: getattr(state, name) for name in WorkspaceState.__slots__}
        await self._writer.write((sql.SAVE_WORKSPACE, [row]))

    async def forget_workspace(self, name: str) -> None:
        """All that was known of a workspace that the watchlist no longer names; events and deliveries stay."""
        await self._writer.write(*((statement, [{"of_workspace": name}]) for statement in sql.FORGET_WORKSPACE))

    # --- watching ---

    async def syncs(self, workspace: str) -> list[WatchedSync]:
        """Every sync that is or was watched."""
        return [
            WatchedSync(
                sync_id=row.sync_id,
                label=row.label,
                watched=row.watched,
                mark=Mark(row.mark_run_id, row.mark_created_at, row.floor) if row.marked else None,
                missing_listings=row.missing_listings,
            )
            for row in await self._read(sql.SYNCS, workspace=workspace)
        ]

    async def save_listed(self, workspace: str, listed: Iterable[tuple[int, str | None, int]]) -> None:
        """Watched syncs as a listing showed them: ID, label, and how many listings in a row lacked them."""
        rows = [
            {"workspace": workspace, "sync_id": sync_id, "label": label, "missing_listings": missing}
            for sync_id, label, missing in listed
        ]
        await self._writer.write((sql.SAVE_LISTED_SYNC, rows))

    async def forget_syncs(self, workspace: str, sync_ids: Iterable[int]) -> None:
        """Takes marks and snapshots away, but those of runs that are watched by their ID.

        The row stays, so that a sync that is covered again gets a baseline.
        """
        rows = [{"of_workspace": workspace, "of_sync_id": sync_id} for sync_id in sync_ids]
        await self._writer.write((sql.FORGET_SNAPSHOTS, rows), (sql.FORGET_SYNC, rows))

    async def snapshots(self, workspace: str, run_ids: Collection[int]) -> dict[int, Snapshot]:
        rows = await self._read(sql.SNAPSHOTS, workspace=workspace, run_ids=list(run_ids))
        return {row.run_id: _snapshot(row) for row in rows}

    async def followed(self, workspace: str) -> list[tuple[int, int, datetime]]:
        """Runs that have not ended: sync, run, and when the run last changed."""
        rows = await self._read(sql.FOLLOWED, workspace=workspace)
        return [(row.sync_id, row.run_id, row.changed_at) for row in rows]

    async def unfollow(self, workspace: str, run_id: int) -> None:
        await self._writer.write((sql.UNFOLLOW, [{"of_workspace": workspace, "of_run_id": run_id}]))

    async def previous_result(
        self, workspace: str, sync_id: int, before: datetime | None, excluding: Collection[int]
    ) -> PreviousRun | None:
        """The sync's last completed or failed run created before a time; without one, the last recorded but some."""
        key = {"workspace": workspace, "sync_id": sync_id}
        if before is not None:
            rows = await self._read(sql.PREVIOUS_RESULT, **key, before=before)
        else:
            rows = await self._read(sql.LATEST_RESULTS, **key, excluding=list(excluding))
        return PreviousRun(rows[0].run_id, rows[0].status) if rows else None

    async def record(self, observation: Observation) -> None:
        """Snapshots, mark, events and their deliveries: all, or none."""
        await self._writer.write(*_observation_rows(observation))

    async def run_watches(self, workspace: str) -> dict[int, tuple[int | None, bool]]:
        """Watches of single runs: the run's sync where known, and whether the watch has ended."""
        rows = await self._read(sql.RUN_WATCHES, workspace=workspace)
        return {row.run_id: (row.sync_id, row.ended_at is not None) for row in rows}

    async def save_run_watch(
        self, workspace: str, run_id: int, sync_id: int | None, ended_at: datetime | None, end_reason: str | None
    ) -> None:
        row = {
            "workspace": workspace,
            "run_id": run_id,
            "sync_id": sync_id,
            "ended_at": ended_at,
            "end_reason": end_reason,
        }
        await self._writer.write((sql.SAVE_RUN_WATCH, [row]))

    async def drop_run_watches(self, workspace: str, run_ids: Iterable[int]) -> None:
        rows = [{"of_workspace": workspace, "of_run_id": run_id} for run_id in run_ids]
        await self._writer.write((sql.DROP_RUN_WATCH, rows))

    # --- delivering ---

    async def receivers(self) -> dict[str, ReceiverState]:
        return {row.name: ReceiverState(**row._mapping) for row in await self._read(sql.RECEIVERS)}

    async def abandon_all_but(self, receivers: Collection[str], now: datetime) -> None:
        """Pending deliveries of receivers that are gone become dead."""
        names = list(receivers)
        await self._writer.write(
            (sql.ABANDON, [{"names": names, "now": now}]), (sql.FORGET_RECEIVERS, [{"names": names}])
        )

    async def pending(self, receiver: str, after: int, most: int) -> list[PendingDelivery]:
        """The oldest pending deliveries whose ID is greater than `after`, in order."""
        return [_pending(row) for row in await self._read(sql.PENDING, receiver=receiver, after=after, most=most)]

    async def pending_in_lane(
        self, receiver: str, workspace: str, sync_id: int, after: int, upto: int, most: int
    ) -> list[PendingDelivery]:
        """As `pending`, of one sync, and of IDs up to `upto`."""
        lane = {"of_workspace": workspace, "of_sync_id": sync_id, "upto": upto}
        rows = await self._read(sql.PENDING_IN_LANE, receiver=receiver, **lane, after=after, most=most)
        return [_pending(row) for row in rows]

    async def count_pending(self) -> int:
        """Deliveries that are pending, of all receivers."""
        return int((await self._read(sql.COUNT_PENDING))[0][0])

    async def message(self, event_id: str) -> Message:
        (row,) = await self._read(sql.EVENT, event_id=event_id)
        return Message(row.id, row.type, row.body)

    async def begin_attempt(self, delivery_id: int, at: datetime) -> None:
        """Remembers that the receiver may have the message from now on, whatever becomes of this process."""
        await self._writer.write((sql.BEGIN_ATTEMPT, [{"of_id": delivery_id, "new_maybe_sent_at": at}]))

    async def settle(self, settlement: Settlement, receiver: ReceiverState | None = None) -> None:
        """Keeps the outcome of an attempt, and what it says of the receiver."""
        groups: list[tuple[Executable, list[dict[str, Any]]]] = [(sql.SETTLE, [_settlement_row(settlement)])]
        if receiver is not None:
            groups.append((sql.SAVE_RECEIVER, [_receiver_row(receiver)]))
        await self._writer.write(*groups)

    # --- retention ---

    async def prune(self, cutoff: datetime) -> None:
        """Removes finished deliveries, events without any, and snapshots, all from before `cutoff`, bit by bit."""
        many = {"cutoff": cutoff, "most": PRUNE_AT_ONCE}
        while (await self._read(sql.LEFT_OVER, **many))[0][0]:
            await self._writer.write((sql.PRUNE_DELIVERIES, [many]), (sql.PRUNE_EVENTS, [many]))
        for row in await self._read(sql.CROWDED_SYNCS):
            key = [{"of_workspace": row.workspace, "of_sync_id": row.sync_id, "cutoff": cutoff}]
            await self._writer.write((sql.RAISE_FLOOR, key), (sql.PRUNE_SNAPSHOTS, key))


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    """Opens a database that `migrate` has brought up to date. Raises DatabaseUnusable."""
    writing, reading = _engine(path, "worker"), _engine(path, "reader")
    try:
        async with AsyncExitStack() as connections:
            with explained(path, opening=True):
                writer = await connections.enter_async_context(writing.connect())
                reader = await connections.enter_async_context(reading.connect())
                await reader.execution_options(isolation_level="AUTOCOMMIT")
            store = Store(path, writer, reader)
            store._writer.start()
            try:
                yield store
            finally:
                await store._writer.close()
    finally:
        # Each connection has a thread, which a connection left open would leave behind.
        # The reader's first: the last to close empties the WAL into the file, which a reader can't.
        await reading.dispose()
        await writing.dispose()


def _engine(path: Path, role: Role) -> AsyncEngine:
    engine = create_async_engine(url(path, "aiosqlite", "ro" if role == "reader" else "rw"), poolclass=StaticPool)

    @event.listens_for(engine.sync_engine, "connect")
    def _connect(connection: Any, _record: object) -> None:
        connection.isolation_level = None
        set_up(connection, role)

    if role == "worker":

        @event.listens_for(engine.sync_engine, "begin")
        def _begin(connection: Any) -> None:
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return engine


def _identity(path: Path) -> tuple[int, int] | None:
    try:
        stat = path.stat()
    except OSError:
        return None
    return stat.st_dev, stat.st_ino


def _snapshot(row: Row[Any]) -> Snapshot:
    return Snapshot(
        run_id=row.run_id,
        sync_id=row.sync_id,
        watched=Watched(row.status, row.canceled, row.error_code, row.error_message, row.error_detail),
        created_at=row.created_at,
        updated_at=row.updated_at,
        changed_at=row.changed_at,
        followed=row.followed,
    )


def _pending(row: Row[Any]) -> PendingDelivery:
    return PendingDelivery(**{name: getattr(row, name) for name in PendingDelivery.__slots__})


def _observation_rows(seen: Observation) -> list[tuple[Executable, list[dict[str, Any]]]]:
    key = {"workspace": seen.workspace, "sync_id": seen.sync_id}
    rows: list[tuple[Executable, list[dict[str, Any]]]] = []
    if seen.mark is not None:
        mark = {"mark_run_id": seen.mark.run_id, "mark_created_at": seen.mark.created_at, "floor": seen.mark.floor}
        rows.append((sql.MOVE_MARK, [{**key, "label": seen.label, **mark}]))
    if seen.gap is not None:
        gap = {
            "new_gap_noticed_at": seen.gap.noticed_at,
            "new_gap_oldest_run_id": seen.gap.oldest_reported_run_id,
        }
        rows.append((sql.NOTE_GAP, [{"of_workspace": seen.workspace, "of_sync_id": seen.sync_id, **gap}]))
    rows.append((sql.SAVE_SNAPSHOT, [_snapshot_row(seen.workspace, snapshot) for snapshot in seen.snapshots]))
    rows.append(
        (
            sql.ADD_EVENT,
            [
                {**key, "id": e.id, "type": e.type, "run_id": e.run_id, "seen_at": e.seen_at, "body": e.body}
                for e in seen.events
            ],
        )
    )
    rows.append(
        (
            sql.ADD_DELIVERY,
            [
                {
                    **key,
                    "event_id": e.id,
                    "event_type": e.type,
                    "receiver": receiver,
                    "state": DeliveryState.PENDING,
                    "created_at": e.seen_at,
                    "next_attempt_at": e.seen_at,
                    "clock_started_at": e.seen_at,
                }
                for e in seen.events
                for receiver in e.receivers
            ],
        )
    )
    return rows


def _snapshot_row(workspace: str, snapshot: Snapshot) -> dict[str, Any]:
    watched = snapshot.watched
    return {
        "workspace": workspace,
        "sync_id": snapshot.sync_id,
        "run_id": snapshot.run_id,
        "status": watched.status,
        "canceled": watched.canceled,
        "error_code": watched.error_code,
        "error_message": watched.error_message,
        "error_detail": watched.error_detail,
        "counted": watched.is_counted,
        "followed": snapshot.followed,
        "created_at": snapshot.created_at,
        "updated_at": snapshot.updated_at,
        "changed_at": snapshot.changed_at,
    }


def _receiver_row(state: ReceiverState) -> dict[str, Any]:
    return {name: getattr(state, name) for name in ReceiverState.__slots__}


def _settlement_row(settlement: Settlement) -> dict[str, Any]:
    finished = settlement.state is not DeliveryState.PENDING
    return {
        "of_id": settlement.delivery_id,
        "new_state": settlement.state,
        "new_attempts": settlement.attempts,
        "new_next_attempt_at": settlement.next_attempt_at,
        "new_first_failed_at": settlement.first_failed_at,
        "new_aside": settlement.aside,
        "new_finished_at": settlement.settled_at if finished else None,
        "new_last_error": settlement.last_error,
        "new_maybe_sent_at": settlement.maybe_sent_at,
    }
