"""What was seen in a workspace, and what it comes to: events, incidents, and who gets them. Pure.

`checks` says what a result or a time means, `route` who hears of it, `body` how it reads; this brings them together.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Final

from notifier.judging import checks as rules
from notifier.judging.body import event_body
from notifier.judging.checks import Judged, Scene, Step, SyncState
from notifier.judging.page import EventDraft, Found, Page, draft_of, run_drafts
from notifier.judging.results import after_run, with_good_run
from notifier.judging.route import Finding, Reader, Subject, addressed, who_knows
from notifier.judging.sightings import Sighting
from notifier.judging.standing import resting_checks, standing_after
from notifier.model.event import Addressee, CensusAlert, Event, EventType, run_story
from notifier.model.identity import Id
from notifier.model.incident import Check, Incident, Reason
from notifier.model.run import Result
from notifier.model.sync import Labels, Mark, Sync
from notifier.watchlist.checks import NO_CHECKS, ChecksInForce
from notifier.watchlist.models import Route


@dataclass(frozen=True, slots=True, kw_only=True)
class Times:
    """When something was seen, by two clocks that need not agree."""

    seen_at: datetime
    """By our clock: the time of its events."""
    api_now: datetime
    """By the API's clock, by which it dates runs: ages are counted by it."""


NONE_WATCHED: Final[Mapping[Id, Labels]] = {}  # one for all: there are as many as syncs


@dataclass(frozen=True, slots=True)
class KnownSync:
    """A watched sync as it is known at one moment: what is seen of it is judged by this."""

    sync_id: Id | None
    """None: it is no sync, but the workspace itself."""
    label: str | None
    labels: Labels
    mark: Mark | None = None
    """How far its list of runs has been read; None: not at all yet."""
    watched_runs: Mapping[Id, Labels] = field(default_factory=lambda: NONE_WATCHED)
    """Its runs that a `sync_run` watch names, with the labels of that watch."""
    checks: ChecksInForce = NO_CHECKS
    state: SyncState = field(default_factory=SyncState)
    """What its checks remember."""

    @property
    def has_baseline(self) -> bool:
        """Whether its runs have been read before. While they have not, no check speaks."""
        return self.mark is not None


THE_WORKSPACE: Final = KnownSync(None, None, {})


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges what is seen in one workspace."""

    workspace: str
    app_url: str
    routes: Sequence[Route] | None
    readers: Sequence[Reader]
    new_id: Callable[[], str]
    """Makes an ID that no event and no incident has."""

    def scene(self, sync: KnownSync, now: datetime) -> Scene:
        """What each incident of the sync gets that begins or ends at `now`."""
        return Scene(self.workspace, sync.sync_id, sync.label, sync.labels, now, lambda: f"inc_{self.new_id()}")

    def runs(
        self,
        sync: KnownSync,
        sightings: Iterable[Sighting],
        results: Iterable[Result],
        listed: Sequence[Id],
        times: Times,
    ) -> Found:
        """What runs mean that were seen, oldest first.

        `results`: those known before; `listed`: the runs of the answer. Both newest first: of runs that were created in
        one instant, that order tells which is newer.
        """
        page, scene = Page(sync.state), self.scene(sync, times.api_now)
        by_run = {result.run_id: result for result in results}
        for sighting in sightings:
            run, before = sighting.run, page.state.open
            judged = Judged()
            if sync.has_baseline:
                judged = after_run(page.state, sync.checks, sighting, by_run, listed, scene)
            page.take(judged, run, recounted=sighting.has_new_counts)
            page.state = with_good_run(page.state, run, times.api_now)
            drafts = [
                *run_drafts(sighting, sync.watched_runs.get(run.id, sync.labels)),
                *(draft_of(step, sync.labels, sighting) for step in judged.steps),
            ]
            self._write(page, sync, drafts, times.seen_at, lasting={**before, **page.state.open})
        return page.found()

    def told(self, sync: KnownSync, steps: Iterable[Step], seen_at: datetime) -> Found:
        """Steps of incidents that no change of a run brought about; each is told by itself."""
        page = Page(sync.state)
        self._tell(page, sync, steps, seen_at)
        return page.found()

    def listed(self, sync: KnownSync, shown: Sync, times: Times) -> Found:
        """A listing shows that a sync was paused, resumed or put on another schedule. The first sight is silent."""
        page, old = Page(sync.state), sync.state.standing
        if old.paused is not None and old.paused != shown.paused:
            kind = EventType.SYNC_PAUSED if shown.paused else EventType.SYNC_RESUMED
            self._write(page, sync, [EventDraft(kind, sync.labels)], times.seen_at)
        scene = self.scene(sync, times.api_now)
        steps = rules.ended_by(sync.state, resting_checks(shown), Reason.CHECK_OFF, scene)
        self._tell(page, sync, steps, times.seen_at)
        page.state = replace(page.state, standing=standing_after(old, shown, times.api_now))
        return page.found()

    def last_words(self, sync: KnownSync, reason: Reason, newest: Result | None, times: Times) -> Found:
        """What there is to tell of a sync that is forgotten. `newest`: its newest result."""
        page = Page(sync.state)
        if reason is Reason.DELETED:
            self._write(page, sync, [EventDraft(EventType.SYNC_DELETED, sync.labels)], times.seen_at)
        scene = self.scene(sync, times.api_now)
        self._tell(page, sync, rules.ended_by(sync.state, tuple(Check), reason, scene, newest), times.seen_at)
        return page.found()

    def alert(self, sync: KnownSync, alert: CensusAlert, seen_at: datetime) -> Found:
        """One of Census' own alerts. It opens no incident."""
        page = Page(sync.state)
        self._write(page, sync, [EventDraft(alert.type, sync.labels, alert=alert)], seen_at)
        return page.found()

    def _tell(self, page: Page, sync: KnownSync, steps: Iterable[Step], seen_at: datetime) -> None:
        for step in steps:
            labels = sync.labels if sync.labels or step.incident.is_open else step.incident.labels
            page.take(Judged((step,)), step.run)
            self._write(page, sync, [EventDraft(step.type, labels, run=step.run, incident=step.incident)], seen_at)

    def _write(
        self,
        page: Page,
        sync: KnownSync,
        drafts: Sequence[EventDraft],
        seen_at: datetime,
        lasting: Mapping[Check, Incident] | None = None,
    ) -> None:
        """Adds the events of what was seen at once, and who learned of which incident by them. `lasting`: the incidents
        into whose time the runs fall."""
        findings = [self._finding(sync, draft, lasting or {}) for draft in drafts]
        chosen = addressed(findings, self.routes, self.readers)
        told = {
            draft.incident.id: who_knows(finding, addressees, self.routes, self.readers)
            for draft, finding, addressees in zip(drafts, findings, chosen, strict=True)
            if draft.incident is not None
        }
        written = zip(drafts, chosen, strict=True)
        page.add([self._event(sync, draft, addressees, seen_at) for draft, addressees in written], told)

    def _event(self, sync: KnownSync, draft: EventDraft, addressees: tuple[Addressee, ...], seen_at: datetime) -> Event:
        body = event_body(
            type=draft.type,
            seen_at=seen_at,
            workspace=self.workspace,
            app_url=self.app_url,
            labels=draft.labels,
            sync_id=sync.sync_id,
            sync_label=sync.label,
            run=draft.run,
            previous_run=draft.previous_run,
            changes=draft.changes,
            incident=draft.incident,
            alert=draft.alert,
        )
        return Event(
            id=f"evt_{self.new_id()}",
            type=draft.type,
            workspace=self.workspace,
            sync_id=sync.sync_id,
            run_id=draft.run_id,
            seen_at=seen_at,
            body=body,
            addressees=addressees,
            incident_id=draft.incident.id if draft.incident is not None else None,
        )

    def _finding(self, sync: KnownSync, draft: EventDraft, lasting: Mapping[Check, Incident]) -> Finding:
        own, run = draft.incident, draft.run
        check = own.check if own is not None else None
        subject = Subject(draft.type, self.workspace, sync.sync_id, sync.label, draft.labels, check)
        return Finding(
            subject,
            incidents=(own,) if own is not None else tuple(lasting.values()) if run is not None else (),
            run_story=run_story(self.workspace, sync.sync_id, run.id) if run is not None else None,
        )
