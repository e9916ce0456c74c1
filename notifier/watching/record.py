"""From what was seen to what is told: events of runs, syncs and incidents, each with those who get it.

Decides nothing by itself: `diff`, `checks` and `route` do. It brings them together with what the database remembers;
what is seen at once is recorded in one transaction.
"""

import uuid
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

import structlog

from notifier.judging import checks as rules
from notifier.judging.body import event_body
from notifier.judging.checks import Judged, Scene, Step, SyncState
from notifier.judging.judge import Draft, Found, Page, draft_of, run_drafts
from notifier.judging.results import (
    known_result,
    last_good_of,
    newer,
    newest_first,
    result_of,
    standing_after,
    take_new_level,
    with_good_run,
)
from notifier.judging.route import Finding, Reader, Subject, addressed, who_knows
from notifier.judging.sightings import Sighting
from notifier.model.event import CensusAlert, Event, EventType, Observation, run_story
from notifier.model.incident import Check, Incident, Reason
from notifier.model.meters import DEAF_TO_WORKSPACE, WorkspaceMeter
from notifier.model.run import Result, Snapshot, SyncRun
from notifier.model.sync import Standing, Sync
from notifier.model.times import spoken
from notifier.store.store import Store
from notifier.watching.target import SyncTarget, Unread
from notifier.watchlist.models import Route

log = structlog.get_logger(__name__)

NOTHING_KNOWN: Final[Mapping[int, Snapshot]] = {}
MOST_RESULTS: Final = 100  # of a sync, looked at for its usual number of records


class Recorder:
    """One workspace's. `recorded` hears the names of receivers that have something to get."""

    def __init__(
        self,
        workspace: str,
        app_url: str,
        store: Store,
        *,
        routes: Sequence[Route] | None,
        readers: Sequence[Reader],
        recorded: Callable[[Collection[str]], None],
        meter: WorkspaceMeter = DEAF_TO_WORKSPACE,
        clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self.workspace = workspace
        self._app_url = app_url
        self._store = store
        self._routes = routes
        self._readers = readers
        self._recorded = recorded
        self._meter = meter
        self._clock = clock

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

    async def judge(
        self,
        target: SyncTarget,
        sightings: Sequence[Sighting],
        listed: Sequence[SyncRun],
        known: Mapping[int, Snapshot],
        now: datetime,
        api_now: datetime,
        *,
        is_whole: bool,
    ) -> Found:
        """Events and incidents of runs, oldest first. `listed`: what the answer shows, newest first, `known`: its
        snapshots; `is_whole`: that is the newest part of the sync's list. Without a mark, a baseline, no check speaks.
        """
        if not sightings:
            return Found(state=target.state)
        judging = target.mark is not None
        state = target.state
        if judging:
            await self._know_last_good(target, known if is_whole else {})
            state = target.state
        results = await self._results(target, known, is_whole=is_whole) if judging else {}
        scene, order = self._scene(target, api_now), [run.id for run in listed]
        page = Page(state)
        for sighting in sightings:
            judged = self._steps(page.state, target, sighting, results, order, scene) if judging else Judged()
            drafts = [
                *run_drafts(sighting, target.watched_runs.get(sighting.run.id, target.labels)),
                *(draft_of(step, target.labels, sighting) for step in judged.steps),
            ]
            before = page.state.open
            page.take(judged, sighting.run, recounted=sighting.has_new_counts)
            page.state = with_good_run(page.state, sighting.run, api_now)
            page.add(*self._written(target.sync_id, target.label, drafts, before, page.state.open, now))
        return page.found()

    def _steps(
        self,
        state: SyncState,
        target: SyncTarget,
        sighting: Sighting,
        results: dict[int, Result],
        order: Sequence[int],
        scene: Scene,
    ) -> Judged:
        run = sighting.run
        judged = Judged()
        results.pop(run.id, None)
        if run.watched.is_counted:
            results[run.id] = result_of(run)
        if sighting.has_new_result or sighting.has_new_counts:
            after = rules.after_result if sighting.has_new_result else rules.after_counts
            judged = after(state, target.checks, run, newest_first(results, order), scene)
            if judged.outlier:
                results[run.id] = replace(results[run.id], outlier=True)
            if judged.new_level_from is not None:
                take_new_level(results, judged.new_level_from)
        elif run.watched.status == "failed":
            judged = Judged(rules.after_error(state, run))
        if run.ended:
            judged = replace(
                judged, steps=(*judged.steps, *rules.after_end(state, run.id, run, Reason.RECOVERED, scene))
            )
        return judged

    async def _results(self, target: SyncTarget, known: Mapping[int, Snapshot], *, is_whole: bool) -> dict[int, Result]:
        """The results before this observation. What the answer shows is enough where only the newest one counts."""
        checks = target.checks
        results = {s.run_id: known_result(s) for s in known.values() if s.watched.is_counted}
        looks_at_counts = checks.rejected_records is not None or checks.record_count is not None
        most = 0 if is_whole else MOST_RESULTS if looks_at_counts else 1
        if checks.failing is not None:
            wanted = max(checks.failing.window, checks.failing.recovered_after)
            most = wanted if wanted > 1 else most
        if checks.record_count is not None:
            most = MOST_RESULTS
        if most:
            stored = await self._store.results(self.workspace, target.sync_id, most)
            results |= {result.run_id: result for result in stored}
        return results

    async def _know_last_good(self, target: SyncTarget, newest: Mapping[int, Snapshot] = NOTHING_KNOWN) -> None:
        """`newest`: the snapshots of the newest part of the sync's list; one that completed there is the last good."""
        if not target.last_good_known:
            good = last_good_of(newest.values())
            if good is None:
                good = await self._store.last_good(self.workspace, target.sync_id)
            target.state = replace(target.state, last_good=newer(target.state.last_good, good))
            target.last_good_known = True

    # --- what time brought about ---

    async def pass_time(
        self, target: SyncTarget, api_now: datetime, fetch: Callable[[int], Awaitable[SyncRun | None]]
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
            if target.state.open and not target.state.standing.paused:
                due = rules.reminders(target.checks.reminders, target.state.open.values(), api_now)
                await self._take_steps(target, due)

    async def note_unread(self, target: SyncTarget, unread: Unread, error: str, api_now: datetime) -> None:
        """The runs of a sync, or one of them, can't be read: an incident, once that has lasted too long."""
        settings, lasted = target.checks.unreadable, unread.silence.lasted
        if settings is None or lasted is None or lasted < settings.after:
            return
        async with target.lock:
            if target.gone or Check.UNREADABLE in target.state.open:
                return
            what = "no readable answer" if unread.run_id is None else f"run {unread.run_id} can't be read"
            said = f"{what} for more than {spoken(settings.after)}: {error}"
            step = self._scene(target, api_now).opened(Check.UNREADABLE, summary=said)
            await self._take_steps(target, [step])

    async def note_read(self, target: SyncTarget, api_now: datetime) -> None:
        """The runs of a sync can be read: the incident that they could not is over."""
        async with target.lock:
            incident = target.state.open.get(Check.UNREADABLE)
            if incident is not None and not target.gone:
                await self._take_steps(target, [self._scene(target, api_now).resolved(incident, Reason.RECOVERED)])

    async def _note_slow(
        self, target: SyncTarget, api_now: datetime, fetch: Callable[[int], Awaitable[SyncRun | None]]
    ) -> None:
        settings, known = target.checks.slow_run, target.state.open.get(Check.SLOW_RUN)
        if known is not None and known.last_run_id not in target.followed:
            scene = self._scene(target, api_now)
            steps = rules.after_end(target.state, known.last_run_id or 0, None, Reason.UNWATCHED, scene)
            await self._take_steps(target, steps)
        followed = sorted(target.followed.items())
        slow = (i for i, run in followed if rules.is_slow(target.checks, target.state, run.created_at, api_now))
        run_id = next(slow, None)
        run = await fetch(run_id) if run_id is not None else None
        if settings is not None and run is not None and not run.ended:
            await self._know_last_good(target)
            await self._take_steps(
                target, [rules.slow(settings.after, target.state, run, self._scene(target, api_now))]
            )

    async def _note_stale(self, target: SyncTarget, api_now: datetime) -> None:
        await self._know_last_good(target)
        if rules.good_since(target.state) is None:
            standing = replace(target.state.standing, stale_from=api_now)
            await self._store.save_standings(self.workspace, {target.sync_id: standing})
            target.state = replace(target.state, standing=standing)
        await self._take_steps(target, rules.stale(target.checks, target.state, self._scene(target, api_now)))

    async def run_is_gone(self, target: SyncTarget, run_id: int, reason: Reason, api_now: datetime) -> None:
        """A run is no longer followed, though nobody saw it end."""
        async with target.lock:
            if target.gone:
                return
            scene = self._scene(target, api_now)
            await self._take_steps(target, rules.after_end(target.state, run_id, None, reason, scene))

    # --- what a listing, or the watchlist, brought about ---

    async def drop_checks_turned_off(self, target: SyncTarget) -> None:
        """Ends open incidents of checks that are no longer on."""
        async with target.lock:
            off = [check for check in target.state.open if getattr(target.checks, check.value) is None]
            if off:
                newest, scene = await self._newest_result(target), self._scene(target)
                await self._take_steps(target, rules.ended_by(target.state, off, Reason.CHECK_OFF, scene, newest))

    async def note_listed(self, target: SyncTarget, sync: Sync, listed_at: datetime) -> None:
        """A sync was paused, resumed or put on another schedule: tells, and keeps it. The first sight is silent."""
        async with target.lock:
            old = target.state.standing
            drafts: list[Draft] = []
            if old.paused is not None and old.paused != sync.paused:
                drafts.append(Draft(EventType.SYNC_PAUSED if sync.paused else EventType.SYNC_RESUMED, target.labels))
            resting = (Check.SLOW_RUN, Check.STALE) if sync.paused else () if sync.scheduled else (Check.STALE,)
            steps = rules.ended_by(target.state, resting, Reason.CHECK_OFF, self._scene(target, listed_at))
            await self._take_steps(target, steps, first=drafts, standing=standing_after(old, sync, listed_at))

    async def last_words(self, target: SyncTarget, reason: Reason, at: datetime | None = None) -> Observation:
        """What there is to tell of a sync that is forgotten; kept together with the forgetting."""
        page, now = Page(target.state), self._clock()
        if reason is Reason.DELETED:
            drafts = [Draft(EventType.SYNC_DELETED, target.labels)]
            page.add(*self._written(target.sync_id, target.label, drafts, {}, {}, now))
        newest = await self._newest_result(target) if target.state.open else None
        steps = rules.ended_by(target.state, tuple(Check), reason, self._scene(target, at), newest)
        self._add_steps(page, target, steps, now)
        found = page.found()
        return Observation(self.workspace, target.sync_id, None, events=found.events, incidents=found.incidents)

    async def _newest_result(self, target: SyncTarget) -> Result | None:
        results = await self._store.results(self.workspace, target.sync_id, 1)
        return results[0] if results else None

    # --- what Census' own alerts say ---

    async def take_alert(self, target: SyncTarget, alert: CensusAlert) -> None:
        """Records one of Census' alerts of a watched sync; that it was told is kept with it. Opens no incident."""
        draft = Draft(alert.type, target.labels, alert=alert)
        events, _ = self._written(target.sync_id, target.label, [draft], {}, {}, self._clock())
        await self._store.record(
            Observation(self.workspace, target.sync_id, target.label, events=tuple(events), alert=alert)
        )
        self.announce(events)

    # --- what concerns the whole workspace ---

    def workspace_scene(self) -> Scene:
        """For the workspace's own incidents; nobody else's clock can be asked while its API is silent."""
        return Scene(self.workspace, None, None, {}, self._clock(), _new_incident_id)

    async def take_workspace_step(self, step: Step) -> Incident:
        """Records what happened to the workspace's own incident; the incident as it is kept."""
        page = Page(SyncState())
        draft = Draft(step.type, {}, incident=step.incident)
        page.take(Judged((step,)), None)
        page.add(*self._written(None, None, [draft], {}, {}, self._clock()))
        found = page.found()
        observation = Observation(self.workspace, None, None, events=found.events, incidents=found.incidents)
        await self._store.record(observation)
        self.announce(found.events)
        return found.incidents[0]

    # --- common to all ---

    def _scene(self, target: SyncTarget, now: datetime | None = None) -> Scene:
        at = now or self._clock()
        return Scene(self.workspace, target.sync_id, target.label, target.labels, at, _new_incident_id)

    async def _take_steps(
        self,
        target: SyncTarget,
        steps: Sequence[Step],
        *,
        first: Sequence[Draft] = (),
        standing: Standing | None = None,
    ) -> None:
        """Records steps that no change of a run brought about; each is told by itself."""
        if not steps and not first and standing in (None, target.state.standing):
            return
        page, now = Page(target.state), self._clock()
        for draft in first:
            page.add(*self._written(target.sync_id, target.label, [draft], {}, {}, now))
        self._add_steps(page, target, steps, now)
        found = page.found()
        await self._store.record(
            Observation(
                self.workspace,
                target.sync_id,
                target.label,
                events=found.events,
                incidents=found.incidents,
                standing=standing,
            )
        )
        target.state = replace(found.state, standing=standing or found.state.standing)
        self.announce(found.events)

    def _add_steps(self, page: "Page", target: SyncTarget, steps: Iterable[Step], now: datetime) -> None:
        for step in steps:
            labels = target.labels if target.labels or step.incident.is_open else step.incident.labels
            page.take(Judged((step,)), step.run)
            draft = Draft(step.type, labels, run=step.run, incident=step.incident)
            page.add(*self._written(target.sync_id, target.label, [draft], {}, {}, now))

    def _written(
        self,
        sync_id: int | None,
        label: str | None,
        drafts: Sequence[Draft],
        before: Mapping[Check, Incident],
        after: Mapping[Check, Incident],
        now: datetime,
    ) -> tuple[list[Event], dict[str, frozenset[str]]]:
        """The events of what was seen at once, and who learned of which incident by them."""
        lasting = tuple({**before, **after}.values())
        findings = [self._finding(sync_id, label, draft, lasting) for draft in drafts]
        events, told = [], {}
        chosen = addressed(findings, self._routes, self._readers)
        for draft, finding, addressees in zip(drafts, findings, chosen, strict=True):
            body = event_body(
                type=draft.type,
                seen_at=now,
                workspace=self.workspace,
                app_url=self._app_url,
                labels=draft.labels,
                sync_id=sync_id,
                sync_label=label,
                run=draft.run,
                previous_run=draft.previous_run,
                changes=draft.changes,
                incident=draft.incident,
                alert=draft.alert,
            )
            event_id = f"evt_{uuid.uuid4().hex}"
            run_id = draft.run.id if draft.run is not None else draft.alert.run_id if draft.alert is not None else None
            incident_id = draft.incident.id if draft.incident is not None else None
            events.append(
                Event(event_id, draft.type, self.workspace, sync_id, run_id, now, body, addressees, incident_id)
            )
            if incident_id is not None:
                told[incident_id] = who_knows(finding, addressees, self._routes, self._readers)
        return events, told

    def _finding(self, sync_id: int | None, label: str | None, draft: Draft, lasting: tuple[Incident, ...]) -> Finding:
        """`lasting`: the incidents into whose time the runs fall."""
        own, run = draft.incident, draft.run
        subject = Subject(draft.type, self.workspace, sync_id, label, draft.labels, own.check if own else None)
        return Finding(
            subject,
            incidents=(own,) if own is not None else lasting if run is not None else (),
            run_story=run_story(self.workspace, sync_id, run.id) if run is not None else None,
        )


def _new_incident_id() -> str:
    return f"inc_{uuid.uuid4().hex}"
