"""What is found of what was seen at once, gathered before it is recorded. Pure."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime

from notifier.judging.checks import Judged, Step, SyncState
from notifier.judging.diff import event_type
from notifier.judging.sightings import Sighting
from notifier.model.event import CensusAlert, Event, EventType
from notifier.model.identity import Id
from notifier.model.incident import Incident
from notifier.model.run import Change, PreviousRun, SyncRun
from notifier.model.sync import Labels


@dataclass(frozen=True, slots=True)
class Found:
    """What to record of it, and the state of the sync's checks from then on."""

    events: tuple[Event, ...] = ()
    incidents: tuple[Incident, ...] = ()
    """As they are after their last step."""
    outliers: tuple[Id, ...] = ()
    """Runs that sent an unusual number of records, and are no measure for the next."""
    regulars: tuple[Id, ...] = ()
    """Runs that turned out not to have."""
    new_level_from: datetime | None = None
    """Since the run created then, the unusual number is the usual one."""
    state: SyncState = field(default_factory=SyncState)


@dataclass(frozen=True, slots=True)
class EventDraft:
    """An event before it is known who gets it."""

    type: EventType
    labels: Labels
    run: SyncRun | None = None
    changes: tuple[Change, ...] = ()
    previous_run: PreviousRun | None = None
    incident: Incident | None = None
    alert: CensusAlert | None = None

    @property
    def run_id(self) -> Id | None:
        """The run that it is about; of an alert's, no more than that is known."""
        if self.run is not None:
            return self.run.id
        return self.alert.run_id if self.alert is not None else None


class Page:
    """What is found so far, in its order; an incident as it is after its last step."""

    def __init__(self, state: SyncState) -> None:
        self.state = state
        self._events: list[Event] = []
        self._incidents: dict[str, Incident] = {}
        self._outliers: list[Id] = []
        self._regulars: list[Id] = []
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
        """`told`: by incident, the receivers that know of it by these events."""
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


def run_drafts(sighting: Sighting, labels: Labels) -> Iterable[EventDraft]:
    """The events of a run itself."""
    run = sighting.run
    if sighting.changes:
        yield EventDraft(event_type(sighting.changes), labels, run, sighting.changes, sighting.previous_run)
    if sighting.full_sync:
        yield EventDraft(EventType.FULL_SYNC, labels, run, sighting.changes, sighting.previous_run)


def draft_of(step: Step, labels: Labels, sighting: Sighting) -> EventDraft:
    """The event of an incident that a run brought about."""
    return EventDraft(step.type, labels, sighting.run, sighting.changes, sighting.previous_run, step.incident)
