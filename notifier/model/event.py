"""What is told: an event, those who get it, and all that one observation found."""

from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Final

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
    """One of Census' own alerts, as its webhook tells of it; `id` is its instance's, `kind` Census' word for what it is
    about. `url` leads to Census' own host or is None."""

    id: int | str
    type: EventType
    kind: str | None = None
    message: str | None = None
    details: str | None = None
    url: str | None = None
    run_id: int | None = None


@dataclass(frozen=True, slots=True)
class Addressee:
    """A receiver that gets an event.

    `story`: what the event goes on with, an incident or a run; receivers with living messages have one message for
    each. `quiet`: it may change that message, but makes no new one. `mentions`: whom to mention.
    """

    receiver: str
    story: str | None = None
    quiet: bool = False
    mentions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Event:
    """What one observation found, ready to be stored: `body` is what every receiver gets, to the byte."""

    id: str
    type: EventType
    workspace: str
    sync_id: int | None
    run_id: int | None
    seen_at: datetime
    body: bytes = field(repr=False)
    addressees: tuple[Addressee, ...]
    incident_id: str | None = None

    @property
    def receivers(self) -> tuple[str, ...]:
        """The names of those that get it."""
        return tuple(addressee.receiver for addressee in self.addressees)


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one poll of a sync (or of one followed run) found; stored in one transaction or not at all.

    `mark` is None where the poll did not move it. `outliers`: runs that sent an unusual number of records, and are no
    measure for the next; `regulars`: runs that turned out not to have. `new_level_from`: since this run was created
    the unusual is the usual. `sync_id` is None where it is about the workspace.
    """

    workspace: str
    sync_id: int | None
    label: str | None
    snapshots: tuple[Snapshot, ...] = ()
    events: tuple[Event, ...] = ()
    mark: Mark | None = None
    gap: Gap | None = None
    incidents: tuple[Incident, ...] = ()
    outliers: tuple[int, ...] = ()
    regulars: tuple[int, ...] = ()
    new_level_from: datetime | None = None
    standing: Standing | None = None
    alert: CensusAlert | None = None


TEST_TYPE: Final = "notifier.test"


def run_story(workspace: str, sync_id: int | None, run_id: int) -> str:
    """The story of a run by itself. Two workspaces, as of two regions, count their runs each by themselves."""
    return f"{RUN_STORY}{run_id}:{sync_id or 0}:{workspace}"
