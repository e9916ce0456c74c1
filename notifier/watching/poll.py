"""One observation of a sync: fetch, read to the mark, and have recorded what is new.

The target in memory only repeats what the database holds, so that a poll at rest costs one request and no query.
"""

import asyncio
import random
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from http import HTTPStatus
from typing import Final

import structlog

from notifier.census import wire
from notifier.census.client import PAGE, Answer, CensusClient
from notifier.judging.diff import dated, is_baseline, mark_of, read_to_mark
from notifier.judging.judge import Times
from notifier.judging.sightings import ShownRuns
from notifier.model.errors import CensusError, NotFound, Unauthorized, Unreachable, Unusable
from notifier.model.identity import Id, in_order
from notifier.model.incident import Reason
from notifier.model.run import Snapshot, SyncRun
from notifier.model.sync import Gap, Mark
from notifier.store.watching import WatchingStore
from notifier.watching.api_clock import ApiClock, ApiTime
from notifier.watching.pace import back_off
from notifier.watching.record import Recorder
from notifier.watching.run_list import MOST_NEWS, RunList, RunListReader
from notifier.watching.target import Misses, RunTarget, SyncTarget, Unread

log = structlog.get_logger(__name__)

NEWEST: Final = 5  # runs asked for by a poll at rest: enough to see a mark below a few new ones in one small answer
TELL_AFTER: Final = 3  # failures in a row


class RunFate(Enum):
    """What a poll of a run that is watched by its ID came to."""

    GOES_ON = auto()
    ENDED = auto()
    LEFT_TO_ITS_SYNC = auto()


class Observer:
    """Polls the syncs and runs of one workspace and records what it finds.

    `is_listed`: whether the workspace's listing answers. While it does not, a 404 says nothing of a run. `may_lag`:
    there will be another poll soon that shows what an older view of a run hid.
    """

    def __init__(
        self,
        client: CensusClient,
        store: WatchingStore,
        recorder: Recorder,
        *,
        is_listed: Callable[[], bool],
        may_lag: bool,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
        jitter: Callable[[], float] = random.random,
    ) -> None:
        self.workspace = recorder.workspace
        self.api_clock = ApiClock(self.workspace, clock)
        self._client = client
        self._store = store
        self._recorder = recorder
        self._reader = RunListReader(self.workspace, client, store)
        self._is_listed = is_listed
        self._may_lag = may_lag
        self._clock = clock
        self._jitter = jitter

    async def poll_sync(self, target: SyncTarget, *, conditionally: bool = False) -> bool:
        """One poll; whether it found a change. `conditionally`: the API may say that its answer is as before. A run
        that is asked for by itself and can't be read fails by itself: `target.unread_run` tells.

        Raises CensusError, StoreError; what was recorded stays."""
        had_baseline, before = target.mark is not None, target.changes
        known, per_page = target.validators if conditionally else None, NEWEST if had_baseline else PAGE
        answer = await self._client.runs_unless(known, target.sync_id, page=1, per_page=per_page)
        answered = self.api_clock.read(answer.date)
        if isinstance(answer, Answer):
            await self._take_list(target, answer, answered)
        if target.outside:
            await self._poll_all_outside(target, answered)
        if target.followed:
            await self._give_up(target, answered.now)
        if had_baseline:
            await self.pass_time(target, answered.now)
        return target.changes != before

    async def _take_list(self, target: SyncTarget, answer: Answer, answered: ApiTime) -> None:
        """The first page of a sync's runs: nothing is new in the bytes of last time."""
        fingerprint, taken = hash(answer.body), True
        # Those of a baseline's longer page are another page's: the newest of its runs may bear the same time.
        validators = answer.validators if target.mark is not None else None
        if fingerprint != target.fingerprint:
            self._client.is_another(target.validators, answer)
            taken = await self._read_list(target, self._client.version.runs_page(answer.body, target.sync_id), answered)
        target.fingerprint, target.validators = (fingerprint, validators) if taken else (None, None)

    async def pass_time(self, target: SyncTarget, api_now: datetime | None = None) -> None:
        """What time brought about, also where its runs could not be read. Raises StoreError."""
        await self._recorder.pass_time(target, api_now or self.api_clock.now(), self._run_now)

    async def not_read(self, target: SyncTarget, unread: Unread, error: str, *, is_told: bool) -> None:
        """The runs of a sync, or one of them, can't be read, though its workspace answers. Raises StoreError.

        Once it `is_told`, the database knows; when it has lasted too long, that is an incident.
        """
        why = error if unread.run_id is None else f"run {unread.run_id}: {error}"
        if is_told and not unread.is_kept:
            await self._store.save_unread(self.workspace, target.sync_id, unread.silence.since, why)
            unread.is_kept = True
            log.warning(
                "sync can't be read; the others go on", workspace=self.workspace, sync_id=target.sync_id, error=why
            )
        await self._recorder.note_unread(target, unread, error, self.api_clock.now())

    async def was_read(self, target: SyncTarget) -> None:
        """The runs of a sync could be read again. Raises StoreError."""
        await self._recorder.note_read(target, self.api_clock.now())
        if target.unread is not None and target.unread.is_kept:
            await self._store.save_unread(self.workspace, target.sync_id, None, None)
            log.info("sync can be read again", workspace=self.workspace, sync_id=target.sync_id)
        target.unread = None

    async def _run_now(self, run_id: Id) -> SyncRun | None:
        try:
            run, date = await self._client.run(run_id)
        except CensusError:
            return None
        return dated(run, self.api_clock.read(date).latest)

    async def _read_list(self, target: SyncTarget, page: wire.RunsPage, answered: ApiTime) -> bool:
        """Reads a list from its first page on and records what is in it.

        Whether all that the first page shows was taken, so that the same page has nothing new the next time. A walk saw
        runs that it does not hold: the next poll has to find out which are outside of it.
        """
        self._note_unreadable(target, page.unreadable)
        listed = tuple(dated(run, answered.latest) for run in page.runs)
        if target.mark is None:
            # Most runs have no snapshot yet and stay silent; one that was watched by its ID may have changed.
            known = await self._store.snapshots(self.workspace, [run.id for run in listed])
            read = RunList(listed, known, (), complete=True)
        else:
            read = await self._reader.read_back(
                target.sync_id, replace(page, runs=listed), target.mark, answered.latest
            )
        mark = mark_of(read.listed, target.mark, answered.earliest)
        gap = None
        news = read.news
        if len(news) > MOST_NEWS or (news and not read.complete):
            news = news[-MOST_NEWS:]
            gap = Gap(self._clock(), news[0].id)
            mark = replace(mark, floor=news[0].created_at or mark.floor)
        recorded = await self._record(target, read.listed, read.known, news, answered.now, mark=mark, gap=gap)
        target.was_shown(read.listed)
        if gap is not None:
            log.warning(
                "older runs were skipped: too many came at once, or the list could not be read back to the last one",
                workspace=self.workspace,
                sync_id=target.sync_id,
                oldest_reported_run_id=gap.oldest_reported_run_id,
                reported=len(news),
            )
        return recorded and not read.walked and not target.held

    async def _poll_all_outside(self, target: SyncTarget, answered: ApiTime) -> None:
        """One run that can't be fetched keeps neither the others nor its sync from anything; it is tried again later
        and later. Raises Unauthorized for a key that is refused, Throttled."""
        now = asyncio.get_running_loop().time
        for run_id in sorted(target.outside, key=in_order):
            followed = target.followed.get(run_id)
            if followed is not None and followed.retry_at > now():
                continue
            begun = now()
            try:
                await self._poll_outside(target, run_id, answered)
            except (Unreachable, Unusable, Unauthorized) as error:
                if isinstance(error, Unauthorized) and error.status == HTTPStatus.UNAUTHORIZED:
                    raise
                failed = target.following(run_id, answered.now)
                wait = back_off(failed.failures + 1, self._jitter())
                failed.failed(str(error), begun, now() + wait)
                if failed.failures == TELL_AFTER:
                    log.warning(
                        "a run can't be read; the others go on",
                        workspace=self.workspace,
                        sync_id=target.sync_id,
                        sync_run_id=run_id,
                        error=str(error),
                    )

    async def _poll_outside(self, target: SyncTarget, run_id: Id, answered: ApiTime) -> None:
        """Fetches a run that the list no longer shows: one that has not ended, or one that is watched by its ID."""
        followed = target.followed.get(run_id)
        try:
            run, _ = await self._client.run(run_id)
        except NotFound:
            target.following(run_id, answered.now).missed(
                asyncio.get_running_loop().time(), is_believed=self._is_listed()
            )
            return
        run = dated(run, answered.latest)
        if followed is not None:
            followed.found()
        known = await self._store.snapshots(self.workspace, [run_id])
        if target.mark is not None and run.created_at is not None and read_to_mark((run,), target.mark, known).news:
            return  # newer than the list that was read: the next one shows it, and there it is news
        await self._record(target, (run,), known, (), answered.now)

    async def _give_up(self, target: SyncTarget, api_now: datetime) -> None:
        now = asyncio.get_running_loop().time()
        for run_id in target.gone_runs(now):
            await self._drop(target, run_id, "not found three times", Reason.DELETED, api_now)
        for run_id in target.stale_runs(api_now):
            await self._drop(target, run_id, "unchanged for seven days", Reason.UNWATCHED, api_now)

    async def poll_run(
        self, target: RunTarget, sync_label: Callable[[Id], str | None], is_watched: Callable[[Id], bool]
    ) -> RunFate:
        """One poll of a run that is watched by its ID. The first sight is silent.

        Nothing is recorded of a run whose sync is watched: that sync's poll sees it, and knows whether it is news.
        """
        try:
            run, date = await self._client.run(target.run_id)
        except NotFound:
            return await self._not_found(target)
        answered = self.api_clock.read(date)
        run = dated(run, answered.latest)
        if target.misses.number:
            await self._store.save_run_watch(self.workspace, target.run_id, target.sync_id, None, None)
        target.misses = Misses()
        target.sync_id = run.sync_id
        if is_watched(run.sync_id):
            return RunFate.LEFT_TO_ITS_SYNC
        known = await self._store.snapshots(self.workspace, [run.id])
        alone = SyncTarget(run.sync_id, sync_label(run.sync_id), target.labels, None, held=target.held)
        old = known.get(run.id)
        older = await self._older_runs(run) if old is not None and old.watched != run.watched else ()
        await self._record(alone, (run,), known, (), answered.now, older=older)
        target.active = alone.is_active(answered.now)
        reason = f"ended as {run.watched.status}" if run.ended else "unchanged for seven days"
        if run.ended or alone.stale_runs(answered.now):
            await self.end_run_watch(run.id, run.sync_id, reason)
            return RunFate.ENDED
        return RunFate.GOES_ON

    async def _not_found(self, target: RunTarget) -> RunFate:
        now = asyncio.get_running_loop().time()
        if self._is_listed():
            target.misses.note(now)
            await self._store.save_run_watch(
                *(self.workspace, target.run_id, target.sync_id, None, None),
                misses=target.misses.number,
                missing_since=self._clock() - timedelta(seconds=now - target.misses.since),
            )
        if not target.misses.is_gone(now):
            return RunFate.GOES_ON
        await self.end_run_watch(target.run_id, target.sync_id, "not found three times")
        return RunFate.ENDED

    async def _older_runs(self, run: SyncRun) -> tuple[SyncRun, ...]:
        """What came before a run in its sync's list, newest first: nobody keeps snapshots of a sync not watched."""
        try:
            answer = await self._client.runs(run.sync_id, page=1, per_page=PAGE)
        except NotFound:
            return ()
        listed = self._client.version.runs_page(answer.body, run.sync_id).runs
        place = next((place for place, other in enumerate(listed) if other.id == run.id), len(listed))
        return listed[place + 1 :]

    async def end_run_watch(self, run_id: Id, sync_id: Id | None, reason: str) -> None:
        """A `sync_run` watch is over, for good."""
        await self._store.save_run_watch(self.workspace, run_id, sync_id, self._clock(), reason)
        log.info("watch of a sync run has ended", workspace=self.workspace, sync_run_id=run_id, reason=reason)

    async def _record(
        self,
        target: SyncTarget,
        listed: Sequence[SyncRun],
        known: dict[Id, Snapshot],
        news: Sequence[SyncRun],
        api_now: datetime,
        *,
        mark: Mark | None = None,
        gap: Gap | None = None,
        older: Sequence[SyncRun] = (),
    ) -> bool:
        """Keeps what differs from the snapshots, silently but for changes and news; `older` come below `listed`.

        False, and nothing was kept, where the sync is no longer watched.
        """
        async with target.lock:
            if target.gone:
                return False
            times = Times(seen_at=self._clock(), api_now=api_now)
            # Retention may have moved the floor since the list was read.
            fresh = {run.id for run in news if target.mark is None or not is_baseline(run, target.mark)}
            now = asyncio.get_running_loop().time()
            self._recorder.note_told_otherwise(target, listed, known)
            runs = target.believed(listed, known, now, may_lag=self._may_lag)
            shown = ShownRuns(runs, known, fresh, older)
            had_baseline = target.mark is not None
            kept = await self._recorder.take_runs(target, shown, times, mark=mark, gap=gap)
            target.changes += bool(kept) and had_baseline
        await self._follow(target, shown.runs, {**known, **{snapshot.run_id: snapshot for snapshot in kept}}, api_now)
        return True

    async def _follow(
        self, target: SyncTarget, listed: Iterable[SyncRun], known: Mapping[Id, Snapshot], api_now: datetime
    ) -> None:
        for run in listed:
            target.was_seen(run, known[run.id], api_now)
            if run.ended and run.id in target.watched_runs:
                await self.end_run_watch(run.id, run.sync_id, f"ended as {run.watched.status}")
                target.drop_run(run.id)
        target.outside &= target.followed.keys() | target.watched_runs.keys()

    def _note_unreadable(self, target: SyncTarget, unreadable: int) -> None:
        if unreadable > target.unreadable:
            log.warning(
                "some runs in an answer have no readable ID and can't be followed",
                workspace=self.workspace,
                sync_id=target.sync_id,
                runs=unreadable,
            )
        target.unreadable = unreadable

    async def _drop(self, target: SyncTarget, run_id: Id, reason: str, end: Reason, api_now: datetime) -> None:
        if run_id in target.watched_runs:
            await self.end_run_watch(run_id, target.sync_id, reason)
            target.drop_run(run_id)
        await self._store.unfollow(self.workspace, run_id)
        target.forget_run(run_id)
        await self._recorder.run_is_gone(target, run_id, end, api_now)
        log.info(
            "sync run is no longer followed",
            workspace=self.workspace,
            sync_id=target.sync_id,
            sync_run_id=run_id,
            reason=reason,
        )
