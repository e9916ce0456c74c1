"""A run of a sync, as the API gave it and as it is kept."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final, TypeAlias

from notifier.model.api_version import ApiVersion
from notifier.model.identity import Id

WatchedValue: TypeAlias = str | bool | None
WATCHED_FIELDS: Final = ("status", "canceled", "error_code", "error_message", "error_detail")
CANCELED_STATUSES: Final = frozenset({"canceled", "cancelled"})
RUNNING_STATUSES: Final = frozenset({"queued", "working", "preparing", "running"})
ENDED_STATUSES: Final = frozenset({"completed", "failed", "skipped"}) | CANCELED_STATUSES


@dataclass(frozen=True, slots=True)
class Watched:
    """The fields of a run whose change is an event. An absent field, null and "" are all None."""

    status: str | None = None
    canceled: bool | None = None
    """True or None: false is the same as absent."""
    error_code: str | None = None
    error_message: str | None = None
    error_detail: str | None = None

    @property
    def is_canceled(self) -> bool:
        """Canceled by its flag or by its status: Census' own sample has a completed run that was canceled."""
        return bool(self.canceled) or self.status in CANCELED_STATUSES

    @property
    def has_ended(self) -> bool:
        """Whether its status is one after which nothing comes."""
        return self.is_canceled or self.status in ENDED_STATUSES

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
    """One sync run as an answer of the API gave it."""

    id: Id
    sync_id: Id
    watched: Watched
    created_at: datetime | None
    updated_at: datetime | None
    completed_at: datetime | None
    fields: Mapping[str, Any] = field(repr=False)
    """The whole JSON object, unknown fields too."""
    records: Records = Records()
    full_sync: bool | None = None
    """None where the answer does not say."""
    api: ApiVersion = ApiVersion.V1
    """The version of the API that gave it."""

    @property
    def ended(self) -> bool:
        """Whether no more is expected of it. An unknown status has not ended unless `completed_at` says so."""
        return self.watched.has_ended or self.completed_at is not None


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The last recorded state of a run."""

    run_id: Id
    sync_id: Id
    watched: Watched
    created_at: datetime | None
    updated_at: datetime | None
    changed_at: datetime
    followed: bool
    """It has not ended, and was not given up on."""
    completed_at: datetime | None = None
    records_sent: int | None = None
    full_sync: bool | None = None
    counts: Records | None = None
    """Its records, as far as the API told; None where an older version kept the run."""
    api: ApiVersion = ApiVersion.V1
    """The version of the API that showed it so."""

    @property
    def ended(self) -> bool:
        """Whether it had ended then."""
        return self.watched.has_ended or self.completed_at is not None


@dataclass(frozen=True, slots=True)
class UnendedRun:
    """A run that is followed, as the database knows it."""

    sync_id: Id
    run_id: Id
    changed_at: datetime
    """When a change of it was last seen, in the API's time."""
    created_at: datetime | None


@dataclass(frozen=True, slots=True)
class Result:
    """A run that completed (and was not canceled) or failed."""

    run_id: Id
    created_at: datetime | None
    completed: bool
    completed_at: datetime | None = None
    records_sent: int | None = None
    outlier: bool = False
    """It sent far more or fewer records than usual."""


@dataclass(frozen=True, slots=True)
class GoodRun:
    """A run that completed."""

    id: Id
    completed_at: datetime | None
    """As the API says."""


@dataclass(frozen=True, slots=True)
class Change:
    """One watched field whose value differs from the snapshot."""

    field: str
    old: WatchedValue
    new: WatchedValue


@dataclass(frozen=True, slots=True)
class PreviousRun:
    """The last result of a sync before a run."""

    id: Id
    status: str
