"""What the worker asks of the database. The one place, with its neighbours here, that speaks SQL.

Two connections: one writes (see writer.py), one only reads and never checkpoints.
"""

import sqlite3
from collections.abc import AsyncIterator, Callable, Collection, Container, Iterable, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Executable, Row

from notifier.model.delivery import Backlog, Message, PendingDelivery, Posted, ReceiverState, Settlement, Shown, Story
from notifier.model.errors import StoreUnavailable
from notifier.model.event import CensusAlert, Observation, run_story
from notifier.model.incident import Check, CountedTo, Incident
from notifier.model.run import GoodRun, PreviousRun, Result, Snapshot
from notifier.model.sync import Mark, RunWatch, Standing, WatchedSync, WorkspaceState
from notifier.store.sql import order as sql
from notifier.store.sql.rows import (
    alert_key,
    incident_of,
    mentions_of,
    observation_rows,
    pending_of,
    receiver_row,
    result_of,
    settlement_row,
    snapshot_of,
    standing_row,
)
from notifier.store.sql.schema import MICROSECOND, NONE
from notifier.store.sqlite.files import engine_for, explained, identity, open_here, wait_for_lock
from notifier.store.sqlite.reader import Reader, open_reader
from notifier.store.sqlite.thread import OwnThread, own_thread
from notifier.store.writer import Writer

PRUNE_AT_ONCE = 1_000
MOST_PARAMETERS = 10_000  # of one statement; SQLite takes 32,766, and an answer of 16 MB may name more runs
SHORT_PATIENCE = 0.5  # seconds


class Store:
    """The worker's database, open. Made by `open_store`."""

    def __init__(self, path: Path, writer: OwnThread, reader: Reader) -> None:
        self.path = path
        self._writing = writer
        self._reader = reader
        self._writer = Writer(writer, path, sql.WRITES)
        self._identity = identity(path)

    @property
    def works(self) -> bool:
        """Whether the last write succeeded."""
        return self._writer.works

    @property
    def idle(self) -> timedelta:
        """How long ago the last write succeeded."""
        return self._writer.idle

    async def hurry(self) -> None:
        """From now on no write waits long for another process' lock: the process is about to end."""
        await self._writing.run(partial(wait_for_lock, SHORT_PATIENCE))

    def is_in_place(self) -> bool:
        """Whether the file at the path is still the one that is open: SQLite writes to a deleted file silently."""
        return identity(self.path) == self._identity

    async def changes_from_outside(self) -> int:
        """A number that differs once another process has written (SQLite's data_version)."""
        try:
            return await self._writing.run(_data_version)
        except sqlite3.Error as error:  # the driver's own: this one statement does not pass through SQLAlchemy
            raise StoreUnavailable(f"{self.path}: {error}") from error

    async def _read(self, statement: Executable, **parameters: object) -> Sequence[Row[Any]]:
        return await self._reader.read(statement, parameters)

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
        """Every sync that is or was watched, or was shown when it was new."""
        return [
            WatchedSync(
                sync_id=row.sync_id,
                label=row.label,
                watched=row.watched,
                mark=Mark(row.mark_run_id, row.mark_created_at, row.floor) if row.marked else None,
                missing_listings=row.missing_listings,
                standing=Standing(row.paused, row.scheduled, row.stale_from),
                deleted=row.deleted,
                unread_since=row.unread_since,
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

    async def save_shown(self, workspace: str, labels: Mapping[int, str | None]) -> None:
        """Syncs that a listing showed and nobody watches, with their labels."""
        rows = [{"workspace": workspace, "sync_id": sync_id, "label": label} for sync_id, label in labels.items()]
        await self._writer.write((sql.SAVE_SHOWN_SYNC, rows))

    async def save_unread(self, workspace: str, sync_id: int, since: datetime | None, error: str | None) -> None:
        """Since when the runs of a sync can't be read, and why; None: they can."""
        here = {"of_workspace": workspace, "of_sync_id": sync_id}
        await self._writer.write((sql.SAVE_UNREAD, [{**here, "new_unread_since": since, "new_last_error": error}]))

    async def save_standings(self, workspace: str, standings: Mapping[int, Standing]) -> None:
        """What a listing, or a poll, showed of watched syncs beside their runs."""
        await self._writer.write(
            (sql.SAVE_STANDING, [standing_row(workspace, sync_id, s) for sync_id, s in standings.items()])
        )

    async def forget_syncs(
        self,
        workspace: str,
        sync_ids: Iterable[int],
        last: Iterable[Observation] = (),
        *,
        deleted: Container[int] = (),
    ) -> None:
        """Takes marks and snapshots away, but those of runs that are watched by their ID.

        The row stays, so that a sync that is covered again gets a baseline, and that it was `deleted` is told once.
        `last`: what there is to tell of it.
        """
        rows = [{"of_workspace": workspace, "of_sync_id": sync_id} for sync_id in sync_ids]
        forgotten = [{**row, "new_deleted": row["of_sync_id"] in deleted} for row in rows]
        told = [group for observation in last for group in observation_rows(observation)]
        await self._writer.write((sql.FORGET_SNAPSHOTS, rows), (sql.FORGET_SYNC, forgotten), *told)

    async def snapshots(self, workspace: str, run_ids: Collection[int]) -> dict[int, Snapshot]:
        found: dict[int, Snapshot] = {}
        for ids in batched(run_ids, MOST_PARAMETERS):
            rows = await self._read(sql.SNAPSHOTS, workspace=workspace, run_ids=ids)
            found |= {row.run_id: snapshot_of(row) for row in rows}
        return found

    async def followed(self, workspace: str) -> list[tuple[int, int, datetime, datetime | None]]:
        """Runs that have not ended: sync, run, when the run last changed and when it was created."""
        rows = await self._read(sql.FOLLOWED, workspace=workspace)
        return [(row.sync_id, row.run_id, row.changed_at, row.created_at) for row in rows]

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

    async def results(self, workspace: str, sync_id: int, most: int) -> list[Result]:
        """The sync's newest results, newest first."""
        rows = await self._read(sql.RESULTS, workspace=workspace, sync_id=sync_id, most=most)
        return [result_of(row) for row in rows]

    async def last_good(self, workspace: str, sync_id: int) -> GoodRun | None:
        """The sync's newest run that completed."""
        rows = await self._read(sql.GOOD_RESULTS, workspace=workspace, sync_id=sync_id, most=1)
        return GoodRun(rows[0].run_id, rows[0].completed_at or rows[0].updated_at) if rows else None

    async def was_full_sync(self, workspace: str, sync_id: int, run_id: int, before: datetime) -> bool | None:
        """Whether the run before was a full sync; None where nobody knows."""
        key = {"workspace": workspace, "sync_id": sync_id, "run_id": run_id}
        rows = await self._read(sql.FULL_SYNCS, **key, before=before)
        return bool(rows[0].full_sync) if rows else None

    async def open_incidents(self, workspace: str) -> list[Incident]:
        """All that are open, the workspace's own too."""
        return [incident_of(row) for row in await self._read(sql.INCIDENTS, workspace=workspace)]

    async def told_of(self, incident: Incident) -> bytes | None:
        """The body of an incident's newest event."""
        rows = await self._read(sql.INCIDENT_STATE, incident_id=incident.id)
        return bytes(rows[0].body) if rows else None

    async def counted_to(self, workspace: str) -> dict[int, CountedTo]:
        """By sync, the newest result that belongs to an incident that is over."""
        rows = await self._read(sql.COUNTED_TO, workspace=workspace)
        return {row.sync_id: CountedTo(row.counted_run_id, row.counted_to) for row in rows}

    async def has_told_alert(self, workspace: str, alert: CensusAlert) -> bool:
        """Whether there is an event of this alert and type already."""
        return bool(await self._read(sql.TOLD_ALERT, **alert_key(workspace, alert)))

    async def record(self, observation: Observation) -> None:
        """Snapshots, mark, incidents, events and their deliveries: all, or none."""
        await self._writer.write(*observation_rows(observation))

    async def run_watches(self, workspace: str) -> dict[int, RunWatch]:
        """Watches of single runs."""
        rows = await self._read(sql.RUN_WATCHES, workspace=workspace)
        return {
            row.run_id: RunWatch(row.sync_id, row.ended_at is not None, row.misses, row.missing_since) for row in rows
        }

    async def save_run_watch(
        self,
        workspace: str,
        run_id: int,
        sync_id: int | None,
        ended_at: datetime | None,
        end_reason: str | None,
        *,
        misses: int = 0,
        missing_since: datetime | None = None,
    ) -> None:
        row = {
            "workspace": workspace,
            "run_id": run_id,
            "sync_id": sync_id,
            "ended_at": ended_at,
            "end_reason": end_reason,
            "misses": misses,
            "missing_since": missing_since,
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
        return [pending_of(row) for row in await self._read(sql.PENDING, receiver=receiver, after=after, most=most)]

    async def pending_in_lane(
        self, receiver: str, workspace: str, sync_id: int, after: int, upto: int, most: int
    ) -> list[PendingDelivery]:
        """As `pending`, of one sync, and of IDs up to `upto`."""
        lane = {"of_workspace": workspace, "of_sync_id": sync_id, "upto": upto}
        rows = await self._read(sql.PENDING_IN_LANE, receiver=receiver, **lane, after=after, most=most)
        return [pending_of(row) for row in rows]

    async def count_pending(self) -> int:
        """Deliveries that are pending, of all receivers."""
        return int((await self._read(sql.COUNT_PENDING))[0][0])

    async def backlog(self) -> Backlog:
        """What waits, is dead or wrong now, for those who count it."""
        waiting, dead = await self._read(sql.WAITING), await self._read(sql.DEAD)
        incidents = await self._read(sql.OPEN_INCIDENTS)
        return Backlog(
            pending={row.receiver: row.number for row in waiting},
            oldest={row.receiver: row.created_at for row in waiting},
            dead={row.receiver: row.number for row in dead},
            incidents={(row.workspace, Check(row.check)): row.number for row in incidents},
        )

    async def message(self, event_id: str, receiver: str = "") -> Message:
        """An event as it is sent to a receiver, by itself."""
        (row,) = await self._read(sql.EVENT, event_id=event_id, receiver=receiver)
        return Message(row.id, row.type, row.body, mentions=mentions_of(row.mentions))

    async def story(self, receiver: str, name: str, delivery_ids: Sequence[int]) -> Message:
        """The first of a receiver's deliveries of one story, with what is known of that story; the others follow it."""
        rows = await self._read(sql.STORY_EVENTS, ids=list(delivery_ids))
        story = await self._story(receiver, name, rows)
        first, *others = (
            Message(row.id, row.type, row.body, quiet=row.quiet, mentions=mentions_of(row.mentions)) for row in rows
        )
        return replace(first, story=story, followers=tuple(others))

    async def _story(self, receiver: str, name: str, rows: Sequence[Row[Any]]) -> Story:
        of_runs = [run_story(row.workspace, row.sync_id, row.run_id) for row in rows if row.run_id != NONE]
        found = await self._read(sql.POSTED, receiver=receiver, stories=[name, *of_runs])
        posted = {row.story: Posted(row.reference, row.event_id) for row in found}
        last = rows[-1]
        story = Story(name, last.body, last.id)
        newest = last.seq
        if story.is_incident and (states := await self._read(sql.INCIDENT_STATE, incident_id=name)):
            story, newest = await self._of_incident(story, states[0], last)
        own = posted.pop(name, None)
        shown = await self._read(sql.PLACE_OF_EVENT, event_id=own.event_id) if own is not None else []
        of_run = next(iter(posted), None) if own is None else None
        return replace(
            story,
            posted=own,
            posted_of_run=posted[of_run] if of_run is not None else None,
            run_story=of_run,
            is_current=bool(shown) and shown[0].seq >= newest,
        )

    async def _of_incident(self, story: Story, state: Row[Any], last: Row[Any]) -> tuple[Story, int]:
        """The story of an incident, and the place of the event that tells how it is now."""
        run = await self._read(sql.INCIDENT_RUN, incident_id=story.name) if state.run_id == NONE else []
        is_later = last.seq > state.seq  # a run's event, while the incident lasts
        story = replace(
            story,
            state=state.body,
            state_id=last.id if is_later else state.id,
            run=run[0].body if run else None,
            latest=last.body if is_later else None,
        )
        return story, max(last.seq, state.seq)

    async def begin_attempt(self, delivery_id: int, at: datetime) -> None:
        """Remembers that the receiver may have the message from now on, whatever becomes of this process."""
        await self._writer.write((sql.BEGIN_ATTEMPT, [{"of_id": delivery_id, "new_maybe_sent_at": at}]))

    async def settle(
        self,
        settlement: Settlement,
        receiver: ReceiverState | None = None,
        *,
        followers: Sequence[Settlement] = (),
        shown: Shown | None = None,
    ) -> None:
        """Keeps the outcome of an attempt, what it says of the receiver, and where the receiver's story stands now."""
        settled = [settlement_row(each) for each in (settlement, *followers)]
        groups: list[tuple[Executable, list[dict[str, Any]]]] = [(sql.SETTLE, settled)]
        if receiver is not None:
            groups.append((sql.SAVE_RECEIVER, [receiver_row(receiver)]))
        if shown is not None:
            key = {"of_receiver": shown.receiver}
            groups.append((sql.FORGET_POSTED, [{**key, "of_story": story} for story in shown.taken_over]))
            row = {"receiver": shown.receiver, "story": shown.story, "changed_at": shown.at}
            groups.append(
                (sql.SAVE_POSTED, [{**row, "reference": shown.posted.reference, "event_id": shown.posted.event_id}])
            )
        await self._writer.write(*groups)

    # --- retention ---

    async def prune(self, cutoff: datetime, raise_floor: Callable[[str, int, datetime], None]) -> None:
        """Removes finished deliveries, events without any, and snapshots, all from before `cutoff`, bit by bit.

        `raise_floor` hears of each workspace and sync, before its snapshots go, up to when nothing of it is ever news
        any more: who holds the mark in memory must not take what is forgotten for news.
        """
        many = {"cutoff": cutoff, "most": PRUNE_AT_ONCE}
        while (await self._read(sql.LEFT_OVER, **many))[0][0]:
            await self._writer.write((sql.PRUNE_DELIVERIES, [many]), (sql.PRUNE_EVENTS, [many]))
        if (await self._read(sql.OLD_STORIES, cutoff=cutoff))[0][0]:
            old = [{"cutoff": cutoff}]
            await self._writer.write((sql.PRUNE_POSTED, old), (sql.PRUNE_INCIDENTS, old), (sql.PRUNE_ALERTS, old))
        for row in await self._read(sql.CROWDED_SYNCS):
            key = {"of_workspace": row.workspace, "of_sync_id": row.sync_id, "cutoff": cutoff}
            (left,) = await self._read(sql.OLD_SNAPSHOTS, **key)
            if not left.number:
                continue
            # Of the same instant some may go and some stay: what goes lies below the floor.
            newest = left.newest and left.newest + MICROSECOND
            if newest is not None:
                raise_floor(row.workspace, row.sync_id, newest)
            floor = {**key, "new_floor": newest}
            await self._writer.write((sql.RAISE_FLOOR, [floor]), (sql.PRUNE_SNAPSHOTS, [key]))


def batched(ids: Iterable[int], most: int) -> Iterator[list[int]]:
    """The IDs in lists of at most so many."""
    every = list(ids)
    yield from (every[start : start + most] for start in range(0, len(every), most))


@asynccontextmanager
async def open_store(path: Path) -> AsyncIterator[Store]:
    """Opens a database that `migrate` has brought up to date. Raises DatabaseUnusable."""
    async with AsyncExitStack() as connections:
        with explained(path, opening=True):
            writer = await connections.enter_async_context(own_thread(engine_for(path, "worker")))
        # The reader is closed first: the last to close empties the WAL into the file, which a reader can't.
        reader = await connections.enter_async_context(open_reader(path))
        store = Store(path, writer, reader)
        store._writer.start()
        try:
            with open_here(path):
                yield store
        finally:
            await store._writer.close()


def _data_version(connection: Connection) -> int:
    driver: Any = connection.connection.driver_connection  # by itself: SQLAlchemy would begin a transaction
    (version,) = driver.execute("PRAGMA data_version").fetchone()
    return int(version)
