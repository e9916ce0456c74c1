"""What is told: an event, those who get it, and all that one observation found."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

from notifier.model.identity import Id
from notifier.model.incident import Incident
from notifier.model.run import Snapshot
from notifier.model.sync import Gap, Mark, Standing


class EventType(StrEnum):
    """What was found. Of the changes of a run, the first type that fits names the event."""

    CANCELED = "sync_run.canceled"
    QUEUED = "sync_run.queued"
    WORKING = "sync_run.working"
    COMPLETED = "sync_run.completed"
    FAILED = "sync_run.failed"
    SKIPPED = "sync_run.skipped"
    STATUS_CHANGED = "sync_run.status_changed"
    ERROR_CHANGED = "sync_run.error_changed"
    FULL_SYNC = "sync_run.full_sync"
    SYNC_PAUSED = "sync.paused"
    SYNC_RESUMED = "sync.resumed"
    SYNC_DELETED = "sync.deleted"
    INCIDENT_OPENED = "incident.opened"
    INCIDENT_CHANGED = "incident.changed"
    INCIDENT_REMINDER = "incident.reminder"
    INCIDENT_RESOLVED = "incident.resolved"
    CENSUS_ALERT_RAISED = "census_alert.raised"
    CENSUS_ALERT_RESOLVED = "census_alert.resolved"


RUN_STORY: Final = "run:"


@dataclass(frozen=True, slots=True)
class CensusAlert:
    """One of Census' own alerts, as its webhook tells of it."""

    id: int | str
    """That of the alert's instance."""
    type: EventType
    kind: str | None = None
    """Census' word for what it is about."""
    message: str | None = None
    details: str | None = None
    url: str | None = None
    """Leads to Census' own host."""
    run_id: Id | None = None


@dataclass(frozen=True, slots=True)
class Addressee:
    """A receiver that gets an event."""

    receiver: str
    story: str | None = None
    """What the event goes on with, an incident or a run: receivers with living messages have one message for each."""
    quiet: bool = False
    """It may change that message, but makes no new one."""
    mentions: tuple[str, ...] = ()
    """Whom to mention."""


@dataclass(frozen=True, slots=True)
class Event:
    """What one observation found, ready to be stored."""

    id: str
    type: EventType
    workspace: str
    sync_id: Id | None
    run_id: Id | None
    seen_at: datetime
    body: bytes = field(repr=False)
    """What every receiver gets, to the byte."""
    addressees: tuple[Addressee, ...]
    incident_id: str | None = None

    @property
    def receivers(self) -> tuple[str, ...]:
        """The names of those that get it."""
        return tuple(addressee.receiver for addressee in self.addressees)


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one poll of a sync (or of one followed run) found; stored in one transaction or not at all."""

    workspace: str
    sync_id: Id | None
    """None where it is about the workspace."""
    label: str | None
    snapshots: tuple[Snapshot, ...] = ()
    events: tuple[Event, ...] = ()
    mark: Mark | None = None
    """None where the poll did not move it."""
    gap: Gap | None = None
    incidents: tuple[Incident, ...] = ()
    outliers: tuple[Id, ...] = ()
    """Runs that sent an unusual number of records; they are no measure for the next."""
    regulars: tuple[Id, ...] = ()
    """Runs that turned out not to be outliers."""
    new_level_from: datetime | None = None
    """Runs created from then on are the measure: what was unusual before has become the usual."""
    standing: Standing | None = None
    alert: CensusAlert | None = None


TEST_TYPE: Final = "notifier.test"


def run_story(workspace: str, sync_id: Id | None, run_id: Id) -> str:
    """The name of the story of a run by itself. Runs of two workspaces, as in two regions, may have the same ID."""
    return f"{RUN_STORY}{_in_story(run_id)}:{_in_story(sync_id or 0)}:{workspace}"


def _in_story(identity: Id) -> str:
    """No ":" of an ID ends it: no two runs have one story. The statements of retention write it likewise."""
    return str(identity).replace("%", "%25").replace(":", "%3A")
