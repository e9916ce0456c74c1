"""One observation of a sync: fetch, read to the mark, diff, route, record.

The in-memory target only repeats what the database holds, so that a poll at rest costs one request and no query. It
moves after the commit, never before.
"""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

import structlog

from notifier.census import wire
from notifier.census.client import PAGE, CensusClient
from notifier.diff import changes_between, mark_of, read_to_mark
from notifier.errors import CensusError, NotFound, Unreachable, Unusable
from notifier.findings import Sighting
from notifier.http import date_of
from notifier.model import Gap, Mark, Observation, PreviousRun, Reason, Snapshot, SyncRun
from notifier.record import Recorder
from notifier.run_list import MOST_NEWS, RunList, RunListReader
from notifier.store.store import Store
from notifier.target import Followed, RunTarget, SyncTarget

log = structlog.get_logger(__name__)

NEWEST: Final = 5  # runs asked for by a poll at rest: enough to see a mark below a few new ones in one small answer
DROP_AFTER: Final = timedelta(days=7)
MOST_MISSES: Final = 3
NONE_OUTSIDE: Final[frozenset[int]] = frozenset()  # one for all: an empty set of its own takes 200 bytes a sync


class RunFate(Enum):
    """What a poll of a run that is watched by its ID came to."""

    GOES_ON = auto()
    ENDED = auto()
    LEFT_TO_ITS_SYNC = auto()


class Observer:
    """Polls the syncs and runs of one workspace and records what it finds."""

    def __init__(
        self,
        client: CensusClient,
        store: Store,
        recorder: Recorder,
        *,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.workspace = recorder.workspace
        self._client = client
        self._store = store
        self._recorder = recorder
        self._reader = RunListReader(self.workspace, client, store)
        self._clock = clock

    async def poll_sync(self, target: SyncTarget) -> None:
        """One poll. Raises CensusError, StoreError; what was recorded before stays, the rest is found again."""
        per_page = NEWEST if target.mark is not None else PAGE
        answer = await self._client.runs(target.sync_id, page=1, per_page=per_page)
        api_now = date_of(answer.headers) or self._clock()
        had_baseline = target.mark is not None
        fingerprint = hash(answer.body)
        if fingerprint != target.fingerprint:
            walked = await self._read_list(target, wire.runs_page(answer.body, target.sync_id), api_now)
            # A walk saw runs that this answer does not hold: the next poll has to find out which are outside of it.
            target.fingerprint = None if walked else fingerprint
        await self._poll_all_outside(target, api_now)
        for run_id in [run_id for run_id, run in target.followed.items() if run.misses >= MOST_MISSES]:
            await self._drop(target, run_id, "not found three times", Reason.DELETED, api_now)
        for run_id in self._stale(target):
            await self._drop(target, run_id, "unchanged for seven days", Reason.UNWATCHED, api_now)
        if had_baseline:
            await self._recorder.pass_time(target, api_now, self._run_now)

    async def _run_now(self, run_id: int) -> SyncRun | None:
        try:
            return await self._client.run(run_id)
        except CensusError:
            return None

    async def _read_list(self, target: SyncTarget, page: wire.RunsPage, api_now: datetime) -> bool:
        """Reads a list from its first page on and records what is in it; whether that took further pages."""
        now = self._clock()
        self._note_unreadable(target, page.unreadable)
        if target.mark is None:
            # Most runs have no snapshot yet and stay silent; one that was watched by its ID may have changed.
            known = await self._store.snapshots(self.workspace, [run.id for run in page.runs])
            read = RunList(page.runs, known, (), complete=True)
            mark = mark_of(page.runs, None)
        else:
            read = await self._reader.read_back(target.sync_id, page, target.mark)
            mark = mark_of(read.listed, target.mark)
        gap = None
        news = read.news
        if len(news) > MOST_NEWS or (news and not read.complete):
            news = news[-MOST_NEWS:]
            gap = Gap(now, news[0].id)
            mark = replace(mark, floor=news[0].created_at or mark.floor)
        await self._record(target, read.listed, read.known, news, api_now, mark=mark, gap=gap)
        listed = {run.id for run in read.listed}
        outside = (target.followed.keys() | target.watched_runs.keys()) - listed
        target.outside = frozenset(outside) if outside else NONE_OUTSIDE
        if gap is not None:
            log.warning(
                "more runs than can be reported came at once; older ones were skipped",
                workspace=self.workspace,
                sync_id=target.sync_id,
                oldest_reported_run_id=gap.oldest_reported_run_id,
                reported=len(news),
            )
        return read.walked

    async def _poll_all_outside(self, target: SyncTarget, api_now: datetime) -> None:
        """One run that can't be fetched does not keep the others from it; its error is raised after them."""
        failed: CensusError | None = None
        for run_id in sorted(target.outside):
            try:
                await self._poll_outside(target, run_id, api_now)
            except (Unreachable, Unusable) as error:
                failed = failed or error
        if failed is not None:
            raise failed

    async def _poll_outside(self, target: SyncTarget, run_id: int, api_now: datetime) -> None:
        """Fetches a run that the list no longer shows: one that has not ended, or one that is watched by its ID."""
        followed = target.followed.get(run_id)
        try:
            run = await self._client.run(run_id)
        except NotFound:
            missed = target.followed.setdefault(run_id, Followed(self._clock()))
            missed.misses += 1
            return
        if followed is not None:
            followed.misses = 0
        known = await self._store.snapshots(self.workspace, [run_id])
        if target.mark is not None and run.created_at is not None and read_to_mark((run,), target.mark, known).news:
            return  # newer than the list that was read: the next one shows it, and there it is news
        await self._record(target, (run,), known, (), api_now, is_whole=False)

    async def poll_run(
        self, target: RunTarget, sync_label: Callable[[int], str | None], is_watched: Callable[[int], bool]
    ) -> RunFate:
        """One poll of a run that is watched by its ID. The first sight is silent.

        Nothing is recorded of a run whose sync is watched: that sync's poll sees it, and knows whether it is news.
        """
        try:
            run = await self._client.run(target.run_id)
        except NotFound:
            target.misses += 1
            if target.misses < MOST_MISSES:
                return RunFate.GOES_ON
            await self.end_run_watch(target.run_id, target.sync_id, "not found three times")
            return RunFate.ENDED
        target.misses = 0
        target.sync_id = run.sync_id
        if is_watched(run.sync_id):
            return RunFate.LEFT_TO_ITS_SYNC
        known = await self._store.snapshots(self.workspace, [run.id])
        alone = SyncTarget(run.sync_id, sync_label(run.sync_id), target.labels, None)
        old = known.get(run.id)
        older = await self._older_runs(run) if old is not None and old.watched != run.watched else ()
        await self._record(alone, (run,), known, (), self._clock(), older=older, is_whole=False)
        target.active = alone.is_active(self._clock())
        reason = f"ended as {run.watched.status}" if run.ended else "unchanged for seven days"
        if run.ended or self._stale(alone):
            await self.end_run_watch(run.id, run.sync_id, reason)
            return RunFate.ENDED
        return RunFate.GOES_ON

    async def _older_runs(self, run: SyncRun) -> tuple[SyncRun, ...]:
        """What came before a run in its sync's list, newest first: nobody keeps snapshots of a sync not watched."""
        try:
            answer = await self._client.runs(run.sync_id, page=1, per_page=PAGE)
        except NotFound:
            return ()
        listed = wire.runs_page(answer.body, run.sync_id).runs
        place = next((place for place, other in enumerate(listed) if other.id == run.id), len(listed))
        return listed[place + 1 :]

    async def end_run_watch(self, run_id: int, sync_id: int | None, reason: str) -> None:
        """A `sync_run` watch is over, for good."""
        await self._store.save_run_watch(self.workspace, run_id, sync_id, self._clock(), reason)
        log.info("watch of a sync run has ended", workspace=self.workspace, sync_run_id=run_id, reason=reason)

    async def _record(
        self,
        target: SyncTarget,
        listed: Sequence[SyncRun],
        known: dict[int, Snapshot],
        news: Sequence[SyncRun],
        api_now: datetime,
        *,
        mark: Mark | None = None,
        gap: Gap | None = None,
        older: Sequence[SyncRun] = (),
        is_whole: bool = True,
    ) -> None:
        """Keeps what differs from the snapshots, silently but for changes and news; `older` come below `listed`."""
        async with target.lock:
            if target.gone:
                return
            now, fresh = self._clock(), {run.id for run in news}
            snapshots: list[Snapshot] = []
            sightings: list[Sighting] = []
            for place, run in reversed(list(enumerate(listed))):
                old = known.get(run.id)
                seen = await self._sighting(target, run, old, [*listed[place + 1 :], *older], is_news=run.id in fresh)
                if seen is not None:
                    sightings.append(seen)
                if old is None or seen is not None:
                    changed = seen is not None and bool(seen.changes)
                    snapshots.append(_snapshot(run, old, now, changed=changed))
            found = await self._recorder.judge(target, sightings, known, now, api_now, is_whole=is_whole)
            observation = Observation(
                self.workspace,
                target.sync_id,
                target.label,
                tuple(snapshots),
                found.events,
                mark=mark if mark != target.mark else None,
                gap=gap,
                incidents=found.incidents,
                outliers=found.outliers,
                new_level_from=found.new_level_from,
            )
            if observation.mark or snapshots:
                await self._store.record(observation)
            if mark is not None:
                target.mark = mark
            target.state = found.state
        self._recorder.announce(found.events)
        await self._follow(target, listed, known, snapshots)

    async def _sighting(
        self, target: SyncTarget, run: SyncRun, old: Snapshot | None, before: Sequence[SyncRun], *, is_news: bool
    ) -> Sighting | None:
        """What is worth a look: a change, a full sync, an end. A first sight of what is no news is silent."""
        if old is None and not is_news:
            return None
        changes = changes_between(old.watched if old else None, run.watched)
        full_sync = await self._turned_out_full(target, run, old, before)
        if not changes and not full_sync and not (old is not None and old.followed and run.ended):
            return None
        return Sighting(run, old, changes, await self._previous_result(run, before), full_sync)

    async def _turned_out_full(
        self, target: SyncTarget, run: SyncRun, old: Snapshot | None, before: Sequence[SyncRun]
    ) -> bool:
        """Whether a run is seen to be a full sync now, and the run before it was none. What ended long ago tells
        nothing new: its snapshot may be from before the notifier looked at that."""
        if not run.full_sync or target.mark is None or (old is not None and (old.full_sync or not old.followed)):
            return False
        for other in before:
            if other.full_sync is not None:
                return not other.full_sync
        oldest = (before[-1] if before else run).created_at
        if oldest is None:
            return False
        return await self._store.was_full_sync(self.workspace, run.sync_id, run.id, oldest) is False

    async def _follow(
        self, target: SyncTarget, listed: Iterable[SyncRun], known: dict[int, Snapshot], saved: Iterable[Snapshot]
    ) -> None:
        latest = {**known, **{snapshot.run_id: snapshot for snapshot in saved}}
        for run in listed:
            snapshot = latest[run.id]
            if snapshot.followed and not run.ended:
                moved_at = max(snapshot.changed_at, _past(run.updated_at, self._clock()) or snapshot.changed_at)
                target.followed[run.id] = Followed(moved_at, created_at=run.created_at)
            else:
                target.followed.pop(run.id, None)
            if run.ended and run.id in target.watched_runs:
                await self.end_run_watch(run.id, run.sync_id, f"ended as {run.watched.status}")
                del target.watched_runs[run.id]
        target.outside &= target.followed.keys() | target.watched_runs.keys()

    async def _previous_result(self, run: SyncRun, older: Sequence[SyncRun]) -> PreviousRun | None:
        """The last result before a run: in the same answer (`older`, newest first), else in the database."""
        for before in older:
            if before.watched.is_counted:
                return PreviousRun(before.id, str(before.watched.status))
        oldest = older[-1] if older else run
        return await self._store.previous_result(
            self.workspace, run.sync_id, oldest.created_at, [run.id, *(before.id for before in older)]
        )

    def _note_unreadable(self, target: SyncTarget, unreadable: int) -> None:
        if unreadable > target.unreadable:
            log.warning(
                "some runs in an answer have no readable ID and can't be followed",
                workspace=self.workspace,
                sync_id=target.sync_id,
                runs=unreadable,
            )
        target.unreadable = unreadable

    def _stale(self, target: SyncTarget) -> list[int]:
        now = self._clock()
        return [run_id for run_id, run in target.followed.items() if now - run.moved_at >= DROP_AFTER]

    async def _drop(self, target: SyncTarget, run_id: int, reason: str, end: Reason, api_now: datetime) -> None:
        if run_id in target.watched_runs:
            await self.end_run_watch(run_id, target.sync_id, reason)
            del target.watched_runs[run_id]
        await self._store.unfollow(self.workspace, run_id)
        del target.followed[run_id]
        target.outside -= {run_id}
        await self._recorder.run_is_gone(target, run_id, end, api_now)
        log.info(
            "sync run is no longer followed",
            workspace=self.workspace,
            sync_id=target.sync_id,
            sync_run_id=run_id,
            reason=reason,
        )


def _snapshot(run: SyncRun, old: Snapshot | None, now: datetime, *, changed: bool) -> Snapshot:
    return Snapshot(
        run_id=run.id,
        sync_id=run.sync_id,
        watched=run.watched,
        created_at=run.created_at,
        updated_at=run.updated_at,
        changed_at=now if changed or old is None else old.changed_at,
        followed=not run.ended and (changed or old is None or old.followed),
        completed_at=run.completed_at,
        records_sent=run.records.sent,
        full_sync=run.full_sync,
    )


def _past(time: datetime | None, now: datetime) -> datetime | None:
    return time if time is not None and time <= now else None
