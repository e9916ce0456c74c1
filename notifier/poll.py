"""One observation of a sync: fetch, read to the mark, diff, route, record.

The in-memory target only repeats what the database holds, so that a poll at rest costs one request and no query. It
moves after the commit, never before.
"""

import uuid
from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from typing import Final

import structlog

from notifier.body import event_body
from notifier.census import wire
from notifier.census.client import PAGE, CensusClient
from notifier.config.models import Route
from notifier.diff import changes_between, event_type, mark_of, read_to_mark
from notifier.errors import CensusError, NotFound, Unreachable, Unusable
from notifier.model import (
    Change,
    Event,
    Gap,
    Labels,
    Mark,
    Observation,
    PreviousRun,
    Snapshot,
    SyncRun,
)
from notifier.route import Subject, receivers_of
from notifier.run_list import MOST_NEWS, RunList, RunListReader
from notifier.store.store import Store

log = structlog.get_logger(__name__)

NEWEST: Final = 5  # runs asked for by a poll at rest: enough to see a mark below a few new ones in one small answer
QUIET_AFTER: Final = timedelta(hours=24)
DROP_AFTER: Final = timedelta(days=7)
MOST_MISSES: Final = 3


@dataclass(slots=True)
class Followed:
    """A run that has not ended: when it last moved, and how many times in a row it was not found."""

    moved_at: datetime
    misses: int = 0


@dataclass(slots=True)
class SyncTarget:
    """One watched sync as the poller holds it.

    No mark: its first poll sets the baseline. `watched_runs`: runs of it that a `sync_run` watch names, with their
    labels. `outside`: followed or watched runs that the last answer did not hold. `gone`: forgotten while a poll was
    under way, which must record nothing.
    """

    sync_id: int
    label: str | None
    labels: Labels
    mark: Mark | None
    followed: dict[int, Followed] = field(default_factory=dict)
    watched_runs: dict[int, Labels] = field(default_factory=dict)
    fingerprint: int | None = None
    outside: frozenset[int] = frozenset()
    unreadable: int = 0
    gone: bool = False

    def is_active(self, now: datetime) -> bool:
        """Whether a run that has not ended moved within a day."""
        return any(now - run.moved_at < QUIET_AFTER for run in self.followed.values())


@dataclass(slots=True)
class RunTarget:
    """One run that a `sync_run` watch names; `sync_id` is None until it was seen."""

    run_id: int
    labels: Labels
    sync_id: int | None = None
    misses: int = 0
    active: bool = True


class RunFate(Enum):
    """What a poll of a run that is watched by its ID came to."""

    GOES_ON = auto()
    ENDED = auto()
    LEFT_TO_ITS_SYNC = auto()


class Observer:
    """Polls the syncs and runs of one workspace and records what it finds."""

    def __init__(
        self,
        workspace: str,
        app_url: str,
        client: CensusClient,
        store: Store,
        *,
        routes: Sequence[Route] | None,
        receivers: Sequence[str],
        recorded: Callable[[Collection[str]], None],
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.workspace = workspace
        self._app_url = app_url
        self._client = client
        self._store = store
        self._reader = RunListReader(workspace, client, store)
        self._routes = routes
        self._receivers = receivers
        self._recorded = recorded
        self._clock = clock

    async def poll_sync(self, target: SyncTarget) -> None:
        """One poll. Raises CensusError, StoreError; what was recorded before stays, the rest is found again."""
        per_page = NEWEST if target.mark is not None else PAGE
        answer = await self._client.runs(target.sync_id, page=1, per_page=per_page)
        fingerprint = hash(answer.body)
        if fingerprint != target.fingerprint:
            walked = await self._read_list(target, wire.runs_page(answer.body, target.sync_id))
            # A walk saw runs that this answer does not hold: the next poll has to find out which are outside of it.
            target.fingerprint = None if walked else fingerprint
        await self._poll_all_outside(target)
        for run_id in [run_id for run_id, run in target.followed.items() if run.misses >= MOST_MISSES]:
            await self._drop(target, run_id, "not found three times")
        for run_id in self._stale(target):
            await self._drop(target, run_id, "unchanged for seven days")

    async def _read_list(self, target: SyncTarget, page: wire.RunsPage) -> bool:
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
        await self._record(target, read.listed, read.known, news, now, mark=mark, gap=gap)
        listed = {run.id for run in read.listed}
        target.outside = frozenset((target.followed.keys() | target.watched_runs.keys()) - listed)
        if gap is not None:
            log.warning(
                "more runs than can be reported came at once; older ones were skipped",
                workspace=self.workspace,
                sync_id=target.sync_id,
                oldest_reported_run_id=gap.oldest_reported_run_id,
                reported=len(news),
            )
        return read.walked

    async def _poll_all_outside(self, target: SyncTarget) -> None:
        """One run that can't be fetched does not keep the others from it; its error is raised after them."""
        failed: CensusError | None = None
        for run_id in sorted(target.outside):
            try:
                await self._poll_outside(target, run_id)
            except (Unreachable, Unusable) as error:
                failed = failed or error
        if failed is not None:
            raise failed

    async def _poll_outside(self, target: SyncTarget, run_id: int) -> None:
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
        await self._record(target, (run,), known, (), self._clock())

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
        await self._record(alone, (run,), known, (), self._clock(), older=older)
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
        now: datetime,
        *,
        mark: Mark | None = None,
        gap: Gap | None = None,
        older: Sequence[SyncRun] = (),
    ) -> None:
        """Keeps what differs from the snapshots, silently but for changes and news; `older` come below `listed`."""
        if target.gone:
            return
        fresh = {run.id for run in news}
        snapshots: list[Snapshot] = []
        events: list[Event] = []
        for place, run in reversed(list(enumerate(listed))):
            old = known.get(run.id)
            changes = changes_between(old.watched if old else None, run.watched)
            if old is None and run.id not in fresh:
                changes = ()
            if changes:
                events.append(await self._event(target, run, changes, [*listed[place + 1 :], *older], now))
            if old is None or changes or (old.followed and run.ended):
                snapshots.append(_snapshot(run, old, now, changed=bool(changes)))
        observation = Observation(
            self.workspace,
            target.sync_id,
            target.label,
            tuple(snapshots),
            tuple(events),
            mark=mark if mark != target.mark else None,
            gap=gap,
        )
        if observation.mark or snapshots or events:
            await self._store.record(observation)
        if mark is not None:
            target.mark = mark
        self._announce(events)
        await self._follow(target, listed, known, snapshots)

    async def _follow(
        self, target: SyncTarget, listed: Iterable[SyncRun], known: dict[int, Snapshot], saved: Iterable[Snapshot]
    ) -> None:
        latest = {**known, **{snapshot.run_id: snapshot for snapshot in saved}}
        for run in listed:
            snapshot = latest[run.id]
            if snapshot.followed and not run.ended:
                moved_at = max(snapshot.changed_at, _past(run.updated_at, self._clock()) or snapshot.changed_at)
                target.followed[run.id] = Followed(moved_at)
            else:
                target.followed.pop(run.id, None)
            if run.ended and run.id in target.watched_runs:
                await self.end_run_watch(run.id, run.sync_id, f"ended as {run.watched.status}")
                del target.watched_runs[run.id]
        target.outside &= target.followed.keys() | target.watched_runs.keys()

    async def _event(
        self, target: SyncTarget, run: SyncRun, changes: Sequence[Change], older: Sequence[SyncRun], now: datetime
    ) -> Event:
        kind = event_type(changes)
        labels = target.watched_runs.get(run.id, target.labels)
        body = event_body(
            type=kind,
            seen_at=now,
            workspace=self.workspace,
            app_url=self._app_url,
            labels=labels,
            sync_label=target.label,
            run=run,
            previous_run=await self._previous_result(run, older),
            changes=changes,
        )
        subject = Subject(kind, self.workspace, run.sync_id, target.label, labels)
        receivers = receivers_of(subject, self._routes, self._receivers)
        event_id = f"evt_{uuid.uuid4().hex}"
        return Event(event_id, kind, self.workspace, run.sync_id, run.id, now, body, receivers)

    async def _previous_result(self, run: SyncRun, older: Sequence[SyncRun]) -> PreviousRun | None:
        """The last result before a run: in the same answer (`older`, newest first), else in the database."""
        for before in older:
            if before.watched.is_counted:
                return PreviousRun(before.id, str(before.watched.status))
        oldest = older[-1] if older else run
        return await self._store.previous_result(
            self.workspace, run.sync_id, oldest.created_at, [run.id, *(before.id for before in older)]
        )

    def _announce(self, events: Sequence[Event]) -> None:
        for event in events:
            log.info(
                "sync run changed",
                event_id=event.id,
                type=event.type.value,
                workspace=event.workspace,
                sync_id=event.sync_id,
                sync_run_id=event.run_id,
                receivers=list(event.receivers),
            )
        if receivers := {name for event in events for name in event.receivers}:
            self._recorded(receivers)

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

    async def _drop(self, target: SyncTarget, run_id: int, reason: str) -> None:
        if run_id in target.watched_runs:
            await self.end_run_watch(run_id, target.sync_id, reason)
            del target.watched_runs[run_id]
        await self._store.unfollow(self.workspace, run_id)
        del target.followed[run_id]
        target.outside -= {run_id}
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
    )


def _past(time: datetime | None, now: datetime) -> datetime | None:
    return time if time is not None and time <= now else None
