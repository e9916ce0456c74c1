"""What was seen and what it came to, before it is recorded. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime

from notifier.judging.checks import Judged, Step, SyncState
from notifier.judging.diff import event_type
from notifier.model.delivery import (
    CensusAlert,
    Change,
    Event,
    EventType,
    GoodRun,
    Incident,
    Labels,
    PreviousRun,
    Result,
    Snapshot,
    Standing,
    Sync,
    SyncRun,
)


@dataclass(frozen=True, slots=True)
class Sighting:
    """A run that is news or has changed: against `old`, its snapshot. `full_sync`: it turned out to be one, and the run
    before it was none."""

    run: SyncRun
    old: Snapshot | None
    changes: tuple[Change, ...]
    previous_run: PreviousRun | None
    full_sync: bool = False

    @property
    def has_new_result(self) -> bool:
        """Whether it completed or failed, and had not just so before."""
        new, old = self.run.watched, self.old.watched if self.old is not None else None
        return new.is_counted and (old is None or not old.is_counted or old.status != new.status)

    @property
    def has_new_counts(self) -> bool:
        """Whether it had completed just so before, and only its records are counted otherwise now. Census may count
        them after a run's end."""
        counts = self.old.counts if self.old is not None else None
        is_result = self.run.watched.is_counted and not self.has_new_result
        return is_result and self.run.watched.status == "completed" and counts not in (None, self.run.records)


@dataclass(frozen=True, slots=True)
class Found:
    """What to record of it, and the state of the sync's checks from then on."""

    events: tuple[Event, ...] = ()
    incidents: tuple[Incident, ...] = ()
    outliers: tuple[int, ...] = ()
    regulars: tuple[int, ...] = ()
    new_level_from: datetime | None = None
    state: SyncState = field(default_factory=SyncState)


@dataclass(frozen=True, slots=True)
class Draft:
    """An event before it is known who gets it."""

    type: EventType
    labels: Labels
    run: SyncRun | None = None
    changes: tuple[Change, ...] = ()
    previous_run: PreviousRun | None = None
    incident: Incident | None = None
    alert: CensusAlert | None = None


class Page:
    """What is found so far, in its order; an incident as it is after its last step."""

    def __init__(self, state: SyncState) -> None:
        self.state = state
        self._events: list[Event] = []
        self._incidents: dict[str, Incident] = {}
        self._outliers: list[int] = []
        self._regulars: list[int] = []
        self._new_level_from: datetime | None = None

    def take(self, judged: Judged, run: SyncRun | None, *, recounted: bool = False) -> None:
        """`recounted`: what was thought of the number of the run's records before no longer holds."""
        for step in judged.steps:
            self._keep(step.incident)
        if judged.outlier and run is not None:
            self._outliers.append(run.id)
        elif recounted and run is not None:
            self._regulars.append(run.id)
        if judged.new_level_from is not None:
            self._new_level_from = judged.new_level_from
            self._outliers.clear()

    def add(self, events: Iterable[Event], told: Mapping[str, frozenset[str]]) -> None:
        self._events += events
        for incident_id, receivers in told.items():
            incident = self._incidents[incident_id]
            self._keep(replace(incident, told=incident.told | receivers))

    def _keep(self, incident: Incident) -> None:
        self._incidents[incident.id] = incident
        self.state = self.state.with_incident(incident)

    def found(self) -> Found:
        return Found(
            tuple(self._events),
            tuple(self._incidents.values()),
            tuple(self._outliers),
            tuple(self._regulars),
            self._new_level_from,
            self.state,
        )


def standing_after(old: Standing, sync: Sync, listed_at: datetime) -> Standing:
    """What is known of a sync once a listing showed it. Time in which no run was due is held against no sync."""
    begins_to_be_due = (old.paused and not sync.paused) or (old.scheduled is False and sync.scheduled)
    return Standing(sync.paused, sync.scheduled, listed_at if begins_to_be_due else old.stale_from)


def run_drafts(sighting: Sighting, labels: Labels) -> Iterable[Draft]:
    """The events of a run itself."""
    run = sighting.run
    if sighting.changes:
        yield Draft(event_type(sighting.changes), labels, run, sighting.changes, sighting.previous_run)
    if sighting.full_sync:
        yield Draft(EventType.FULL_SYNC, labels, run, sighting.changes, sighting.previous_run)


def draft_of(step: Step, labels: Labels, sighting: Sighting) -> Draft:
    """The event of an incident that a run brought about."""
    return Draft(step.type, labels, sighting.run, sighting.changes, sighting.previous_run, step.incident)


def with_good_run(state: SyncState, run: SyncRun, now: datetime) -> SyncState:
    """The state after a run was seen: if it completed, it may be the last good one."""
    if run.watched.status != "completed" or run.watched.is_canceled:
        return state
    good = GoodRun(run.id, run.completed_at or run.updated_at or now)
    return replace(state, last_good=newer(state.last_good, good))


def last_good_of(snapshots: Iterable[Snapshot]) -> GoodRun | None:
    """Of these runs, the newest that completed."""
    good = {s.run_id: known_result(s) for s in snapshots if s.watched.is_counted and s.watched.status == "completed"}
    newest = newest_first(good)
    return GoodRun(newest[0].run_id, newest[0].completed_at) if newest else None


def newer(one: GoodRun | None, other: GoodRun | None) -> GoodRun | None:
    """The one that completed later."""
    if one is None or other is None:
        return one or other
    if one.completed_at is None or other.completed_at is None:
        return other
    return other if other.completed_at >= one.completed_at else one


def result_of(run: SyncRun) -> Result:
    """The result of a run that completed or failed."""
    completed = run.watched.status == "completed"
    return Result(run.id, run.created_at, completed, run.completed_at or run.updated_at, run.records.sent)


def known_result(snapshot: Snapshot) -> Result:
    """The result that a snapshot holds."""
    completed = snapshot.watched.status == "completed"
    ended = snapshot.completed_at or snapshot.updated_at
    return Result(snapshot.run_id, snapshot.created_at, completed, ended, snapshot.records_sent)


def take_new_level(results: dict[int, Result], level_from: datetime) -> None:
    """As the database does it: what was usual before is no measure any more, what came since is."""
    for result in results.values():
        is_before = result.created_at is not None and result.created_at < level_from
        results[result.run_id] = replace(result, outlier=is_before)


def newest_first(results: Mapping[int, Result], listed: Iterable[int] = ()) -> list[Result]:
    """In the order in which the runs were created, turned round. Those of one instant stand as they are `listed`, those
    that are not behind them, as they are given; both newest first. One without a time stands above the one below it.
    """
    in_order = {run_id: results[run_id] for run_id in listed if run_id in results} | dict(results)
    times: dict[int, datetime] = {}
    below = datetime.min.replace(tzinfo=UTC)
    for result in reversed(in_order.values()):
        below = times[result.run_id] = result.created_at or below
    return sorted(in_order.values(), key=lambda result: times[result.run_id], reverse=True)
