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


class Check(StrEnum):
    """What can be wrong with a sync, or with a workspace, for longer. The order is that of weight."""

    FAILING = "failing"
    REJECTED_RECORDS = "rejected_records"
    RECORD_COUNT = "record_count"
    SLOW_RUN = "slow_run"
    STALE = "stale"
    UNREACHABLE = "unreachable"
    UNREADABLE = "unreadable"


class Reason(StrEnum):
    """Why an incident is over. Only `recovered` is announced."""

    RECOVERED = "recovered"
    CHECK_OFF = "check_off"
    UNWATCHED = "unwatched"
    DELETED = "deleted"


RUN_STORY: Final = "run:"
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
        """Whether it is a result to compare with: completed or failed. What was canceled is neither."""
        return self.status in ("completed", "failed") and not self.is_canceled


@dataclass(frozen=True, slots=True)
class Records:
    """How many records a run sent, and of them or beside them which did not arrive; None is unknown."""

    sent: int | None = None
    rejected: int | None = None
    invalid: int | None = None


@dataclass(frozen=True, slots=True)
class SyncRun:
    """One sync run as an answer of the API gave it; `fields` is the whole JSON object, unknown fields too.

    `full_sync` is None where the answer does not say.
    """

    id: int
    sync_id: int
    watched: Watched
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    fields: Mapping[str, Any] = field(repr=False)
    records: Records = Records()
    full_sync: bool | None = None

    @property
    def ended(self) -> bool:
        """Whether no more is expected of it. An unknown status has not ended unless `completed_at` says so."""
        return self.watched.is_canceled or self.watched.status in ENDED_STATUSES or self.completed_at is not None


@dataclass(frozen=True, slots=True)
class Sync:
    """One sync of a workspace's list. `scheduled` unless its schedule is `never`."""

    id: int
    label: str | None
    status: str | None
    paused: bool
    created_at: datetime | None
    scheduled: bool = True


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last recorded state of a run. `followed`: not ended, and not given up on. `counts`: its records, as far as
    the API told; None where an older version kept the run."""

    run_id: int
    sync_id: int
    watched: Watched
    created_at: datetime | None
    updated_at: datetime | None
    changed_at: datetime
    followed: bool
    completed_at: datetime | None = None
    records_sent: int | None = None
    full_sync: bool | None = None
    counts: Records | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """A run that completed (and was not canceled) or failed.

    `outlier`: it sent far more or fewer records than usual.
    """

    run_id: int
    created_at: datetime | None
    completed: bool
    completed_at: datetime | None = None
    records_sent: int | None = None
    outlier: bool = False


@dataclass(frozen=True, slots=True)
class CountedTo:
    """The newest result that an incident has seen which is over: what came after it counts for the next."""

    run_id: int | None
    created_at: datetime | None

    def has_seen(self, result: Result) -> bool:
        """Whether a result is that one, or was created before it. Of the same instant, the list's order decides."""
        if result.run_id == self.run_id:
            return True
        if result.created_at is None or self.created_at is None:
            return False
        return result.created_at < self.created_at or (self.run_id is None and result.created_at == self.created_at)


@dataclass(frozen=True, slots=True)
class GoodRun:
    """A run that completed; `completed_at` as the API says."""

    id: int
    completed_at: datetime | None


@dataclass(frozen=True, slots=True)
class Incident:
    """A condition of a sync, or of a workspace (`sync_id` is None), that lasts; open until `resolved_at`.

    Times are in the API's own time, a workspace's in ours. `runs`: how many bad runs it has seen, `last_run_id`: the
    last of them, `likeness`: what its error was like, `wrong`: what was wrong, in a line. `counted_to`: the newest
    result that was known at the end. `told`: the receivers that got an event of it. `labels`: those of the sync when it
    was opened.
    """

    id: str
    workspace: str
    sync_id: int | None
    check: Check
    opened_at: datetime
    labels: Labels = field(default_factory=dict)
    runs: int = 0
    last_run_id: int | None = None
    likeness: str | None = None
    last_good_run: GoodRun | None = None
    summary: str | None = None
    reminders: int = 0
    reminded_at: datetime | None = None
    told: frozenset[str] = frozenset()
    sync_label: str | None = None
    resolved_at: datetime | None = None
    reason: Reason | None = None
    counted_to: CountedTo | None = None
    wrong: str | None = None

    @property
    def is_open(self) -> bool:
        return self.resolved_at is None


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
class Standing:
    """What is known of a watched sync beside its runs; None is unknown.

    `stale_from`: before that, in the API's time, no completed run was due: watching or its schedule began then.
    """

    paused: bool | None = None
    scheduled: bool | None = None
    stale_from: datetime | None = None


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


@dataclass(frozen=True, slots=True)
class WatchedSync:
    """A sync that is, was or could be watched, as the database knows it. No mark: it was forgotten, or was never read.

    `deleted`: two listings lacked it, and none has shown it since. `unread_since`: its runs could not be read from then
    on.
    """

    sync_id: int
    label: str | None
    watched: bool
    mark: Mark | None
    missing_listings: int
    standing: Standing = Standing()
    deleted: bool = False
    unread_since: datetime | None = None


@dataclass(frozen=True, slots=True)
class RunWatch:
    """A watch of a single run, as the database knows it. `misses`: how often in a row it was not found, from
    `missing_since` on."""

    sync_id: int | None = None
    ended: bool = False
    misses: int = 0
    missing_since: datetime | None = None


class DeliveryState(StrEnum):
    PENDING = "pending"
    DELIVERED = "delivered"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Backlog:
    """What has not gone well, by receiver, and by workspace and check; who is not named has none of it.

    `oldest`: when the event was seen whose delivery has waited longest.
    """

    pending: Mapping[str, int]
    oldest: Mapping[str, datetime]
    dead: Mapping[str, int]
    incidents: Mapping[tuple[str, Check], int]


@dataclass(slots=True)
class PendingDelivery:
    """One event on its way to one receiver.

    `created_at` is when the event was seen, `clock_started_at` when its time to give up began; `aside` is set once
    others may overtake it. `maybe_sent_at` is when the first attempt began whose end nobody knows: the receiver may
    have the message.
    """

    id: int
    event_id: str
    event_type: str
    workspace: str
    sync_id: int
    attempts: int
    created_at: datetime
    next_attempt_at: datetime
    clock_started_at: datetime
    first_failed_at: datetime | None
    aside: bool
    maybe_sent_at: datetime | None = None
    story: str | None = None
    quiet: bool = False


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

    `note` is what its sender asked to be remembered, and means something to it alone. `failed_since`: the first failed
    attempt since it last took a message; `failing`: it has taken none for five minutes of attempts since.
    """

    name: str
    broken_since: datetime | None = None
    last_error: str | None = None
    last_accepted_at: datetime | None = None
    hold_until: datetime | None = None
    probe_at: datetime | None = None
    note: str | None = None
    failed_since: datetime | None = None
    failing: bool = False

    @property
    def works(self) -> bool:
        """Whether it takes messages as far as is known."""
        return self.broken_since is None and not self.failing


@dataclass(frozen=True, slots=True)
class WorkspaceState:
    """A workspace as the database knows it.

    `first_listed_at` and `listed_at` are in the API's own time, of the first listing and of the newest complete one.
    `doubted_since`: from when on listings lacked more than is believed. `stretch` is the factor by which
    its intervals are longer than asked for, `needed_rate` the requests a second that the intervals ask for.
    `silent_since`: when it first gave no usable answer, and has given none since; `unlisted_since` likewise of its
    listing. `refusals`: answers in a row that refused the key.
    """

    name: str
    ok: bool = True
    last_error: str | None = None
    last_polled_at: datetime | None = None
    first_listed_at: datetime | None = None
    stretch: float = 1.0
    needed_rate: float | None = None
    silent_since: datetime | None = None
    listed_at: datetime | None = None
    unlisted_since: datetime | None = None
    doubted_since: datetime | None = None
    refusals: int = 0


@dataclass(frozen=True, slots=True)
class Posted:
    """What a receiver shows of a story: `reference` means something to its sender alone, `event_id` is the last event
    whose state it shows."""

    reference: str
    event_id: str


@dataclass(frozen=True, slots=True)
class Shown:
    """Where a story of a receiver stands after an attempt. The stories `taken_over` have no message of their own any
    more."""

    receiver: str
    story: str
    posted: Posted
    at: datetime
    taken_over: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Story:
    """What a message goes on with, and where its receiver stands with it.

    `posted`: the receiver's message of it; `posted_of_run`: that of a run, whose `run_story` ends with becoming part of
    this one. `state`: the body of the event that tells how things are now, `state_id` its ID; `is_current`: `posted`
    shows that already. `run`: the body of the newest event of the incident that tells of a run, where `state` does not.
    `latest`: the body of a run's event that came after `state`.
    """

    name: str
    state: bytes = field(repr=False)
    state_id: str
    posted: Posted | None = None
    posted_of_run: Posted | None = None
    run_story: str | None = None
    is_current: bool = False
    run: bytes | None = field(default=None, repr=False)
    latest: bytes | None = field(default=None, repr=False)

    @property
    def is_incident(self) -> bool:
        """Whether it is one of an incident, rather than of a run by itself."""
        return not self.name.startswith(RUN_STORY)


@dataclass(frozen=True, slots=True)
class Message:
    """What a receiver is asked to send: the event's ID and body, the same at every attempt.

    `maybe_sent_at` is set where an earlier attempt, begun then, may have reached a receiver that can be asked.
    `quiet`: it may change what is shown of its story, and makes no new message. `followers`: the story's next events,
    which wait too.
    """

    event_id: str
    event_type: str
    body: bytes = field(repr=False)
    maybe_sent_at: datetime | None = None
    quiet: bool = False
    mentions: tuple[str, ...] = ()
    story: Story | None = None
    followers: tuple["Message", ...] = ()


@dataclass(frozen=True, slots=True)
class Delivered:
    """The receiver has it. `hold`: it asked to be left alone that long all the same.

    `note`: what the sender wants to know after a restart. `answer`: what came back, for a person to read. `count`: how
    many of the message and its followers it now has. `posted`: where its story stands. `unsent`: there was nothing to
    send, so that it says nothing of the receiver. `caveat`: what is missing of the message, and why.
    """

    hold: timedelta | None = None
    note: str | None = None
    answer: str = field(default="", compare=False)
    count: int = 1
    posted: Posted | None = None
    unsent: bool = field(default=False, compare=False)
    caveat: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """Try this message again; `after` is what the receiver asked for (Retry-After).

    `maybe_sent`: the end of this attempt, or of an earlier one, is unknown. `for_all`: it asked so for all messages.
    """

    reason: str
    after: timedelta | None = None
    maybe_sent: bool = False
    for_all: bool = True


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
