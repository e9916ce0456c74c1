"""Reads what a judge needs, has it judged, commits what was found, and says so.

Decides nothing by itself: what it means and who gets it is said in `judging`. What is seen at once is recorded in one
transaction, and a target moves after it.
"""

import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog

from notifier.judging import checks as rules
from notifier.judging.checks import Scene, Step
from notifier.judging.diff import changes_between, with_floor_of
from notifier.judging.judge import THE_WORKSPACE, Judge, KnownSync, Times
from notifier.judging.page import Found
from notifier.judging.results import how_many, known_result, last_good_of
from notifier.judging.route import Reader
from notifier.judging.sightings import ShownRuns, Sighting, glances, is_told_otherwise, snapshots
from notifier.judging.standing import counted_from, out_of_sight, readable, turned_off, unreadable
from notifier.model.event import CensusAlert, Event, Observation
from notifier.model.identity import Id, in_order
from notifier.model.incident import Incident, Reason
from notifier.model.meters import NO_WORKSPACE_METER, WorkspaceMeter
from notifier.model.run import Result, Snapshot, SyncRun
from notifier.model.sync import Gap, Mark, Sync
from notifier.store.watching import WatchingStore
from notifier.watching.target import SyncTarget, Unread
from notifier.watchlist.models import Route

log = structlog.get_logger(__name__)

NOTHING_KNOWN: Final[Mapping[Id, Snapshot]] = {}


class Recorder:
    """One workspace's. `recorded` hears the names of receivers that have something to get."""

    def __init__(
        self,
        workspace: str,
        app_url: str,
        store: WatchingStore,
        *,
        routes: Sequence[Route] | None,
        readers: Sequence[Reader],
        recorded: Callable[[Collection[str]], None],
        meter: WorkspaceMeter = NO_WORKSPACE_METER,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.workspace = workspace
        self._judge = Judge(workspace, app_url, routes, readers, new_id=lambda: uuid.uuid4().hex)
        self._store = store
        self._recorded = recorded
        self._meter = meter
        self._clock = clock
        self._has_told_otherwise = False

    def announce(self, events: Iterable[Event]) -> None:
        """Says what was recorded, in the log and to the receivers."""
        names: set[str] = set()
        for event in events:
            names.update(event.receivers)
            self._meter.event_recorded(event.type)
            known = {"sync_id": event.sync_id, "sync_run_id": event.run_id, "incident_id": event.incident_id}
            log.info(
                "sync run changed" if event.type.startswith("sync_run.") else "event recorded",
                event_id=event.id,
                type=event.type.value,
                workspace=event.workspace,
                **{name: value for name, value in known.items() if value is not None},
                receivers=list(event.receivers),
            )
        if names:
            self._recorded(names)

    # --- what a poll saw of a sync's runs ---

    async def take_runs(
        self, target: SyncTarget, shown: ShownRuns, times: Times, *, mark: Mark | None = None, gap: Gap | None = None
    ) -> tuple[Snapshot, ...]:
        """Records what an answer shows that was not known, while the target's lock is held; what is kept of it.

        `mark`: how far the sync's list is read by it.
        """
        sync = target.known
        sightings = await self._sightings(sync, shown)
        kept = snapshots(shown, sightings, times.api_now)
        found = Found(state=sync.state)
        if sightings:
            # The newest part of the list is whole where nothing newer is known: an answer may lag behind another.
            is_whole = mark is not None and any(run.id == mark.run_id for run in shown.runs)
            results: Iterable[Result] = ()
            if sync.has_baseline:
                await self._know_last_good(target, shown.known if is_whole else NOTHING_KNOWN)
                results = await self._results(target, sync, shown.known, is_whole=is_whole)
            # A listing may have brought a new name meanwhile; the results are those that the checks of before look at.
            if target.known is not sync:
                sync = replace(target.known, checks=sync.checks)
            found = self._judge.runs(sync, sightings, results, [run.id for run in shown.runs], times)
        if mark is not None and target.mark is not None:
            mark = with_floor_of(mark, target.mark)
        moved = mark if mark != target.mark else None
        if moved or kept:
            await self._store.record(self._observation(sync, found, snapshots=kept, mark=moved, gap=gap))
        target.was_read(found.state, mark)
        self.announce(found.events)
        return kept

    def note_told_otherwise(self, target: SyncTarget, listed: Iterable[SyncRun], known: Mapping[Id, Snapshot]) -> None:
        """Says once that two versions of the API differ about what had ended: that is kept as it was told."""
        run = next((run for run in listed if is_told_otherwise(run, known.get(run.id))), None)
        if run is None or self._has_told_otherwise:
            return
        self._has_told_otherwise = True
        log.warning(
            "this version of the API shows runs otherwise that had ended; what was told of them stays",
            workspace=self.workspace,
            sync_id=target.sync_id,
            sync_run_id=run.id,
            fields=[change.field for change in changes_between(known[run.id].watched, run.watched)],
        )

    async def _sightings(self, sync: KnownSync, shown: ShownRuns) -> list[Sighting]:
        """What is seen in an answer, oldest first; the database says what it does not show."""
        seen = []
        for glance in glances(shown, has_baseline=sync.has_baseline):
            run, previous, was_full_sync = glance.sighting.run, None, None
            if glance.lacks_full_sync and glance.oldest is not None:
                was_full_sync = await self._store.was_full_sync(self.workspace, run.sync_id, run.id, glance.oldest)
            if glance.lacks_previous_run:
                others = [run.id, *glance.below]
                previous = await self._store.previous_result(self.workspace, run.sync_id, glance.oldest, others)
            sighting = glance.seen(previous, was_full_sync)
            if sighting is not None:
                seen.append(sighting)
        return seen

    async def _results(
        self, target: SyncTarget, sync: KnownSync, known: Mapping[Id, Snapshot], *, is_whole: bool
    ) -> Iterable[Result]:
        """The results before this observation, those that the answer shows first."""
        results = {s.run_id: known_result(s) for s in known.values() if s.watched.is_counted}
        if most := how_many(sync.checks, is_whole=is_whole):
            stored = await self._store.results(self.workspace, target.sync_id, most)
            results |= {result.run_id: result for result in stored}
        return results.values()

    async def _know_last_good(self, target: SyncTarget, newest: Mapping[Id, Snapshot] = NOTHING_KNOWN) -> None:
        """Looks up the sync's last good run, once. `newest`: the snapshots of the newest part of its list; one that
        completed there is the last good."""
        if not target.last_good_known:
            good = last_good_of(newest.values()) or await self._store.last_good(self.workspace, target.sync_id)
            target.last_completed(good)

    # --- what time brought about ---

    async def pass_time(
        self, target: SyncTarget, api_now: datetime, fetch: Callable[[Id], Awaitable[SyncRun | None]]
    ) -> None:
        """After a poll: runs that take too long, syncs that stand still, incidents to be told again.

        `fetch` gives a run as it is now, None where that can't be said.
        """
        if target.checks.slow_run is None and target.checks.stale is None and not target.state.open:
            return
        async with target.lock:
            if target.mark is None or target.gone:
                return
            await self._note_slow(target, api_now, fetch)
            if target.checks.stale is not None:
                await self._note_stale(target, api_now)
            sync = target.known
            if sync.state.open and not sync.state.standing.paused:
                await self._take(
                    target, sync, rules.reminders(sync.checks.reminders, sync.state.open.values(), api_now)
                )

    async def _note_slow(
        self, target: SyncTarget, api_now: datetime, fetch: Callable[[Id], Awaitable[SyncRun | None]]
    ) -> None:
        sync = target.known
        if sync.state.open:
            await self._take(target, sync, out_of_sight(sync.state, target.followed, self._judge.scene(sync, api_now)))
        sync = target.known
        followed = sorted(target.followed.items(), key=lambda each: in_order(each[0]))
        slow = (i for i, run in followed if rules.is_slow(sync.checks, sync.state, run.created_at, api_now))
        run_id = next(slow, None)
        run = await fetch(run_id) if run_id is not None else None
        settings = sync.checks.slow_run
        if settings is not None and run is not None and not run.ended:
            await self._know_last_good(target)
            sync = target.known  # a listing may have brought a new name meanwhile
            scene = self._judge.scene(sync, api_now)
            await self._take(target, sync, [rules.slow(settings.after, sync.state, run, scene)])

    async def _note_stale(self, target: SyncTarget, api_now: datetime) -> None:
        await self._know_last_good(target)
        sync = target.known
        standing = counted_from(sync.state, api_now)
        if standing is not sync.state.standing:
            await self._store.save_standings(self.workspace, {target.sync_id: standing})
            target.stands(standing)
            return  # it counts from now on
        await self._take(target, sync, rules.stale(sync.checks, sync.state, self._judge.scene(sync, api_now)))

    async def note_unread(self, target: SyncTarget, unread: Unread, error: str, api_now: datetime) -> None:
        """The runs of a sync, or one of them, can't be read: an incident, once that has lasted too long."""
        async with target.lock:
            if not target.gone:
                sync, lasted = target.known, unread.silence.lasted
                scene = self._judge.scene(sync, api_now)
                steps = unreadable(sync.checks, sync.state, lasted, unread.run_id, error, scene)
                await self._take(target, sync, steps)

    async def note_read(self, target: SyncTarget, api_now: datetime) -> None:
        """The runs of a sync can be read: the incident that they could not is over."""
        async with target.lock:
            if not target.gone:
                sync = target.known
                await self._take(target, sync, readable(sync.state, self._judge.scene(sync, api_now)))

    async def run_is_gone(self, target: SyncTarget, run_id: Id, reason: Reason, api_now: datetime) -> None:
        """A run is no longer followed, though nobody saw it end."""
        async with target.lock:
            if not target.gone:
                sync = target.known
                scene = self._judge.scene(sync, api_now)
                await self._take(target, sync, rules.after_end(sync.state, run_id, None, reason, scene))

    # --- what a listing, or the watchlist, brought about ---

    async def drop_checks_turned_off(self, target: SyncTarget) -> None:
        """Ends open incidents of checks that are no longer on."""
        async with target.lock:
            sync = target.known
            if off := turned_off(sync.state, sync.checks):
                newest, scene = await self._newest_result(target), self._judge.scene(sync, self._clock())
                await self._take(target, sync, rules.ended_by(sync.state, off, Reason.CHECK_OFF, scene, newest))

    async def note_listed(self, target: SyncTarget, shown: Sync, listed_at: datetime) -> None:
        """A sync was paused, resumed or put on another schedule: tells, and keeps it."""
        async with target.lock:
            sync = target.known
            found = self._judge.listed(sync, shown, Times(seen_at=self._clock(), api_now=listed_at))
            if found.state != sync.state:
                await self._keep(sync, found)
                target.was_judged(found.state)

    async def last_words(self, target: SyncTarget, reason: Reason, at: datetime | None = None) -> Observation:
        """What there is to tell of a sync that is forgotten; kept together with the forgetting."""
        sync, now = target.known, self._clock()
        newest = await self._newest_result(target) if sync.state.open else None
        found = self._judge.last_words(sync, reason, newest, Times(seen_at=now, api_now=at or now))
        return self._observation(sync, found)

    async def _newest_result(self, target: SyncTarget) -> Result | None:
        results = await self._store.results(self.workspace, target.sync_id, 1)
        return results[0] if results else None

    # --- what Census' own alerts say ---

    async def take_alert(self, target: SyncTarget, alert: CensusAlert) -> None:
        """Records one of Census' alerts of a watched sync; that it was told is kept with it. None behind last words."""
        async with target.lock:
            if not target.gone:
                sync = target.known
                await self._keep(sync, self._judge.alert(sync, alert, self._clock()), alert=alert)

    # --- what concerns the whole workspace ---

    def workspace_scene(self) -> Scene:
        """For the workspace's own incidents; nobody else's clock can be asked while its API is silent."""
        return self._judge.scene(THE_WORKSPACE, self._clock())

    async def take_workspace_step(self, step: Step) -> Incident:
        """Records what happened to the workspace's own incident; the incident as it is kept."""
        found = self._judge.told(THE_WORKSPACE, [step], self._clock())
        await self._keep(THE_WORKSPACE, found)
        return found.incidents[0]

    # --- common to all ---

    async def _take(self, target: SyncTarget, sync: KnownSync, steps: Sequence[Step]) -> None:
        """Records steps that no change of a run brought about; the target's lock is held."""
        if steps:
            found = self._judge.told(sync, steps, self._clock())
            await self._keep(sync, found)
            target.was_judged(found.state)

    async def _keep(self, sync: KnownSync, found: Found, *, alert: CensusAlert | None = None) -> None:
        await self._store.record(self._observation(sync, found, alert=alert))
        self.announce(found.events)

    def _observation(
        self,
        sync: KnownSync,
        found: Found,
        *,
        snapshots: tuple[Snapshot, ...] = (),
        mark: Mark | None = None,
        gap: Gap | None = None,
        alert: CensusAlert | None = None,
    ) -> Observation:
        return Observation(
            self.workspace,
            sync.sync_id,
            sync.label,
            snapshots,
            found.events,
            mark=mark,
            gap=gap,
            incidents=found.incidents,
            outliers=found.outliers,
            regulars=found.regulars,
            new_level_from=found.new_level_from,
            standing=found.state.standing if found.state.standing != sync.state.standing else None,
            alert=alert,
        )
