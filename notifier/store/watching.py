"""The watching's half of the store: syncs, runs and incidents, and what is recorded of them."""

from collections.abc import Collection, Container, Iterable, Iterator, Mapping
from datetime import datetime

from notifier.model.event import CensusAlert, Observation
from notifier.model.identity import Id
from notifier.model.incident import CountedTo, Incident
from notifier.model.notice import Notice
from notifier.model.run import GoodRun, PreviousRun, Result, Snapshot, UnendedRun
from notifier.model.sync import ListedSync, RunWatch, Standing, WatchedSync, WorkspaceState
from notifier.store.reader import DatabaseReader
from notifier.store.sql import replicas
from notifier.store.sql import watching as sql
from notifier.store.sql.observation import observation_rows
from notifier.store.sql.rows import (
    alert_key,
    hint_key,
    hint_of,
    hint_row,
    incident_of,
    run_watch_of,
    snapshot_of,
    standing_row,
    stored_result,
    watched_sync_of,
    workspace_of,
    workspace_row,
)
from notifier.store.writer import Writer

MOST_PARAMETERS = 10_000  # of one statement; SQLite takes 32,766, and an answer of 16 MB may name more runs
MOST_HINTS = 500  # that are read at once: whoever has the webhooks' secret can make any number


class WatchingStore:
    """What a workspace's watching keeps and asks. Each method raises StoreError."""

    def __init__(self, reader: DatabaseReader, writer: Writer, *, is_shared: bool = False) -> None:
        self.is_shared = is_shared
        """Whether other workers show what this one knows."""
        self._reader = reader
        self._writer = writer

    async def workspaces(self) -> dict[str, WorkspaceState]:
        rows = await self._reader.read(sql.WORKSPACES)
        return {row.name: workspace_of(row) for row in rows}

    async def save_workspace(self, state: WorkspaceState) -> None:
        await self._writer.write((sql.SAVE_WORKSPACE, [workspace_row(state)]))

    async def forget_workspace(self, name: str) -> None:
        """All that was known of a workspace that the watchlist no longer names; events and deliveries stay."""
        statements = (*sql.FORGET_WORKSPACE, *(replicas.FORGET_WORKSPACE if self.is_shared else ()))
        await self._writer.write(*((statement, [{"of_workspace": name}]) for statement in statements))

    async def save_listing(self, workspace: str, listed_at: datetime, body: bytes) -> None:
        """The whole list of a workspace's syncs, for the workers that do not watch it; only where there are such."""
        row = {"workspace": workspace, "listed_at": listed_at, "body": body}
        await self._writer.write((replicas.SAVE_LISTING, [row]))

    async def syncs(self, workspace: str) -> list[WatchedSync]:
        """Every sync that is or was watched, or was shown when it was new."""
        return [watched_sync_of(row) for row in await self._reader.read(sql.SYNCS, workspace=workspace)]

    async def save_listed(self, workspace: str, listed: Iterable[ListedSync]) -> None:
        """Watched syncs as a listing showed them."""
        rows = [
            {
                "workspace": workspace,
                "sync_id": each.sync_id,
                "label": each.label,
                "missing_listings": each.missing_listings,
            }
            for each in listed
        ]
        await self._writer.write((sql.SAVE_LISTED_SYNC, rows))

    async def save_shown(self, workspace: str, labels: Mapping[Id, str | None]) -> None:
        """Syncs that a listing showed and nobody watches, with their labels."""
        rows = [{"workspace": workspace, "sync_id": sync_id, "label": label} for sync_id, label in labels.items()]
        await self._writer.write((sql.SAVE_SHOWN_SYNC, rows))

    async def save_unread(self, workspace: str, sync_id: Id, since: datetime | None, error: str | None) -> None:
        """Since when the runs of a sync can't be read, and why; None: they can."""
        here = {"of_workspace": workspace, "of_sync_id": sync_id}
        await self._writer.write((sql.SAVE_UNREAD, [{**here, "new_unread_since": since, "new_last_error": error}]))

    async def save_standings(self, workspace: str, standings: Mapping[Id, Standing]) -> None:
        """What a listing, or a poll, showed of watched syncs beside their runs."""
        await self._writer.write(
            (sql.SAVE_STANDING, [standing_row(workspace, sync_id, s) for sync_id, s in standings.items()])
        )

    async def forget_syncs(
        self,
        workspace: str,
        sync_ids: Iterable[Id],
        last: Iterable[Observation] = (),
        *,
        deleted: Container[Id] = (),
    ) -> None:
        """Takes marks and snapshots away, but those of runs that are watched by their ID.

        The row stays, so that a sync that is covered again gets a baseline, and that it was `deleted` is told once.
        `last`: what there is to tell of it.
        """
        rows = [{"of_workspace": workspace, "of_sync_id": sync_id} for sync_id in sync_ids]
        forgotten = [{**row, "new_deleted": row["of_sync_id"] in deleted} for row in rows]
        told = [group for observation in last for group in observation_rows(observation)]
        await self._writer.write((sql.FORGET_SNAPSHOTS, rows), (sql.FORGET_SYNC, forgotten), *told)

    async def snapshots(self, workspace: str, run_ids: Collection[Id]) -> dict[Id, Snapshot]:
        found: dict[Id, Snapshot] = {}
        for ids in batched(run_ids, MOST_PARAMETERS):
            if len(ids) <= len(sql.FEW):
                filled = [*ids, *ids[:1] * (len(sql.FEW) - len(ids))]  # which are as good as fewer
                few = dict(zip(sql.FEW, filled, strict=True))
                rows = await self._reader.read(sql.FEW_SNAPSHOTS, workspace=workspace, **few)
            else:
                rows = await self._reader.read(sql.SNAPSHOTS, workspace=workspace, run_ids=ids)
            found |= {snapshot.run_id: snapshot for snapshot in map(snapshot_of, rows)}
        return found

    async def followed(self, workspace: str) -> list[UnendedRun]:
        """Runs that have not ended."""
        rows = await self._reader.read(sql.FOLLOWED, workspace=workspace)
        return [UnendedRun(row.sync_id, row.run_id, row.changed_at, row.created_at) for row in rows]

    async def unfollow(self, workspace: str, run_id: Id) -> None:
        await self._writer.write((sql.UNFOLLOW, [{"of_workspace": workspace, "of_run_id": run_id}]))

    async def previous_result(
        self, workspace: str, sync_id: Id, before: datetime | None, excluding: Collection[Id]
    ) -> PreviousRun | None:
        """The sync's last completed or failed run created before a time; without one, the last recorded but some."""
        key = {"workspace": workspace, "sync_id": sync_id}
        if before is not None:
            rows = await self._reader.read(sql.PREVIOUS_RESULT, **key, before=before)
        else:
            rows = await self._reader.read(sql.LATEST_RESULTS, **key, excluding=list(excluding))
        return PreviousRun(rows[0].run_id, rows[0].status) if rows else None

    async def results(self, workspace: str, sync_id: Id, most: int) -> list[Result]:
        """The sync's newest results, newest first."""
        rows = await self._reader.read(sql.RESULTS, workspace=workspace, sync_id=sync_id, most=most)
        return [stored_result(row) for row in rows]

    async def last_good(self, workspace: str, sync_id: Id) -> GoodRun | None:
        """The sync's newest run that completed."""
        rows = await self._reader.read(sql.GOOD_RESULTS, workspace=workspace, sync_id=sync_id, most=1)
        return GoodRun(rows[0].run_id, rows[0].completed_at or rows[0].updated_at) if rows else None

    async def was_full_sync(self, workspace: str, sync_id: Id, run_id: Id, before: datetime) -> bool | None:
        """Whether the run before was a full sync; None where nobody knows."""
        key = {"workspace": workspace, "sync_id": sync_id, "run_id": run_id}
        rows = await self._reader.read(sql.FULL_SYNCS, **key, before=before)
        return bool(rows[0].full_sync) if rows else None

    async def open_incidents(self, workspace: str) -> list[Incident]:
        """All that are open, the workspace's own too."""
        return [incident_of(row) for row in await self._reader.read(sql.INCIDENTS, workspace=workspace)]

    async def counted_to(self, workspace: str) -> dict[Id, CountedTo]:
        """By sync, the newest result that belongs to an incident that is over."""
        rows = await self._reader.read(sql.COUNTED_TO, workspace=workspace)
        return {row.sync_id: CountedTo(row.counted_run_id, row.counted_to) for row in rows}

    async def has_told_alert(self, workspace: str, alert: CensusAlert) -> bool:
        """Whether there is an event of this alert and type already."""
        return bool(await self._reader.read(sql.TOLD_ALERT, **alert_key(workspace, alert)))

    async def record(self, observation: Observation) -> None:
        """Snapshots, mark, incidents, events and their deliveries: all, or none."""
        await self._writer.write(*observation_rows(observation))

    # --- webhooks of Census that another replica took; on PostgreSQL only ---

    async def has_hint(self, workspace: str, notice: Notice) -> bool:
        """Whether what was kept of a webhook that said the same still waits."""
        return bool(await self._reader.read(replicas.HINT, **hint_key(workspace, notice)))

    async def add_hint(self, workspace: str, notice: Notice) -> None:
        """Keeps what a webhook said for the replica that watches the workspace; once, where it waits already."""
        await self._writer.write((replicas.ADD_HINT, [hint_row(workspace, notice)]))

    async def hints(self, workspace: str) -> list[tuple[int, Notice | None]]:
        """What waits longest, MOST_HINTS at most, by number; None: it can't be read."""
        rows = await self._reader.read(replicas.HINTS, workspace=workspace, most=MOST_HINTS)
        return [(row.id, hint_of(row)) for row in rows]

    async def forget_hints(self, numbers: Iterable[int]) -> None:
        """Removes what was taken up."""
        await self._writer.write((replicas.FORGET_HINT, [{"of_id": number} for number in numbers]))

    # --- watches of single runs ---

    async def run_watches(self, workspace: str) -> dict[Id, RunWatch]:
        """Watches of single runs."""
        rows = await self._reader.read(sql.RUN_WATCHES, workspace=workspace)
        return {row.run_id: run_watch_of(row) for row in rows}

    async def save_run_watch(
        self,
        workspace: str,
        run_id: Id,
        sync_id: Id | None,
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

    async def drop_run_watches(self, workspace: str, run_ids: Iterable[Id]) -> None:
        rows = [{"of_workspace": workspace, "of_run_id": run_id} for run_id in run_ids]
        await self._writer.write((sql.DROP_RUN_WATCH, rows))


def batched(ids: Iterable[Id], most: int) -> Iterator[list[Id]]:
    """The IDs in lists of at most so many."""
    every = list(ids)
    yield from (every[start : start + most] for start in range(0, len(every), most))
