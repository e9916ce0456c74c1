"""The values that travel through the notifier: frozen, with their units, free of I/O.

Times are aware datetimes in UTC. IDs of Census objects are compared for equality and nothing else.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any, Final, TypeAlias

Labels: TypeAlias = Mapping[str, str]
WatchedValue: TypeAlias = str | bool | None


class EventType(StrEnum):
    """What an observation of a run found; the first that fits names the event."""

    CANCELED = "sync_run.canceled"
    QUEUED = "sync_run.queued"
    WORKING = "sync_run.working"
    COMPLETED = "sync_run.completed"
    FAILED = "sync_run.failed"
    SKIPPED = "sync_run.skipped"
    STATUS_CHANGED = "sync_run.status_changed"
    ERROR_CHANGED = "sync_run.error_changed"


WATCHED_FIELDS: Final = ("status", "canceled", "error_code", "error_message", "error_detail")
CANCELED_STATUSES: Final = frozenset({"canceled", "cancelled"})
ENDED_STATUSES: Final = frozenset({"completed", "failed", "skipped"}) | CANCELED_STATUSES


@dataclass(frozen=True, slots=True)
class Watched:
    """The fields of a run whose change is an event.

    An absent field, null and "" are all None; `canceled` is True or None, because false is the same as absent.
    """

    status: str | None = None
    canceled: bool | None = None
    error_code: str | None = None
    error_message: str | None = None
    error_detail: str | None = None

    @property
    def is_canceled(self) -> bool:
        """Canceled by its flag or by its status: Census' own sample has a completed run that was canceled."""
        return bool(self.canceled) or self.status in CANCELED_STATUSES

    @property
    def is_counted(self) -> bool:
        """Whether it is a result to compare with: completed and not canceled, or failed."""
        return self.status == "failed" or (self.status == "completed" and not self.is_canceled)


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One sync run as an answer of the API gave it; `fields` is the whole JSON object, unknown fields too."""

    id: int
    sync_id: int
    watched: Watched
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    fields: Mapping[str, Any] = field(repr=False)

    @property
    def ended(self) -> bool:
        """Whether no more is expected of it. An unknown status has not ended unless `completed_at` says so."""
        return self.watched.is_canceled or self.watched.status in ENDED_STATUSES or self.completed_at is not None


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync of a workspace's list."""

    id: int
    label: str | None
    status: str | None
    paused: bool
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last recorded state of a run. `followed`: not ended, and not given up on."""

    run_id: int
    sync_id: int
    watched: Watched
    created_at: datetime | None
    updated_at: datetime | None
    changed_at: datetime
    followed: bool


@dataclass(frozen=True, slots=True)
class Change:
    """One watched field whose value differs from the snapshot."""

    field: str
    old: WatchedValue
    new: WatchedValue


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a sync's list of runs has been read.

    `run_id` is None where the list was empty. Nothing created at or before `floor` is ever news: it is the baseline,
    moved up past what retention removed.
    """

    run_id: int | None
    created_at: datetime | None
    floor: datetime | None


@dataclass(frozen=True, slots=True)
class Gap:
    """Runs that came while nobody looked and were too many to report: all below `oldest_reported_run_id`."""

    noticed_at: datetime
    oldest_reported_run_id: int


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """The last result of a sync before a run."""

    id: int
    status: str


@dataclass(frozen=True, slots=True)
class Event:
    """What one observation found, ready to be stored: `body` is what every receiver gets, to the byte."""

    id: str
    type: EventType
    workspace: str
    sync_id: int
    run_id: int
    seen_at: datetime
    body: bytes = field(repr=False)
    receivers: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Observation:
    """All that one poll of a sync (or of one followed run) found; stored in one transaction or not at all.

    `mark` is None where the poll did not move it.
    """

    workspace: str
    sync_id: int
    label: str | None
    snapshots: tuple[Snapshot, ...]
    events: tuple[Event, ...]
    mark: Mark | None = None
    gap: Gap | None = None


@dataclass(frozen=True, slots=True)
class WatchedSync:
    """A sync that is or was watched, as the database knows it. No mark: it was forgotten, or was never read."""

    sync_id: int
    label: str | None
    watched: bool
    mark: Mark | None
    missing_listings: int


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(slots=True)
class PendingDelivery:
    """One event on its way to one receiver.

    `clock_started_at` is when its time to give up began; `aside` is set once others may overtake it. `maybe_sent_at` is
    when the first attempt began whose end nobody knows: the receiver may have the message.
    """

    id: int
    event_id: str
    event_type: str
    workspace: str
    sync_id: int
    attempts: int
    next_attempt_at: datetime
    clock_started_at: datetime
    first_failed_at: datetime | None
    aside: bool
    maybe_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Settlement:
    """What became of one attempt; written before the next attempt of the same lane."""

    delivery_id: int
    state: DeliveryState
    attempts: int
    settled_at: datetime
    next_attempt_at: datetime | None
    first_failed_at: datetime | None
    aside: bool
    last_error: str | None
    maybe_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class ReceiverState:
    """A receiver as the database knows it. `broken_since` is None while it works.

    `note` is what its sender asked to be remembered, and means something to it alone.
    """

    name: str
    broken_since: datetime | None = None
    last_error: str | None = None
    last_accepted_at: datetime | None = None
    hold_until: datetime | None = None
    probe_at: datetime | None = None
    note: str | None = None


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """A workspace as the database knows it.

    `first_listed_at` is in the API's own time; syncs created later have no baseline. `stretch` is the factor by which
    its intervals are longer than asked for, `needed_rate` the requests a second that the intervals ask for.
    """

    name: str
    ok: bool = True
    last_error: str | None = None
    last_polled_at: datetime | None = None
    first_listed_at: datetime | None = None
    stretch: float = 1.0
    needed_rate: float | None = None


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver is asked to send: the event's ID and body, the same at every attempt.

    `maybe_sent_at` is set where an earlier attempt, begun then, may have reached a receiver that can be asked.
    """

    event_id: str
    event_type: str
    body: bytes = field(repr=False)
    maybe_sent_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it. `hold`: it asked to be left alone that long all the same.

    `note`: what the sender wants to know after a restart. `answer`: what came back, for a person to read.
    """

    hold: timedelta | None = None
    note: str | None = None
    answer: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Retry:
    """Try this message again; `after` is what the receiver asked for (Retry-After).

    `maybe_sent`: the end of this attempt, or of an earlier one, is unknown.
    """

    reason: str
    after: timedelta | None = None
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Broken:
    """The receiver itself is wrong (address, credentials): no message gets through until someone acts.

    `maybe_sent`: as in Retry.
    """

    reason: str
    after: timedelta | None = None
    maybe_sent: bool = False


@dataclass(frozen=True, slots=True)
class Refused:
    """This message will never be accepted; others may."""

    reason: str
    hold: timedelta | None = None


Outcome: TypeAlias = Delivered | Retry | Broken | Refused


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a receiver would work, as far as can be told without sending. `ok` is None where it can't be told.

    `notes`: what the operator may want to know besides.
    """

    ok: bool | None
    said: str
    notes: tuple[str, ...] = ()
